"""A run described, and two runs compared."""

import json
from dataclasses import asdict, dataclass

from pydantic import JsonValue

from alexrep import files
from alexrep.config import departures, recipes
from alexrep.config.recipe import REMARKS, Recipe
from alexrep.errors import DataError, mismatch
from alexrep.runs import listing, notes, results
from alexrep.runs.folder import RunFolder
from alexrep.runs.log import Row

NO_MATTER = ("seed", "checkpoints.", "log.", "compute.")
"""Fields that change no error to expect, beyond what another seed does."""
NUM_ROWS = 5
"""Last epochs that are shown."""


@dataclass(frozen=True)
class Description:
    """A run: what it is, where it departs from net 145, what it has come to."""

    run: str
    recipe: str
    source: str
    expected: str
    time: str
    state: str
    departures: list[str]
    other_departures: list[str]
    """Of its images, and of every training of alexrep."""
    rows: list[Row]
    """Rows of the last epochs, oldest first."""
    results: dict[str, dict[str, JsonValue]]
    """Results by the names of their files, as in `val-ten-crop`."""
    notes: list[str]
    unlike: list[str]
    """Fields in which its recipe is not the one of that name that ships: what is expected of that
    one may not be of this."""
    network: dict[str, JsonValue]
    """Totals of the table of its layers, for one image; empty in runs that have no table."""


def describe(folder: RunFolder) -> Description:
    """Describe a run, finished or not.

    Raises:
        DataError: If the folder is not a run's, or its log or a result is damaged.
    """
    recipe, rows = folder.read_recipe(), listing.epoch_rows(folder)
    return Description(
        run=str(folder.path),
        recipe=recipe.name,
        source=recipe.source,
        expected=recipe.expected,
        time=recipe.time,
        state=listing.state_of(folder, recipe, rows),
        departures=departures.of(recipe),
        other_departures=[*departures_of_images(folder), *departures.OF_THE_PROGRAM],
        rows=rows[-NUM_ROWS:],
        results={name: asdict(result) for name, result in results.read_all(folder.path).items()},
        notes=notes.lines(folder),
        unlike=[] if folder.is_imported else _unlike(recipe),
        network=_totals(folder),
    )


def _unlike(recipe: Recipe) -> list[str]:
    """Name the fields in which a recipe differs from the one of its name that ships."""
    if recipe.name not in recipes.names():
        return []
    changes = recipes.difference(recipes.load(recipe.name), recipe)
    fields = [change.partition(":")[0] for change in changes]
    return [field for field in fields if field not in REMARKS and not field.startswith(NO_MATTER)]


def departures_of_images(folder: RunFolder) -> list[str]:
    """Name the points in which the images of a run depart from those of 2012.

    Raises:
        DataError: If what they are is damaged.
    """
    details = folder.read_data()
    if not details:
        return ["images: not recorded"]
    geometry, quality, resampling = (details.get(key) for key in ("geometry", "quality", "filter"))
    return departures.of_data(str(geometry), quality, resampling)


def _totals(folder: RunFolder) -> dict[str, JsonValue]:
    if not folder.layers.exists():
        return {}
    try:
        total: dict[str, JsonValue] = json.loads(files.read_text(folder.layers))["total"]
    except (ValueError, KeyError, TypeError) as error:
        advice = "remove it; alexrep train writes it again"
        raise DataError(mismatch(folder.layers, "a table of layers", error, advice)) from None
    return total


ERRORS = ("epoch", "train_loss", "train_error", "val_loss", "val_top1_error", "val_top5_error")
"""Fields of a log's last row that are compared."""


@dataclass(frozen=True)
class Comparison:
    """What two runs differ in, and what they came to."""

    runs: tuple[str, str]
    fields: list[str]
    """Differences of the recipes, as `path: the first's -> the second's`."""
    rates: list[str]
    """Epochs in which rates or noise differ, as `departures.of_schedules` has them."""
    departures: tuple[list[str], list[str]]
    """In which points each departs from net 145 as released."""
    errors: dict[str, tuple[JsonValue, JsonValue]]
    """Errors of the last epoch, and of the results on each split, by name; None: not there."""


def compare(first: RunFolder, second: RunFolder) -> Comparison:
    """Compare two runs, finished or not.

    Raises:
        DataError: If a folder is not a run's, or a log or result is damaged.
    """
    mine, theirs = first.read_recipe(), second.read_recipe()
    return Comparison(
        runs=(str(first.path), str(second.path)),
        fields=recipes.difference(mine, theirs),
        rates=departures.of_schedules(mine, theirs),
        departures=(departures.of(mine), departures.of(theirs)),
        errors=_beside(_errors(first), _errors(second)),
    )


def _errors(folder: RunFolder) -> dict[str, JsonValue]:
    rows = listing.epoch_rows(folder)
    last: dict[str, JsonValue] = {key: rows[-1].get(key) for key in ERRORS} if rows else {}
    for name, result in results.read_all(folder.path).items():
        last |= {f"{name} top{k}_error": getattr(result, f"top{k}_error") for k in (1, 5)}
    return last


def _beside(
    first: dict[str, JsonValue], second: dict[str, JsonValue]
) -> dict[str, tuple[JsonValue, JsonValue]]:
    return {key: (first.get(key), second.get(key)) for key in dict.fromkeys([*first, *second])}
