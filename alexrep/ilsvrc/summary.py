"""The verdicts of a finished preparation as a table."""

from alexrep.manifest import Manifest

MOST = 15
"""Rows shown; the rest is counted."""


def table(record: Manifest) -> str:
    """Write the counts by verdict and reason, a column for each split.

    Args:
        record: The manifest of a finished preprocess.
    """
    reasons = record.details["reasons"]
    assert isinstance(reasons, dict), "written as one"  # noqa: S101
    splits = [split for split in ("train", "val", "test") if split in reasons]
    counts = {split: _counts(reasons[split]) for split in splits}
    rows = sorted({row for split in splits for row in counts[split]}, key=_rank)
    lines = [f"{'verdict':<64}" + "".join(f"{split:>10}" for split in splits)]
    for row in rows[:MOST]:
        numbers = "".join(f"{counts[split].get(row, 0):>10,}" for split in splits)
        lines.append(f"{row[:63]:<64}{numbers}")
    if len(rows) > MOST:
        lines.append(f"and {len(rows) - MOST} more reasons, see the manifest")
    totals = "".join(f"{sum(counts[split].values()):>10,}" for split in splits)
    return "\n".join([*lines, f"{'images':<64}{totals}"])


def _counts(reasons: object) -> dict[str, int]:
    assert isinstance(reasons, dict), "written as one"  # noqa: S101
    return {str(reason): int(count) for reason, count in reasons.items()}


def _rank(reason: str) -> tuple[int, str]:
    order = ("ok", "repaired", "patched", "quarantined")
    return order.index(reason.split(":", maxsplit=1)[0]), reason
