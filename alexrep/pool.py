"""Units of work over processes of one machine: none lost, none left behind."""

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
from typing import Protocol, TypeVar

from alexrep.errors import AlexrepError, mismatch

Item = TypeVar("Item")
Result = TypeVar("Result")

LOOK_S = 0.1
"""Seconds after which a signal is noticed at the latest."""


def available() -> int:
    """Return the number of processors that this process may use."""
    return len(os.sched_getaffinity(0))


def default_threads() -> int:
    """Return the number of decoding threads to use where none is asked for."""
    return min(8, len(os.sched_getaffinity(0)))


def run(
    work: Callable[[Item], Result],
    items: Iterable[Item],
    workers: int,
    name: Callable[[Item], str],
    *,
    ending: threading.Event | None = None,
) -> Iterator[tuple[Item, Result]]:
    """Do `work` on each item, at most `workers` at once, and yield as they end.

    An exception in a worker is raised here and ends the others' work after
    their present item. Workers end when this process does, however it ends.
    Processes by default; with `ending`, for work that leaves the interpreter
    to others, threads, which start at once. It is set where nobody waits for
    their items any more: work that looks at it can leave in the midst of one.

    Raises:
        AlexrepError: If a worker was killed, or ran out of memory; the items it may have been
            at are named.
        KeyboardInterrupt: After SIGINT.
        SystemExit: After SIGTERM, with code 143.
    """
    if workers == 1:
        for item in items:
            with _enough_memory(name(item)):
                result = work(item)
            yield item, result
        return
    with (_processes if ending is None else _threads)(workers) as (pool, look):
        pending: dict[Future[Result], Item] = {}
        rest = iter(items)
        try:
            while True:
                _refill(pool, work, rest, pending, workers)
                if not pending:
                    return
                for future in wait(pending, LOOK_S, return_when=FIRST_COMPLETED).done:
                    with _enough_memory(name(pending[future])):
                        result = future.result()
                    yield pending.pop(future), result
                look()
        except BrokenProcessPool:
            look(is_broken=True)  # whoever ends this process may have ended a worker before it
            held = ", ".join(name(item) for item in pending.values()) or "a worker between items"
            advice = "look for a memory limit, then start again"
            raise AlexrepError(
                mismatch(held, "a result", "a worker that was killed", advice)
            ) from None
        except BaseException:
            if ending is not None:
                ending.set()
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _enough_memory(item: str) -> Iterator[None]:
    """Name the item for which there was too little memory."""
    try:
        yield
    except MemoryError:
        advice = "take fewer workers or allow more memory, then start again"
        raise AlexrepError(mismatch(item, "a result", "no memory left", advice)) from None


class _Look(Protocol):
    """Raise what a signal that has come asks for; end what is left of a broken pool."""

    def __call__(self, *, is_broken: bool = False) -> None: ...


@contextmanager
def _threads(workers: int) -> Iterator[tuple[Executor, _Look]]:
    """Yield threads; an exception of a signal comes wherever this thread is."""
    with ThreadPoolExecutor(workers) as pool:
        yield pool, lambda *, is_broken=False: None


@contextmanager
def _processes(workers: int) -> Iterator[tuple[Executor, _Look]]:
    """Yield processes, and what ends them once a signal has come or one of them died."""
    context = multiprocessing.get_context("spawn")
    others = multiprocessing.active_children()
    with _noted() as come, ProcessPoolExecutor(workers, context, _watch_parent) as pool:

        def look(*, is_broken: bool = False) -> None:
            if come or is_broken:  # a worker born while the pool broke would wait for ever
                for process in multiprocessing.active_children():
                    if process not in others:
                        process.kill()
            if come:
                raise KeyboardInterrupt if come[0] == signal.SIGINT else SystemExit(128 + come[0])

        yield pool, look


@contextmanager
def _noted() -> Iterator[list[int]]:
    """Note SIGINT and SIGTERM in what this yields, and do nothing else about them.

    An exception in the midst of the start of a worker would leave it without the
    words it waits for, and it would say so on many lines.
    """
    come: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield come  # signals are the main thread's
        return
    numbers = signal.SIGINT, signal.SIGTERM
    former = [signal.signal(number, lambda number, _: come.append(number)) for number in numbers]
    try:
        yield come
    finally:
        for number, handler in zip(numbers, former, strict=True):
            signal.signal(number, handler)


@contextmanager
def _deaf() -> Iterator[None]:
    """Have processes that are started in the block hear no Ctrl-C, from their birth on."""
    former = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
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
    """Keep one item per worker under way, so that few are named when one is killed."""
    while len(pending) < workers:
        item = next(rest, None)
        if item is None:
            return
        pending[_submit(pool, work, item)] = item


def _submit(pool: Executor, work: Callable[[Item], Result], item: Item) -> Future[Result]:
    """Hand an item to the pool, which starts a worker when there is work for it.

    Raises:
        BrokenProcessPool: If a worker died; also in the midst of another's start, when the
            pool closes the pipes that are about to be passed on.
    """
    try:
        with _deaf():
            return pool.submit(work, item)
    except ValueError:  # two pipes of one number
        raise BrokenProcessPool from None
    except OSError as error:
        if error.errno is None:  # a pipe that is closed; a full table of processes has a number
            raise BrokenProcessPool from None
        raise


def _watch_parent() -> None:
    """Leave Ctrl-C to the parent, and end at once when it is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    multiprocessing.connection.wait([sentinel])
    os._exit(1)
