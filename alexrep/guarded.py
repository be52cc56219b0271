"""Tries in a process of its own what may crash, hang or take all memory on damaged bytes.

scipy and HDF5 are C: damaged bytes end the process or keep it in a loop that no signal reaches.
"""

import resource
import subprocess
import sys

from alexrep import system

SECONDS = 6
"""Processor time that an attempt may take, and a second more for each of its arguments: ten times
what a sound file takes. The system ends it then, whoever waits for it."""
MEMORY = 4 << 30
"""Address space that an attempt may take, in bytes."""
_CODE = "import sys; from alexrep.guarded import _limited; _limited(*sys.argv[1:])"


def fault(function: str, *arguments: str, content: bytes = b"") -> str | None:
    """Call a function in a process of its own; say why it did not end well, or None if it did.

    An exception that the function raises is an end like another: it can be met here, too.

    Args:
        function: Module and name, as in "os.path:exists"; called with `content` if it is not
            empty, then the arguments.
        arguments: Texts to call it with.
        content: Bytes to call it with.
    """
    code = exit_code(SECONDS + len(arguments), function, arguments, content)
    if code == 0:
        return None
    if code < 0:
        return "bytes on which its reader crashes or never ends"
    return "bytes that its reader has no memory for"


def exit_code(seconds: int, function: str, arguments: tuple[str, ...], content: bytes) -> int:
    """Call a function in a new Python process; 1: no memory; below 0: the signal that ended it."""
    command = [sys.executable, "-c", _CODE, str(seconds), function, *arguments]
    return subprocess.run(command, input=content, capture_output=True, check=False).returncode


def _limited(seconds: str, function: str, *arguments: str) -> None:
    """Call the function under limits, in the new process."""
    limits = (resource.RLIMIT_CPU, int(seconds)), (resource.RLIMIT_CORE, 0)
    for kind, value in (*limits, (resource.RLIMIT_AS, MEMORY)):
        system.limit(kind, value)
    sys.exit(attempt(function, arguments, sys.stdin.buffer.read()))


def attempt(function: str, arguments: tuple[str, ...], content: bytes) -> int:
    """Call the function, whatever it raises; return 1 if memory was short, else 0."""
    import importlib  # noqa: PLC0415 (after the limits)

    module, name = function.split(":")
    try:
        getattr(importlib.import_module(module), name)(*([content] if content else []), *arguments)
    except MemoryError:
        return 1
    except Exception:
        return 0
    return 0
