"""What `alexrep similar` does between its options and its exit code."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from . import answers, options, printing
from .progress import is_quiet, meter

if TYPE_CHECKING:  # torch would take longer than --help may
    from alexrep.evaluation.activations import Layer
    from alexrep.evaluation.loaded import LoadedRun
    from alexrep.evaluation.named_images import Search
    from alexrep.evaluation.prediction_text import Tally
    from alexrep.evaluation.similar import Query, Similar


@dataclass(frozen=True)
class Asked:
    """Where neighbours are sought, and by what."""

    network: LoadedRun
    layer: Layer
    data: Path
    split: str
    """The split to search."""
    threads: int

    def queries(self, search: Search, tally: Tally) -> list[Query]:
        """Compute the features of the images that are named; say which cannot be read.

        If none is named, those of some images of another split.
        """
        from alexrep.evaluation import similar

        if not search.names:
            return similar.queries_of_split(self.network, self.layer, self.data, self.split)
        queries, faults = similar.queries_of_files(self.network, self.layer, search, self.threads)
        list(tally.readable(faults))
        tally.num_read += len(queries)
        return queries

    def find(
        self, ctx: typer.Context, queries: Sequence[Query], num: int, folder: Path
    ) -> list[Similar]:
        """Find the neighbours; make the features of the split if they are not in `folder`."""
        from alexrep import signals
        from alexrep.evaluation import features, similar

        with similar.opened(self.network, self.data, self.split) as images:
            shards = self.data / "shards"
            task = features.FeatureTask(self.network, self.layer, images, shards, folder)
            there = features.find(task, options.note)
            if there is None:
                signalled = ctx.with_resource(signals.flagged())
                with meter(task.num_images, "images", is_quiet(ctx)) as done:
                    watched = signals.watch(done, signalled)
                    there = features.make(task, self.threads, watched, done.before)
                options.note(
                    f"{task.path}: {len(there):,} images, {there.num_units:,} numbers each"
                )
            with closing(there):
                return similar.similar(self.network, there, queries, num)

    def say(self, found: Sequence[Similar], as_json: bool, tally: Tally, search: Search) -> None:
        """Print the neighbours as text or as one JSON document."""
        if as_json:
            where = {"split": self.split, "layer": self.layer.name, "units": self.layer.num_units}
            head = answers.head(self.network, "centre") | where
            queries = [asdict(one) for one in found]
            printing.say_json({**head, "queries": queries, **answers.tail(tally, search)})
            return
        for one in found:
            typer.echo(f"{one.image} ({one.label})" if one.label else one.image)
            for near in one.nearest:
                typer.echo(f"{near.distance:>12.2f}  {near.wnid}  {near.name}  {near.image}")

    def draw(self, plot: Path, queries: Sequence[Query], found: Sequence[Similar]) -> None:
        """Draw the first queries with their neighbours."""
        from alexrep.evaluation import similar
        from alexrep.plots import neighbours, style
        from alexrep.plots.neighbours import Neighbour, Row
        from alexrep.runs.contents import name_of

        found = found[: neighbours.MOST_ROWS]
        with similar.opened(self.network, self.data, self.split) as images:
            pixels = similar.pixels_of(images.split, found)
        rows = []
        for query, one, near in zip(queries, found, pixels, strict=False):
            name, facts = one.label or Path(one.image).stem, zip(near, one.nearest, strict=True)
            nearest = [Neighbour(image, fact.name, fact.distance) for image, fact in facts]
            rows.append(Row(query.pixels, name, bool(one.label), nearest))
        split = "training" if self.split == "train" else self.split
        title = f"{name_of(self.network.folder.path)}: nearest {split} images"
        which = answers.checkpoint_of(self.network)
        what = f"numbers: Euclidean distance of {self.layer.name}; {which}"
        style.save(neighbours.draw(rows, title, what), plot)
        options.note(f"{plot}: drawn")
