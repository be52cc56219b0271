"""The page docs/cli.md, made from the help of every command: `make docs`."""

import re
import textwrap
from collections.abc import Iterator
from inspect import cleandoc
from typing import Any

import typer.main

from .help import ANYWHERE, explained, written

HEAD = """\
# Command line

Every command with its arguments and options, as `alexrep COMMAND --help` prints them. This page is
made from the help by `make docs`. [commands.md](commands.md) says what each reads and writes, what
happens when it is started again, and what the exit codes mean.
"""


def page() -> str:
    """Return the page, Markdown."""
    from .. import app

    root: Any = typer.main.get_command(app)
    parts = [HEAD, "## alexrep\n", *_options(root, (*ANYWHERE, "version"))]
    for path, command in _commands("alexrep", root):
        parts += [f"## {path}\n", *_body(path, command)]
    return "\n".join(parts)


def _commands(path: str, group: Any) -> Iterator[tuple[str, Any]]:  # noqa: ANN401
    """Yield every command below a group with the words that it is called by."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(f"{path} {name}", command)
        else:
            yield f"{path} {name}", command


def _body(path: str, command: Any) -> Iterator[str]:  # noqa: ANN401
    """Yield usage, help and parameters of a command."""
    words = [written(param) for param in command.params if param.param_type_name == "argument"]
    yield f"```\n{' '.join((path, '[OPTIONS]', *words))}\n```\n"
    for block in cleandoc(command.help).replace("\b", "").split("\n\n"):
        text, _, example = block.partition("Example: ")
        if text.strip():
            yield _filled(text)
        if example:
            command_line, _, rest = example.partition("\n")
            yield f"```sh\n{command_line.strip()}\n```\n"
            if rest.strip():
                yield _filled(rest)
    yield from _options(command)


def _options(command: Any, names: tuple[str, ...] | None = None) -> Iterator[str]:  # noqa: ANN401
    """Yield the list of a command's parameters."""
    params = [param for param in command.params if names is None or param.name in names]
    lines = []
    for param in params:
        spans = " or ".join(f"`{part}`" for part in written(param).split(", "))
        lines.append(_filled(f"- {spans}: {explained(param)}", indent="  ").rstrip())
    if lines:
        yield "\n".join(lines) + "\n"


def _filled(text: str, indent: str = "") -> str:
    """Return a paragraph in lines of at most 100 columns; none of its characters is Markdown's."""
    spans = re.split(r"(`[^`]*`)", " ".join(text.split()))
    plain = [part if part.startswith("`") else re.sub(r"([<*])", r"\\\1", part) for part in spans]
    filled = textwrap.fill(
        "".join(plain),
        100,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return filled + "\n"


if __name__ == "__main__":
    print(page(), end="")
