"""`alexrep runs prune`: checkpoints of no more use."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from ..cli import options, printing

Dry = Annotated[bool, typer.Option("--dry-run", help="Only name what would be removed.")]


def prune(run: options.Run, dry_run: Dry = False, as_json: options.Json = False) -> None:
    """Remove the checkpoints that the recipe's rule does not keep, and damaged ones.

    A run that is being trained is refused: it prunes itself.

    \b
    Example: alexrep runs prune runs/first --dry-run
    """
    from alexrep import locks
    from alexrep.runs.checkpoint import prunable
    from alexrep.runs.folder import RunFolder

    folder = RunFolder(run)
    folder.read_recipe()
    sizes = _sizes(prunable(folder))
    if sizes and not dry_run:
        with locks.held(run) as check:
            sizes = _sizes(unused := prunable(folder))
            for path in unused:
                check()
                path.unlink()
    if as_json:
        printing.say_json({"run": str(run), "is_dry_run": dry_run, "bytes": sizes})
    else:
        printing.say_pruned(run, sizes, dry_run)


def _sizes(checkpoints: Iterable[Path]) -> dict[str, int]:
    return {str(path): path.stat().st_size for path in checkpoints}
