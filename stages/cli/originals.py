"""Extracting the original files on the command line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from alexrep.errors import ConfigError, mismatch

from . import options
from .progress import is_quiet, meter

if TYPE_CHECKING:
    import typer

    from alexrep.manifest import Manifest


@dataclass(frozen=True)
class Raw:
    """A folder of originals, and what is said of it."""

    folder: Path
    edition: str | None
    partial: bool
    classes: Path | None
    labels: Path | None

    def require_bare(self) -> None:
        """Refuse what is said of originals where prepared images are extracted.

        Raises:
            ConfigError: If anything is said.
        """
        said: dict[str, object] = {"--edition": self.edition, "--partial": self.partial}
        said |= {"--classes": self.classes, "--labels": self.labels}
        for option, value in said.items():
            if value:
                advice = "leave it out, or name originals with --original"
                raise ConfigError(mismatch(option, "--original beside it", "none", advice))


def extract(ctx: typer.Context, raw: Raw, out: Path, workers: int | None) -> Manifest:
    """Write the original files as class folders, unless it was done before."""
    from alexrep import locks, manifest, pool
    from alexrep.ilsvrc.source import survey
    from alexrep.prepare import expected, originals

    partial = raw.partial
    source = survey(raw.folder, raw.edition, partial, classes=raw.classes, labels=raw.labels)
    for remark in source.remarks:
        options.note(remark)
    plan, files = originals.make_plan(source, partial), (out / manifest.NAME, out / "plan.json")
    record = manifest.foresee(plan, *files)
    lost = originals.lost(record, out) if record is not None else []
    if not options.is_whole(record, out, out, lost):
        with locks.held(out) as check:
            record = manifest.begin(plan, *files)
            if record is None or originals.lost(record, out):
                total, num = expected.total(source), workers or pool.available()
                with meter(total, "images", is_quiet(ctx), check=check, where=out) as done:
                    record = originals.run(source, out, plan, num, done)
    return record
