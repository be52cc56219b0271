"""The manners of every command: an expected error is one line and an exit code."""

import errno
import re
import sys
import traceback

import typer
from typer.core import TyperGroup

from alexrep.errors import AlexrepError, mismatch
from alexrep.files import FULL, PARTIAL

REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS)


class Shell(TyperGroup):
    """A group of commands whose expected errors become one line on stderr."""

    def invoke(self, ctx: typer.Context) -> object:  # type: ignore[override]
        """Run the command; leave with the error's exit code if it is an expected one."""
        try:
            result: object = super().invoke(ctx)
            # A reader that has gone must be noticed here, not while Python shuts down.
            sys.stdout.flush()
        except KeyboardInterrupt:
            raise typer.Exit(130) from None
        except (AlexrepError, OSError) as error:
            message = explain(error)
            if message is None:
                raise
            if ctx.params["verbose"]:
                traceback.print_exception(error)
            typer.echo(f"alexrep: {message}", err=True)
            raise typer.Exit(getattr(error, "exit_code", 1)) from None
        return result


def explain(error: AlexrepError | OSError) -> str | None:
    """Return the one line that an expected error deserves; None if it is not expected."""
    if isinstance(error, AlexrepError):
        return str(error).replace("\n", " ")
    if error.errno in FULL:
        advice = "make room, then start it again: it goes on where it stopped"
        return mismatch(_place(error), "room on the disk", "none", advice)
    if error.errno in REFUSED:
        advice = "change its permissions or name another"
        found = f"{error.strerror!r}" if error.filename else "a refusal"
        return mismatch(_place(error), "permission to use it", found, advice)
    return None


def _place(error: OSError) -> str:
    """Name the file; h5py has it in the text only."""
    said = re.search(r"filename = '([^']+)'", str(error))
    place = str(error.filename or (said and said[1]) or "the output")
    # A partial name means nothing to the user: the file that it was to become does.
    return re.sub(rf"\.[^/]*-\d+{re.escape(PARTIAL)}$", "", place)
