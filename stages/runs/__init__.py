"""`alexrep runs`: what to do with run folders; one function per command, registered here."""

from collections.abc import Callable

import typer

from ..cli.help import CONTEXT, Command, Group
from . import change, look, prune

app = typer.Typer(
    cls=Group,
    context_settings=CONTEXT,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="""List, show, compare, copy, annotate and prune runs; new versions of recipes.

    \b
    Example: alexrep runs list runs
    """,
)

# Those that only look before those that write.
COMMANDS: dict[str, Callable[..., None]] = {
    "list": look.list_all,
    "show": look.show,
    "diff": look.diff,
    "new": change.new,
    "copy": change.copy,
    "note": change.note,
    "csv": change.export,
    "prune": prune.prune,
}
for name, command in COMMANDS.items():
    app.command(name, cls=Command, context_settings=CONTEXT)(command)
