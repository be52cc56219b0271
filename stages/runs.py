"""`alexrep runs`: what to do with run folders; one function per command, registered here."""

import typer

from . import runs_change, runs_look, runs_prune

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="""List, show, compare, copy, annotate, export and prune runs.

    \b
    Example: alexrep runs list runs
    """,
)

# Those that only look before those that write.
app.command("list")(runs_look.list_all)
app.command("show")(runs_look.show)
app.command("diff")(runs_look.diff)
app.command("copy")(runs_change.copy)
app.command("note")(runs_change.note)
app.command("csv")(runs_change.export)
app.command("prune")(runs_prune.prune)
