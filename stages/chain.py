"""Stages one after the other, each as its own process."""

import ctypes
import signal
import subprocess
import sys

import typer

from . import options

DONE = (0, 3)
"""Exit codes of a stage that has done its work; 3 is with quarantined images."""
RESUMABLE = 75
"""Of a stage that a signal has stopped."""
PR_SET_PDEATHSIG = 1
"""Linux, prctl(2)."""


def start(*words: str) -> None:
    """Run one command through the public entry; leave with its exit code if it fails."""
    typer.echo(f"$ alexrep {' '.join(words)}")
    sys.stdout.flush()
    # -P: beside a clone of the project, a folder of the same name would be taken for it.
    command = [sys.executable, "-P", "-m", "alexrep.stages", *words]
    with subprocess.Popen(command, preexec_fn=_end_with_parent) as stage:  # noqa: PLW1509
        try:
            code = stage.wait()
        except KeyboardInterrupt:  # the stage has it too, and may be saving
            code = stage.wait()
    if code not in DONE:
        again = "; start again to go on" if code == RESUMABLE else ""
        options.note(f"stopped: alexrep {words[0]} left with {code}{again}")
        raise typer.Exit(code if code > 0 else 128 - code)


def _end_with_parent() -> None:
    """Have this process killed when its parent is: no stage works on after its chain has died."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
