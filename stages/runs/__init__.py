"""`alexrep runs`: what to do with run folders; one function per command, registered here."""

import typer

from . import change, look, prune

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="""List, show, compare, copy, annotate, export and prune runs.

    \b
    Example: alexrep runs list runs
    """,
)

# Those that only look before those that write.
app.command("list")(look.list_all)
app.command("show")(look.show)
app.command("diff")(look.diff)
app.command("copy")(change.copy)
app.command("note")(change.note)
app.command("csv")(change.export)
app.command("prune")(prune.prune)
