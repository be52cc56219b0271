"""Tries in a process of its own what may crash, hang or take all memory on damaged bytes.

scipy and HDF5 are C: damaged bytes end the process or keep it in a loop that no signal reaches.
"""

import resource
import signal
import subprocess
import sys

from alexrep import system
from alexrep.errors import AlexrepError, mismatch

SECONDS = 6
"""Processor time that an attempt may take, and a second more for each of its arguments: ten times
what a sound file takes. The system ends it then, whoever waits for it."""
MEMORY = 4 << 30
"""Address space that an attempt may take, in bytes."""
NO_MEMORY = 77
"""Exit code of an attempt whose memory was short; Python itself ends with 1 and others."""
CRASHES = (
    *(signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGFPE, signal.SIGILL, signal.SIGTRAP),
    *(signal.SIGXCPU, signal.SIGSYS),
)
"""Signals by which bytes end a process; any other one comes from outside."""
_CODE = "import sys; from alexrep.guarded import _limited; _limited(*sys.argv[1:])"


def fault(function: str, *arguments: str, content: bytes = b"") -> str | None:
    """Call a function in a process of its own; say why it did not end well, or None if it did.

    An exception that the function raises is an end like another: it can be met here, too.

    Args:
        function: Module and name, as in "os.path:exists"; called with `content` if it is not
            empty, then the arguments.
        arguments: Texts to call it with.
        content: Bytes to call it with.

    Raises:
        AlexrepError: If the process was killed from outside, or could not start.
    """
    code = exit_code(SECONDS + len(arguments), function, arguments, content)
    if code == 0:
        return None
    if code == NO_MEMORY:
        return "bytes that its reader has no memory for"
    if -code in CRASHES:
        return "bytes on which its reader crashes or never ends"
    # Killed for memory, say, or Python itself could not start: nothing about the bytes.
    found = f"one that ended with {signal.Signals(-code).name if code < 0 else code}"
    advice = "look for limits of memory and processes, then start again"
    raise AlexrepError(mismatch("reading in a new process", "a result", found, advice))


def exit_code(seconds: int, function: str, arguments: tuple[str, ...], content: bytes) -> int:
    """Call a function in a new Python process; return NO_MEMORY, 0, or minus a signal's number."""
    command = [sys.executable, "-P", "-c", _CODE, str(seconds), function, *arguments]
    # In a group of its own: Ctrl-C is for this process.
    ended = subprocess.run(
        command, input=content, capture_output=True, check=False, process_group=0
    )
    return ended.returncode


def _limited(seconds: str, function: str, *arguments: str) -> None:
    """Call the function under limits, in the new process."""
    # The second limit is SIGKILL, as of a machine without memory; the first one is SIGXCPU.
    system.limit(resource.RLIMIT_CPU, int(seconds), int(seconds) + 5)
    system.limit(resource.RLIMIT_CORE, 0)
    system.limit(resource.RLIMIT_AS, MEMORY)
    sys.exit(attempt(function, arguments, sys.stdin.buffer.read()))


def attempt(function: str, arguments: tuple[str, ...], content: bytes) -> int:
    """Call the function, whatever it raises; return NO_MEMORY or 0."""
    import importlib  # noqa: PLC0415 (after the limits)

    module, name = function.split(":")
    try:
        getattr(importlib.import_module(module), name)(*([content] if content else []), *arguments)
    except MemoryError:
        return NO_MEMORY
    except Exception:
        return 0
    return 0
