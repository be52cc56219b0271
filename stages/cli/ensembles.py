"""The results that `alexrep eval RUN...` asks for: each run's, and that of all as one."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from alexrep.compute.devices import meeting
from alexrep.errors import ConfigError, mismatch
from alexrep.evaluation import ensemble, labels
from alexrep.pool import default_threads
from alexrep.runs.results import Scored
from alexrep.runs.session import Signal

from .eval_request import Request
from .evaluating import Evaluation, keep
from .system_errors import memory_for

MEMBERS_FIRST = "each network is scored first, with the probabilities of all classes to average"
Mixture = list[float] | None
"""Weight of each run; None: to be searched on val."""


def mixture_of(request: Request, text: str | None) -> Mixture:
    """Read the option --weights.

    Raises:
        ConfigError: If it is neither "search" nor a weight for each run, or there is one run.
        DataError: If the runs are of different classes.
    """
    num = len(request.runs)
    if num > 1:
        ensemble.require_same_classes(request.runs)
    if text is None:
        return [1 / num] * num
    if num == 1:
        raise ConfigError(mismatch("--weights", "several runs to average", "one", "name more"))
    if text == "search":
        return None
    try:
        weights = [float(word) for word in text.split(",")]
    except ValueError:
        weights = []
    if len(weights) != num or not all(0 <= w < math.inf for w in weights) or not sum(weights):
        wanted, advice = f"search or {num} numbers from 0 up", "write them as 0.2,0.8"
        raise ConfigError(mismatch("--weights", wanted, repr(text), advice))
    return [weight / sum(weights) for weight in weights]


def score(
    request: Request,
    mixture: Mixture,
    device: str,
    workers: int | None,
    batch_size: int,
    signalled: Signal,
    quiet: bool,
) -> list[Scored]:
    """Join the other processes, and return all that is asked for; nothing in those but the first.

    Args:
        request: What is asked for.
        mixture: As `mixture_of` returns it.
        device: As the option has it.
        workers: Decoding threads; as many as there are processors if None.
        batch_size: Images in a batch.
        signalled: Tells the signal that has come.
        quiet: Whether no progress is shown.
    """
    with meeting(device) as (where, group):
        threads = workers or default_threads()
        scoring = Evaluation(where, group, threads, batch_size, signalled, quiet)
        work = f"batches of {batch_size:,} images (--batch-size) with {threads} workers on {where}"
        with memory_for(work, "lower --batch-size, or --workers for the machine's memory"):
            return all_results(scoring, request, mixture)


def all_results(scoring: Evaluation, request: Request, mixture: Mixture) -> list[Scored]:
    """Return each run's results, and after them those of all runs as one.

    Returns:
        The results; nothing in processes but the first.
    """
    tasks = [replace(request.task(run), labels=request.ids) for run in request.runs]
    if len(tasks) > 1:
        scoring.before = MEMBERS_FIRST
    each = [_light(scoring.results(task, request.views)) for task in tasks]
    on_val = [replace(task, split="val", labels=None) for task in tasks if mixture is None]
    # What could not be kept would be scored a second time.
    is_there = on_val == tasks
    fitted = each if is_there else [_light(scoring.results(t, request.views)) for t in on_val]
    if not scoring.leads:
        return []
    scored = [result for results in each for result in results]
    for number in range(len(request.views) if len(request.runs) > 1 else 0):
        weights = mixture
        if weights is None:
            weights = ensemble.search([results[number] for results in fitted]).tolist()
        members = [results[number] for results in each]
        where = "val" if mixture is None else ""
        scored.append(keep(ensemble.average(request.runs, members, np.array(weights), where)))
    return _relabelled(request, scored)


def _light(scored: Sequence[Scored]) -> list[Scored]:
    return [ensemble.light(one) for one in scored]


def _relabelled(request: Request, scored: Sequence[Scored]) -> list[Scored]:
    """Count the results anew where an image has several labels."""
    if request.real is None:
        return list(scored)
    table = request.task(request.runs[0]).run.read_classes()
    return [keep(labels.with_real(result, request.real, table)) for result in scored]
