"""The ranks of a training run: how they meet, and their sums and broadcasts.

One process per device, started by torchrun or by srun. Tensors of the CPU go by gloo, those
of a GPU by NCCL.
"""

import contextlib
import datetime
import io
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
import torch

# The defaults of its functions are the group that there is when it is imported, which making an
# optimiser does: then it would keep the group's threads, and Python's end aborts with them at
# times (SIGABRT).
import torch.distributed.nn.functional
from numpy.typing import NDArray
from torch import Tensor, distributed
from torch.distributed.distributed_c10d import Store
from torch.distributed.rendezvous import rendezvous

from alexrep.compute.heartbeat import Heartbeat
from alexrep.compute.rank import ProcessRank
from alexrep.errors import AlexrepError

START_S = 300.0
"""How long the first process waits for the last one at the start."""
COLLECTIVE_S = 600.0
"""How long a sum may take among processes that are all alive; dead ones are found sooner."""

_REFUSAL = "refused with exit code"

Result = TypeVar("Result")


class Processes:
    """All ranks of a run, seen from one of them; without arguments, a single process."""

    def __init__(
        self, process: ProcessRank | None = None, heartbeat: Heartbeat | None = None
    ) -> None:
        """Take the rank of this process, and what tells whether the others are alive."""
        self.rank, self.size = (process.rank, process.world_size) if process else (0, 1)
        self.local = process.local_rank if process else 0
        self._heartbeat = heartbeat

    @property
    def leads(self) -> bool:
        """Whether this is rank 0, which writes and prints."""
        return self.rank == 0

    def share(self, num: int) -> slice:
        """Return this rank's slice of `num` images: even parts, in order."""
        first, end = (rank * num // self.size for rank in (self.rank, self.rank + 1))
        return slice(first, end)

    def start_sum(self, values: Tensor) -> Callable[[], object]:
        """Start an all-reduce of `values`, in place; return a function that waits for it."""
        if self.size == 1:
            return lambda: None
        work = self._call(lambda: distributed.all_reduce(values, async_op=True))
        return lambda: self._call(work.wait)

    def total(self, values: Sequence[float]) -> list[float]:
        """Return the sums of numbers over the ranks, in float64."""
        if self.size == 1:
            return list(values)
        sums = torch.tensor(values, dtype=torch.float64)
        self._call(lambda: distributed.all_reduce(sums))
        totals: list[float] = sums.tolist()
        return totals

    def any_of(self, *are_true: bool) -> list[bool]:
        """Return for each value whether it is true on any rank."""
        return [value > 0 for value in self.total([float(is_true) for is_true in are_true])]

    def gathered(self, part: NDArray[Any], rows: NDArray[np.int64], num_rows: int) -> NDArray[Any]:
        """Put together an array of which each rank has some rows, and no other rank the same.

        The bytes of all are summed, where others have zeros: no number changes in any bit.

        Args:
            part: This rank's rows, (len(rows), ...).
            rows: Where they belong.
            num_rows: Rows of the whole, which every rank gets.
        """
        whole = np.zeros((num_rows, *part.shape[1:]), part.dtype)
        whole[rows] = part
        if self.size > 1:
            summed = torch.from_numpy(whole.reshape(-1).view(np.uint8))
            self._call(lambda: distributed.all_reduce(summed))
        return whole

    def from_first(self, content: Any) -> Any:  # noqa: ANN401 (any plain data)
        """Broadcast rank 0's `content` to all ranks.

        Args:
            content: Plain data and tensors on the CPU, as checkpoints hold; in processes but
                the first it is not looked at.

        Raises:
            SystemExit: If rank 0 failed; see `failure_shared`.
        """
        if self.size == 1:
            return content
        stream = io.BytesIO()
        if self.leads:
            torch.save(content, stream)
        length = int(self.total([float(stream.tell())])[0])
        buffer = torch.zeros(length, dtype=torch.uint8)
        if self.leads:
            buffer.copy_(torch.frombuffer(bytearray(stream.getvalue()), dtype=torch.uint8))
        self._call(lambda: distributed.broadcast(buffer, 0))
        if self.leads:
            return content
        received = torch.load(io.BytesIO(buffer.numpy().tobytes()), weights_only=True)
        if isinstance(received, dict) and _REFUSAL in received:
            raise SystemExit(received[_REFUSAL])
        return received

    @contextlib.contextmanager
    def failure_shared(self) -> Iterator[None]:
        """Tell the other ranks when rank 0 fails; rank 0 alone prints why.

        They wait in `from_first`, and end with the same exit code.
        """
        try:
            yield
        except (AlexrepError, OSError) as error:
            self.from_first({_REFUSAL: getattr(error, "exit_code", 1)})
            raise

    def spread(self, tensors: Sequence[Tensor]) -> None:
        """Broadcast rank 0's `tensors` to all ranks, in place."""
        if self.size > 1:
            for tensor in tensors:
                self._call(lambda values=tensor: distributed.broadcast(values, 0))  # type: ignore[misc]

    def common(self, error: AlexrepError) -> BaseException:
        """Return what to raise for an error that all ranks have met: rank 0 alone prints it."""
        return error if self.leads else SystemExit(error.exit_code)

    def _call(self, function: Callable[[], Result]) -> Result:
        try:
            return function()
        except RuntimeError as error:
            if self._heartbeat is None:
                raise
            raise self._heartbeat.blame(error) from error


@contextlib.contextmanager
def joined(
    process: ProcessRank,
    device: torch.device,
    patience_s: float = 30.0,
    start_s: float = START_S,
) -> Iterator[Processes]:
    """Set up the process group, and tear it down at the end.

    Args:
        process: Which of them this is.
        device: Where this process computes.
        patience_s: Seconds without a sign of life after which a process counts as dead, and
            all others end.
        start_s: Seconds that the first process waits for the last one.

    Raises:
        AlexrepError: If a rank does not start, dies or hangs; it is named.
    """
    if process.world_size == 1:
        yield Processes()
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    store = _meet(process, start_s)
    heartbeat = Heartbeat(store, process, patience_s)
    is_whole = False
    try:
        with heartbeat:
            _begin(process, device, store, heartbeat)
            yield Processes(process, heartbeat)
        is_whole = True
    finally:
        # NCCL would wait for processes that are dead.
        if distributed.is_initialized() and (is_whole or device.type != "cuda"):
            distributed.destroy_process_group()


def _meet(process: ProcessRank, start_s: float) -> Store:
    """Return the store through which the processes find one another."""
    timeout = datetime.timedelta(seconds=start_s)
    url = f"tcp://{process.address}"
    store: Store
    try:
        store, _, _ = next(rendezvous(url, process.rank, process.world_size, timeout=timeout))
    except RuntimeError as error:
        raise process.no_meeting(error) from None
    return store


def _begin(process: ProcessRank, device: torch.device, store: Store, heartbeat: Heartbeat) -> None:
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    try:
        distributed.init_process_group(
            backend,
            store=store,
            rank=process.rank,
            world_size=process.world_size,
            timeout=datetime.timedelta(seconds=COLLECTIVE_S),
        )
    except RuntimeError as error:
        raise heartbeat.blame(error) from None
