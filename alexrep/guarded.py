"""Tries in a process of its own what may crash, hang or take all memory on damaged bytes.

scipy and HDF5 are C: damaged bytes end the process or keep it in a loop that no signal reaches.
"""

import os
import pickle
import resource
import signal
import subprocess
import sys
from typing import Any

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


def fault(function: str, *arguments: str) -> str | None:
    """Call a function in a process of its own; say why it did not end well, or None if it did.

    An exception that the function raises is an end like another: it can be met here, too.

    Args:
        function: Module and name, as in "os.path:exists".
        arguments: Texts to call it with.

    Raises:
        AlexrepError: If the process was killed from outside, or could not start.
    """
    return _fault(in_process(SECONDS + len(arguments), function, arguments, b"")[0])


def call(function: str, content: bytes) -> tuple[Any, str | None]:
    """Call a function on bytes in a process of its own, which alone can crash.

    What reads beyond the bytes crashes here and not there, or the other way round: so what it
    returns is taken from there.

    Returns:
        What it returned, and None; or None, and what it raised or how it ended.

    Raises:
        AlexrepError: As `fault` does.
    """
    code, answer = in_process(SECONDS, function, (), content)
    found = _fault(code)
    if found is not None:
        return None, found
    outcome: tuple[Any, str | None] = pickle.loads(answer)
    return outcome


def _fault(code: int) -> str | None:
    """Say what an exit code tells of the bytes; None if they were read, or refused."""
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


def in_process(
    seconds: int, function: str, arguments: tuple[str, ...], content: bytes
) -> tuple[int, bytes]:
    """Call a function in a new Python process.

    Returns:
        0, NO_MEMORY or minus a signal's number; and what `attempt` returned.
    """
    command = [sys.executable, "-P", "-c", _CODE, str(seconds), function, *arguments]
    # In a group of its own: Ctrl-C is for this process.
    ended = subprocess.run(
        command, input=content, capture_output=True, check=False, process_group=0
    )
    return ended.returncode, ended.stdout


def _limited(seconds: str, function: str, *arguments: str) -> None:
    """Call the function under limits, in the new process."""
    # The second limit is SIGKILL, as of a machine without memory; the first one is SIGXCPU.
    system.limit(resource.RLIMIT_CPU, int(seconds), int(seconds) + 5)
    system.limit(resource.RLIMIT_CORE, 0)
    system.limit(resource.RLIMIT_AS, MEMORY)
    code, answer = attempt(function, arguments, sys.stdin.buffer.read())
    sys.stdout.buffer.write(answer)
    sys.stdout.flush()
    os._exit(code)  # what a reader has spoilt may crash while Python shuts down


def attempt(function: str, arguments: tuple[str, ...], content: bytes) -> tuple[int, bytes]:
    """Call the function, whatever it raises; return NO_MEMORY or 0, and pickled what came of it."""
    import importlib  # noqa: PLC0415 (after the limits)

    module, name = function.split(":")
    try:
        asked = importlib.import_module(module)
        value = getattr(asked, name)(*([content] if content else []), *arguments)
        return 0, pickle.dumps((value, None))
    except MemoryError:
        return NO_MEMORY, b""
    except Exception as error:  # damaged bytes make readers raise anything
        return 0, pickle.dumps((None, " ".join(repr(error).split())))
