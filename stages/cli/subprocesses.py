"""Stages one after the other, each as its own process.

A stage is killed with this process by PR_SET_PDEATHSIG. subprocess has no option for it; the
setpriv of util-linux has one, but cannot set the signal mask, which needs a preexec_fn anyway.
"""

import contextlib
import ctypes
import functools
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from typing import Any

import typer

from alexrep.signals import SIGNALS

from . import options

DONE = (0, 3)
"""Exit codes of a stage that has done its work; 3 is with quarantined images."""
RESUMABLE = (75, 130, 137, 140, 143)
"""Of a stage that a signal has ended: it goes on when it is started again."""
PR_SET_PDEATHSIG = 1
"""Linux, prctl(2)."""


def on_one_thread() -> None:
    """Have the stages' torch take one thread, unless OMP_NUM_THREADS says otherwise.

    A second one is worth 1.8 times the speed on an idle machine, and costs nine tenths of it
    where something else wants the processor: torch's threads wait for each other by spinning.
    And the demo's network is the same on any number of processors.
    """
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def start(*words: str) -> None:
    """Run one command through the public entry; leave with its exit code if it fails."""
    threads = os.environ.get("OMP_NUM_THREADS") if words[0] == "train" else None
    # A run goes on with as many threads only: so the line is to be typed.
    typer.echo(f"$ {f'OMP_NUM_THREADS={threads} ' if threads else ''}alexrep {' '.join(words)}")
    sys.stdout.flush()
    # -P: beside a clone of the project, a folder of the same name would be taken for it.
    command = [sys.executable, "-P", "-m", "alexrep.stages", *words]
    with _begun(command) as stage:
        code = stage.wait()
        code = code if code >= 0 else 128 - code  # as a shell counts signals
    if code not in DONE:
        again = "; start again to go on" if code in RESUMABLE else ""
        options.note(f"stopped: alexrep {words[0]} left with {code}{again}")
        raise typer.Exit(code)


@contextlib.contextmanager
def _begun(command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """Start a stage; pass signals on to it, which may save before it ends.

    It is in a group of its own: so each signal comes to it once, from here, whether it was
    sent to this process or to all.
    """
    former: dict[signal.Signals, Any] = {}
    # None may come between its start and what passes them on.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        start = functools.partial(_end_with_parent, mask)
        stage = subprocess.Popen(command, process_group=0, preexec_fn=start)  # noqa: PLW1509
        for number in SIGNALS:
            if signal.getsignal(number) != signal.SIG_IGN:  # as in the background of a script
                former[number] = signal.signal(number, lambda sent, _: stage.send_signal(sent))
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    try:
        with stage:
            yield stage
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def _end_with_parent(mask: Iterable[int]) -> None:
    """Have this process killed when its parent is: no stage works on after its chain has died."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
