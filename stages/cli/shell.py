"""The manners of every command: an expected error is one line and an exit code."""

import io
import os
import re
import sys
import traceback
from pathlib import Path
from typing import Any, cast

import typer

from alexrep.errors import AlexrepError, mismatch

from . import system_errors
from .help import Group

NUMBERS = {
    r"Input should be a valid integer.*": "a whole number",
    r"Input should be a valid number.*": "a number",
    r"'(?P<found>.*)' is not a valid int.*": "a whole number",
    r"'(?P<found>.*)' is not a valid float.*": "a number",
    r"Input should be greater than or equal to (?P<low>\S+)": "a number from {low} up",
    r"(?P<found>\S+) is not in the range x>=(?P<low>\S+)": "a number from {low} up",
    r"Input should be less than or equal to (?P<high>\S+)": "a number up to {high}",
    r"(?P<found>\S+) is not in the range (?P<low>\S+)<=x<=(?P<high>\S+)": (
        "a number from {low} to {high}"
    ),
}
"""What Typer's versions say of a wrong number, and what it should have been."""
# Typer gives this class no name of its own, and keeps it in another place in each version.
UsageError = cast(type[typer.BadParameter], typer.BadParameter.__bases__[0])
"""What Typer raises for a wrong command line."""


Expected = AlexrepError | OSError | UnicodeEncodeError | MemoryError | ImportError | RuntimeError
EXPECTED = AlexrepError, OSError, UnicodeEncodeError, MemoryError, ImportError
"""What may be explained in one line."""


class Shell(Group):
    """A group of commands whose expected errors become one line on stderr."""

    def make_context(  # type: ignore[override]
        self,
        info_name: str | None,
        args: list[str],
        parent: typer.Context | None = None,
        **extra: Any,
    ) -> typer.Context:
        """Read the words before the command; a wrong one is one line and exit code 2."""
        try:
            made = super().make_context(info_name, args, parent, **extra)
            return cast(typer.Context, made)
        except UsageError as error:
            raise refusal(error, info_name or "alexrep") from None
        except OSError as error:  # the disk under --help
            raise leave(error, is_verbose=False) from None

    def invoke(self, ctx: typer.Context) -> object:  # type: ignore[override]
        """Run the command; leave with the error's exit code if it is an expected one."""
        _write_utf8()
        try:
            result: object = super().invoke(ctx)
            # A reader that has gone must be noticed here, not while Python shuts down.
            sys.stdout.flush()
        except KeyboardInterrupt as error:
            typer.echo(f"alexrep: {error if error.args else 'stopped by Ctrl-C'}", err=True)
            raise typer.Exit(130) from None
        except UsageError as error:
            raise refusal(error, f"{ctx.command_path} {ctx.invoked_subcommand}") from None
        except EXPECTED as error:
            raise leave(error, is_verbose=ctx.params["verbose"]) from None
        except RuntimeError as error:  # PyTorch's where memory runs out; others keep their causes
            if system_errors.of_memory(error) is None:
                raise
            raise leave(error, is_verbose=ctx.params["verbose"]) from None
        return result


def leave(error: Expected, *, is_verbose: bool) -> Exception:
    """Say an expected error on one line; return what leaves with its exit code.

    An unexpected one is returned as it is.

    Args:
        error: What was raised.
        is_verbose: Whether to show where it came from.
    """
    message = explain(error)
    if message is None:
        return error
    if is_verbose:
        traceback.print_exception(error)
    typer.echo(f"alexrep: {message}", err=True)
    return typer.Exit(getattr(error, "exit_code", 1))


def refusal(error: typer.BadParameter, command: str) -> Exception:
    """Say on one line what is wrong with the command line; return what leaves with its exit code.

    Help that is shown because there are no words stays as it is.

    Args:
        error: What Typer raised.
        command: The command, for an error that does not know its own.
    """
    said = error.format_message()
    if said.startswith("Usage: "):
        return error
    command = error.ctx.command_path if error.ctx else command
    text = _nearer(" ".join(said.split()).rstrip("."))
    text = of_number(text, error.__cause__) or text
    typer.echo(f"alexrep: {text}; see {command} --help", err=True)
    return typer.Exit(error.exit_code)


def of_number(text: str, cause: object) -> str | None:
    """Say what a number must be, in the words of other messages; None if it is of no number.

    Args:
        text: What Typer says: in one version as click does, in others as pydantic.
        cause: pydantic's error, which knows what was found.
    """
    said = re.fullmatch(r"Invalid value for '([^:]*)': (.*)", text)
    for pattern, wanted in NUMBERS.items() if said else ():
        if said and (fault := re.fullmatch(pattern, said[2])):
            parts = fault.groupdict()
            found = parts.get("found") or _input_of(cause) or "another"
            names = re.split(r"[ '/]+", said[1])
            option = next((name for name in names if name.startswith("--")), names[0])
            return f"{option}: expected {wanted.format(**parts)}, found {found}"
    return None


def _input_of(cause: object) -> str:
    errors = getattr(cause, "errors", None)
    return str(errors()[0]["input"]) if errors else ""


def _nearer(text: str) -> str:
    """Ask for near names in one form, whether Typer names commands or options."""
    text = re.sub(r"\. Did you mean (.*)\?$", r" (did you mean \1?)", text)
    options = re.search(r" \(Possible options: (.*)\)$", text)
    if not options:
        return text
    near = " or ".join(options[1].split(", "))
    return f"{text[: options.start()]} (did you mean {near}?)"


def _write_utf8() -> None:
    """Write UTF-8 into files and pipes; on a terminal of another encoding escape what it lacks.

    Where stdout is closed, nothing is written, and its number goes to no other file.
    """
    if sys.stdout is None:
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 (till the end)
    if isinstance(sys.stdout, io.TextIOWrapper):
        if sys.stdout.isatty():
            sys.stdout.reconfigure(errors="backslashreplace")
        else:  # bytes of a path that are no UTF-8 leave as they came
            sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape")


def explain(error: Expected) -> str | None:
    """Return the one line that an expected error deserves; None if it is not expected."""
    if isinstance(error, MemoryError | ImportError | RuntimeError):
        return system_errors.of_memory(error)
    if isinstance(error, UnicodeEncodeError):  # nothing but paths is written in another encoding
        wanted, advice = f"an encoding that has {error.object!a}", "set LC_ALL=C.UTF-8"
        return mismatch("names of files", wanted, error.encoding, advice)
    if isinstance(error, AlexrepError):
        return str(error).replace("\n", " ")
    return system_errors.explain(error)
