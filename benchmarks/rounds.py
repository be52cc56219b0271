"""Measures contestants in turn, so that other load on the machine affects all of them."""

import time
from collections.abc import Callable, Mapping
from statistics import median

Measure = Callable[[], float]


def alternate(contestants: Mapping[str, Measure], rounds: int) -> dict[str, float]:
    """Measure each contestant once per round; return the median seconds.

    The first round is a warm-up and is not counted.
    """
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for number in range(rounds + 1):
        for name, measure in contestants.items():
            taken = measure()
            if number:
                seconds[name].append(taken)
    return {name: median(taken) for name, taken in seconds.items()}


def processor_seconds(work: Callable[[], object]) -> Measure:
    """Return a measure of the processor time of all threads of this process."""

    def measure() -> float:
        start = time.process_time()
        work()
        return time.process_time() - start

    return measure


def wall_seconds(work: Callable[[], object]) -> Measure:
    """Return a measure of the elapsed time."""

    def measure() -> float:
        start = time.perf_counter()
        work()
        return time.perf_counter() - start

    return measure
