"""Processes of a training, forked from one that has imported torch: a helper of the tests.

    python tests/ranks.py

For each job, a line of JSON on stdin, it writes a line: exit code and seconds by size and rank.
A process that hangs is ended after a while, by SIGALRM.
A job: data, recipe, settings, sizes (numbers of processes, one after another), out (a folder),
said (file for stderr), patience_s, and victim, step, manner: which rank does what at which step.
"""

import contextlib
import dataclasses
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch._dynamo  # which the first step of each process would import
from sessions import Memory
from torch import Tensor, nn

from alexrep.compute import precision
from alexrep.compute.processes import Processes, joined
from alexrep.compute.rank import ProcessRank
from alexrep.config import recipes
from alexrep.errors import AlexrepError, DataError
from alexrep.feed.dataset import TrainingData, open_data
from alexrep.feed.normalise import Inputs
from alexrep.models import registry
from alexrep.runs.log import Row
from alexrep.runs.session import Session
from alexrep.training import loop
from alexrep.training import optimiser as optimisers
from alexrep.training.job import Job, Position

LIMIT_S = 50
"""Seconds after which a process is killed; below the minute that tests wait for an answer."""


class Double(nn.Module):
    """A network in float64, so that rounding hides nothing."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner.double()

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.inner(images.double())
        return logits


def make(
    task: dict[str, Any], training_data: TrainingData, group: Processes, rows: list[Row]
) -> Job:
    """Make a job in float64 in which something happens to rank `victim` at `step`."""
    chosen = recipes.load(task["recipe"], tuple(task["settings"]))
    inner = registry.build(chosen.model, len(training_data.train.classes), chosen.seed)
    model = Double(precision.place(inner, chosen.compute, torch.device("cpu")))
    job = Job(
        recipe=chosen,
        model=model,
        optimiser=optimisers.build(chosen.optimiser, model),
        train=training_data.train,
        val=training_data.val,
        inputs=exact(training_data.inputs(chosen)),
        device=torch.device("cpu"),
        threads=1,
        position=Position(),
        session=Memory(rows=rows) if group.leads else Session(),
        processes=group,
    )
    if task.get("victim") == group.rank:
        befall(job, task["manner"], task["step"])
    return job


def exact(inputs: Inputs) -> Inputs:
    """Return inputs whose noise scales are powers of two: products are exact in every batch."""
    return dataclasses.replace(inputs, noise=torch.diag(torch.tensor([8.0, 4.0, 2.0])))


def befall(job: Job, manner: str, step: int) -> None:
    """Make something happen to this process."""
    ends: dict[str, Callable[[], None]] = {
        "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
        "pause": lambda: os.kill(os.getpid(), signal.SIGSTOP),
        "freeze": lambda: os.kill(os.getpid(), signal.SIGSTOP),
        "fail": fail,
        "signal": lambda: setattr(job.session, "signal", lambda: "SIGUSR2"),
        "diverge": lambda: spoil(job.model),
    }
    job.progress = lambda num: ends[manner]() if job.position.step == step else None


def spoil(model: nn.Module) -> None:
    nn.init.constant_(next(model.parameters()), torch.nan)


def fail() -> None:
    raise DataError("shard 3: expected bytes, found none; pack again")


def run(task: dict[str, Any], process: ProcessRank) -> int:
    """Train as one of the processes; return the exit code."""
    torch.set_num_threads(1)
    rows: list[Row] = []
    with contextlib.closing(open_data(Path(task["data"]))) as training_data:
        try:
            with joined(process, torch.device("cpu"), task["patience_s"]) as group:
                job = make(task, training_data, group, rows)
                loop.train(job)
                if group.leads:
                    outcome = {"weights": job.model.state_dict(), "rows": rows}
                    torch.save(outcome, Path(task["out"]) / f"{process.world_size}.pt")
        except AlexrepError as error:
            print(f"{process.rank}: {error}", file=sys.stderr, flush=True)
            return error.exit_code
        except SystemExit as end:
            return int(str(end.code))
    return 0


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def fork(task: dict[str, Any], size: int) -> dict[int, list[float]]:
    """Run `size` processes; return exit code and seconds of each rank."""
    address, start, ranks = f"127.0.0.1:{free_port()}", time.monotonic(), {}
    for rank in range(size):
        child = os.fork()
        if child == 0:
            code = 70
            signal.alarm(LIMIT_S)
            try:
                stderr = os.open(task["said"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
                os.dup2(stderr, sys.stderr.fileno())
                code = run(task, ProcessRank(rank, size, rank, address))
            finally:
                sys.stderr.flush()
                os._exit(code)
        ranks[child] = rank
    if task.get("manner") == "pause":
        pause(list(ranks), task)
    ends: dict[int, list[float]] = {}
    frozen = {
        pid
        for pid, rank in ranks.items()
        if task.get("manner") == "freeze" and rank == task["victim"]
    }
    while len(ends) < size:
        if set(ranks) - {pid for pid, rank in ranks.items() if rank in ends} == frozen:
            for pid in frozen:
                os.kill(pid, signal.SIGKILL)
        pid, status = os.waitpid(-1, 0)
        ends[ranks[pid]] = [os.waitstatus_to_exitcode(status), time.monotonic() - start]
    return ends


def pause(processes: list[int], task: dict[str, Any]) -> None:
    """Once the victim has stopped, stop all beyond their patience; resume them a second apart."""
    os.waitpid(processes[task["victim"]], os.WUNTRACED)
    for pid in processes:
        os.kill(pid, signal.SIGSTOP)
    time.sleep(task["patience_s"] + 1)
    for pid in processes:
        os.kill(pid, signal.SIGCONT)
        time.sleep(1)


if __name__ == "__main__":
    for line in sys.stdin:
        given = json.loads(line)
        print(json.dumps({size: fork(given, size) for size in given["sizes"]}), flush=True)
