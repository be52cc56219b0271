"""Between two epochs: val scored by all processes, the epoch's row, the checkpoint."""

import math

from alexrep.config.rates import rates_at
from alexrep.evaluation.evaluate import evaluate
from alexrep.evaluation.scores import Scores
from alexrep.runs.log import Row
from alexrep.shards import subset
from alexrep.training import saving, stop
from alexrep.training.job import Job
from alexrep.training.throughput import memory_bytes


def run(job: Job, speed: Row) -> Scores:
    """Score val by the centre patch, write the epoch's row, and save.

    Args:
        job: The run, between two epochs.
        speed: Images per second, seconds and fraction of waiting of the epoch that has ended.

    Raises:
        Interrupted: If a signal has come to a process; a checkpoint has been saved.
    """
    position = job.position
    job.watcher.validates(position.epoch, len(subset.indices(job.val)))
    with stop.saving_when_signalled(job):
        scores = score(job)
        row = _row(job, scores, speed)
        if job.average is not None:
            with job.average.in_place():
                row["val_top1_error_ema"] = score(job).top1_error
    job.session.record(row)
    job.watcher.row(row)
    stop.judge(job.recipe.schedule.stop, position, row)
    if position.stopped:
        job.event(f"stopped after epoch {position.epoch}: {position.stopped}")
    position.errors.append(scores.top1_error)
    position.validated = position.epoch
    position.seen, position.loss_sum = 0, 0.0
    position.credit_sum = position.top5_credit_sum = 0.0
    is_best = scores.top1_error < position.best_error
    if is_best:
        position.best_error, position.best_epoch = scores.top1_error, position.epoch
    saving.save(job, is_best)
    with stop.saving_when_signalled(job, is_saved=True):
        stop.raise_if_signalled(job)
    return scores


def score(job: Job) -> Scores:
    """Score val by the centre patch, each image on one rank.

    Raises:
        Signalled: If a signal has come to a process; nothing has been saved.
    """
    processes = job.processes

    def scored(num_images: int) -> None:
        job.watcher.scored(num_images * processes.size)
        stop.raise_if_signalled(job)

    # Each rank has its own running statistics of batch normalisation: all use the first one's.
    processes.spread([buffer for buffer in job.model.buffers() if buffer.device.type != "meta"])
    scores, _ = evaluate(
        job.network,
        job.val,
        job.inputs,
        ("centre",),
        threads=job.threads,
        batch_size=job.recipe.feed.batch_size,
        done=scored,
        indices=subset.indices(job.val),
        share=lambda batch: batch[processes.share(len(batch))],
    )["centre"]
    num_scored, *sums = processes.total(
        [scores.num_scored, scores.top1_credit, scores.top5_credit, scores.loss_sum]
    )
    return Scores(scores.num_quarantined, round(num_scored), *sums)


def _row(job: Job, scores: Scores, speed: Row) -> Row:
    """Return the row of the epoch that has ended; before training it has val's scores only."""
    position, seen = job.position, job.position.seen
    ended = position.epoch - 1
    rates = None
    if ended >= 0:
        rates = rates_at(job.recipe.schedule, ended, position.errors[: ended + 1])
    return {
        "kind": "epoch",
        "epoch": position.epoch,
        "step": position.step,
        "train_loss": position.loss_sum / seen if seen else None,
        "train_error": _error(position.credit_sum, seen),
        "train_top5_error": _error(position.top5_credit_sum, seen),
        "val_loss": scores.loss,
        "val_top1_error": scores.top1_error,
        "val_top5_error": scores.top5_error,
        "weights_rate": rates.weights if rates else None,
        "biases_rate": rates.biases if rates else None,
        "noise": rates.noise if rates else None,
        # Of the images since the last start, which a restart may have cut short.
        **speed,
        "memory_bytes": memory_bytes(job.device),
    }


def _error(credit_sum: float, seen: int) -> float | None:
    """Return the error of the training images seen; None if there are none, or not all counted."""
    return (seen - credit_sum) / seen if seen and math.isfinite(credit_sum) else None
