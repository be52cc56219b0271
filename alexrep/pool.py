"""Runs units of work on processes or threads of one machine.

Not a plain ProcessPoolExecutor, which leaves its workers behind when its process ends by SIGKILL
or SIGTERM; nor joblib, which does so too, cannot name the item of a killed worker, and takes
hundreds of items ahead of a slow reader.
"""

import errno
import functools
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import (
    FIRST_COMPLETED,
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
    wait,
)
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.context import SpawnContext
from typing import Any, Protocol, TypeVar

from alexrep.errors import AlexrepError, mismatch

Item = TypeVar("Item")
Result = TypeVar("Result")

LOOK_S = 0.1
"""Seconds until a signal is noticed at the latest."""
_OF_TERMINAL = (signal.SIGINT, signal.SIGHUP)
"""What a terminal sends to all processes in it; the parent handles it for its workers."""


def available() -> int:
    """Return the number of processors that this process may use; all where none can be kept off."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def default_threads() -> int:
    """Return the default number of decoding threads."""
    return min(8, available())


def run(
    work: Callable[[Item], Result],
    items: Iterable[Item],
    workers: int,
    name: Callable[[Item], str],
    *,
    ending: threading.Event | None = None,
) -> Iterator[tuple[Item, Result]]:
    """Do `work` on each item, at most `workers` at a time; yield items and results as they end.

    An exception in a worker is raised here, after the others have finished their current
    items. Workers end when this process does, however it ends.

    Args:
        work: Called once for each item.
        items: The items; taken one by one, as workers become free.
        workers: Number of workers; with one, work is done in this process.
        name: Returns the name of an item for messages.
        ending: If given, workers are threads instead of processes, for work that releases the
            GIL. It is set when results are no longer wanted, so that work may stop early.

    Raises:
        AlexrepError: If a worker was killed or ran out of memory; the message names the items
            that it may have been working on.
        KeyboardInterrupt: After SIGINT, unless the caller handles it.
        SystemExit: After SIGTERM, with code 143.
    """
    if workers == 1:
        for item in items:
            with _enough_memory(name(item)):
                result = work(item)
            yield item, result
        return
    with _processes(work, workers) if ending is None else _threads(work, workers) as pool_of:
        pool, call, look = pool_of
        pending: dict[Future[Result], Item] = {}
        rest = iter(items)
        try:
            while True:
                _refill(pool, call, rest, pending, workers)
                if not pending:
                    return
                for future in wait(pending, LOOK_S, return_when=FIRST_COMPLETED).done:
                    with _enough_memory(name(pending[future])):
                        result = future.result()
                    yield pending.pop(future), result
                look()
        except BrokenProcessPool:
            look(is_broken=True)  # a signal to the whole group may have killed a worker first
            unfinished = ", ".join(map(name, pending.values())) or "a worker between items"
            advice = "look for a memory limit, then start again"
            raise AlexrepError(
                mismatch(unfinished, "a result", "a worker that was killed", advice)
            ) from None
        except BaseException:
            if ending is not None:
                ending.set()
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def run_in_order(
    work: Callable[[Item], Result], items: Iterable[Item], workers: int, name: Callable[[Item], str]
) -> Iterator[Result]:
    """Do as `run` does, and yield the results in the order of the items."""
    waiting, following = dict[int, Result](), 0
    second = functools.partial(_second, work)
    for (number, _), result in run(second, enumerate(items), workers, lambda pair: name(pair[1])):
        waiting[number] = result
        while following in waiting:
            yield waiting.pop(following)
            following += 1


def _second(work: Callable[[Item], Result], pair: tuple[int, Item]) -> Result:
    return work(pair[1])


@contextmanager
def _enough_memory(item: str) -> Iterator[None]:
    """Turn a MemoryError into a message that names the item."""
    try:
        yield
    except MemoryError:
        advice = "use fewer workers or allow more memory, then start again"
        raise AlexrepError(mismatch(item, "a result", "no memory left", advice)) from None


class _Look(Protocol):
    """Raise the exception of a signal that has come; kill the workers of a broken pool."""

    def __call__(self, *, is_broken: bool = False) -> None: ...


_PoolOf = tuple[Executor, Callable[[Item], Result], _Look]
"""A pool, what it calls on each item, and a check for signals and dead workers."""


@contextmanager
def _threads(work: Callable[[Item], Result], workers: int) -> Iterator[_PoolOf[Item, Result]]:
    """Yield a pool of threads; signals raise in the main thread as usual."""
    with ThreadPoolExecutor(workers) as pool:
        yield pool, work, lambda *, is_broken=False: None


@contextmanager
def _processes(work: Callable[[Item], Result], workers: int) -> Iterator[_PoolOf[Item, Result]]:
    """Yield a pool of processes; `work`, which may hold a large index, is sent once to each."""
    context = multiprocessing.get_context("spawn")
    others = multiprocessing.active_children()
    with (
        _recorded_signals() as received,
        _locks(context),
        ProcessPoolExecutor(workers, context, _begin, (work,)) as pool,
    ):

        def look(*, is_broken: bool = False) -> None:
            if received or is_broken:  # a worker started while the pool broke would hang
                for process in multiprocessing.active_children():
                    if process not in others:
                        process.kill()
            if received:
                number = received[0]
                raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)

        yield pool, _do, look


@contextmanager
def _locks(context: SpawnContext) -> Iterator[None]:
    """Refuse a machine on which processes cannot have a lock in common.

    The first lock starts a process: signals must be recorded by then.

    Raises:
        AlexrepError: If it is so, as where /dev/shm cannot be written to.
    """
    try:
        context.Lock()
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM):
            error.filename = "/dev/shm"
            raise
        advice = "let it be writable, or do without it with --workers 1"
        wanted = "room for the locks of worker processes"
        raise AlexrepError(mismatch("/dev/shm", wanted, repr(error.strerror), advice)) from None
    yield


@contextmanager
def _recorded_signals() -> Iterator[list[int]]:
    """Record SIGINT and SIGTERM in the list that this yields, instead of raising.

    One that the caller handles, or that is ignored, is left to that.
    An exception while a worker starts would cut off the data that it reads from its pipe, and
    it would print a long traceback.
    """
    received: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield received  # only the main thread gets signals
        return
    usual = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
    numbers = [number for number, handler in usual.items() if signal.getsignal(number) == handler]
    former = [
        signal.signal(number, lambda number, _: received.append(number)) for number in numbers
    ]
    try:
        yield received
    finally:
        for number, handler in zip(numbers, former, strict=True):
            signal.signal(number, handler)


@contextmanager
def _signals_blocked() -> Iterator[None]:
    """Block SIGINT and SIGHUP in processes that start in the block, from their start on."""
    former = signal.pthread_sigmask(signal.SIG_BLOCK, _OF_TERMINAL)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, former)


def _refill(
    pool: Executor,
    work: Callable[[Item], Result],
    rest: Iterator[Item],
    pending: dict[Future[Result], Item],
    workers: int,
) -> None:
    """Submit one item per worker, so that few are named when a worker is killed."""
    while len(pending) < workers:
        item = next(rest, None)
        if item is None:
            return
        pending[_submit(pool, work, item)] = item


def _submit(pool: Executor, work: Callable[[Item], Result], item: Item) -> Future[Result]:
    """Submit an item to the pool, which starts a worker if none is free.

    Raises:
        BrokenProcessPool: If a worker died, also while another was starting, when the pool
            closes the pipes that the new one should inherit.
    """
    try:
        with _signals_blocked():
            return pool.submit(work, item)
    except ValueError:  # a closed pipe's descriptor was reused
        raise BrokenProcessPool from None
    except OSError as error:
        if error.errno is None:  # a closed pipe; a failed fork has an errno
            raise BrokenProcessPool from None
        raise


_work: Callable[[Any], Any]
"""What this process, a worker, does with each item."""


def _begin(work: Callable[[Any], Any]) -> None:
    """Become a worker: leave the terminal's signals to the parent, and end when it has ended."""
    global _work  # noqa: PLW0603
    _work = work
    for number in _OF_TERMINAL:
        signal.signal(number, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _do(item: Any) -> Any:  # noqa: ANN401
    return _work(item)


def _end_with(sentinel: int) -> None:
    multiprocessing.connection.wait([sentinel])
    os._exit(1)
