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
_CODE = "import sys; from alexrep.guarded import _attempt; _attempt(*sys.argv[1:])"


def fault(function: str, *arguments: str, content: bytes = b"") -> str | None:
    """Call a function in a process of its own; say why it did not end well, or None if it did.

    An exception that the function raises is an end like another: it can be met here, too.

    Args:
        function: Module and name, as in "os.path:exists"; called with `content` if it is not
            empty, then the arguments.
        arguments: Texts to call it with.
        content: Bytes to call it with.
    """
    command = [sys.executable, "-c", _CODE, str(SECONDS + len(arguments)), function, *arguments]
    ended = subprocess.run(command, input=content, capture_output=True, check=False)
    if ended.returncode == 0:
        return None
    if ended.returncode < 0:
        return "bytes on which its reader crashes or never ends"
    return "bytes that its reader has no memory for"


def _attempt(seconds: str, function: str, *arguments: str) -> None:
    """Call the function, in the new process."""
    limits = (resource.RLIMIT_CPU, int(seconds)), (resource.RLIMIT_CORE, 0)
    for kind, value in (*limits, (resource.RLIMIT_AS, MEMORY)):
        system.limit(kind, value)
    import importlib  # noqa: PLC0415 (after the limits)

    module, name = function.split(":")
    content = sys.stdin.buffer.read()
    try:
        getattr(importlib.import_module(module), name)(*([content] if content else []), *arguments)
    except MemoryError:
        sys.exit(1)
    except Exception:
        pass
