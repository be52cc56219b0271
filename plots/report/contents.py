"""All that the page says of a run, read from its folder."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alexrep.config.recipe import Recipe
from alexrep.runs import contents as reader
from alexrep.runs import results
from alexrep.runs.description import Description
from alexrep.runs.results import Result

from . import causes
from .causes import Cause, Facts


@dataclass(frozen=True)
class RunContents:
    """A run for the page."""

    path: Path
    name: str
    """Its folder's name, with as much before it as tells it from the others."""
    recipe: Recipe
    description: Description
    results: Mapping[str, Result]
    """By the names of their files, as in `val-ten-crop`."""
    data: Mapping[str, Any]
    """What the images are, see `data.json`; empty in older runs."""
    counts: Mapping[str, int]
    """Images, epochs and steps of a finished run."""
    environment: Mapping[str, Any]
    causes: list[Cause]

    @property
    def edition(self) -> str | None:
        """Name of the images' edition."""
        edition = self.data.get("edition")
        return None if edition is None else str(edition)


def read(run: Path, name: str) -> RunContents:
    """Read a run, finished or not.

    Raises:
        DataError: If the folder is not a run's, or a file in it is damaged.
    """
    described = reader.read_description(run)
    data, counts, recipe = reader.read_data(run), reader.read_counts(run), reader.read_recipe(run)
    rows = described.rows
    facts = Facts(
        edition=data.get("edition"),
        geometry=data.get("geometry"),
        num_train=counts.get("train images"),
        num_epochs=int(str(rows[-1].get("epoch") or 0)) if rows else 0,
    )
    return RunContents(
        path=run,
        name=name,
        recipe=recipe,
        description=described,
        results=results.read_all(run),
        data=data,
        counts=counts,
        environment=reader.read_environment(run),
        causes=causes.of(recipe, facts),
    )
