"""Two runs side by side: their recipes, their departures, their errors."""

from dataclasses import dataclass

from pydantic import JsonValue

from alexrep.config import departures, recipes
from alexrep.runs import listing
from alexrep.runs.folder import RunFolder

ERRORS = ("epoch", "train_loss", "train_error", "val_loss", "val_top1_error", "val_top5_error")
"""Fields of a log's last row that are compared."""


@dataclass(frozen=True)
class Comparison:
    """What two runs differ in, and what they came to."""

    runs: tuple[str, str]
    fields: list[str]
    """Differences of the recipes, as `path: one's -> the other's`."""
    departures: tuple[list[str], list[str]]
    """In which points each departs from net 145 as released."""
    errors: dict[str, tuple[JsonValue, JsonValue]]
    """Errors of the last epoch, and of the results on each split, by name; None: not there."""


def compare(one: RunFolder, other: RunFolder) -> Comparison:
    """Compare two runs, finished or not.

    Raises:
        DataError: If a folder is not a run's, or a log or result is damaged.
    """
    mine, theirs = one.read_recipe(), other.read_recipe()
    return Comparison(
        runs=(str(one.path), str(other.path)),
        fields=recipes.difference(mine, theirs),
        departures=(departures.of(mine), departures.of(theirs)),
        errors=_beside(_errors(one), _errors(other)),
    )


def _errors(folder: RunFolder) -> dict[str, JsonValue]:
    rows = listing.epoch_rows(folder)
    last: dict[str, JsonValue] = {key: rows[-1].get(key) for key in ERRORS} if rows else {}
    for name, result in listing.results(folder).items():
        last |= {f"{name} top{k}_error": result.get(f"top{k}_error") for k in (1, 5)}
    return last


def _beside(
    one: dict[str, JsonValue], other: dict[str, JsonValue]
) -> dict[str, tuple[JsonValue, JsonValue]]:
    return {key: (one.get(key), other.get(key)) for key in dict.fromkeys([*one, *other])}
