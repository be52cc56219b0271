"""Groups and commands whose help is never cut, and that take -q and -v anywhere.

Written against what all versions of Typer have in common: which words their help has changes.
"""

from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

ANYWHERE = ("verbose", "quiet")
"""Options of `alexrep` itself that may stand before a command or after it."""
CONTEXT = {"help_option_names": ["--help", "-h"], "max_content_width": 100}
"""Of every command: Typer's help would be 80 columns wide at most."""


class Command(TyperCommand):
    """A command; -q and -v after it are those of `alexrep`."""

    def get_params(self, ctx: typer.Context) -> list[Any]:  # type: ignore[override]
        """Return the parameters, those of `alexrep` that may stand anywhere before --help."""
        *own, help_option = super().get_params(ctx)
        names = {param.name for param in own}
        of_root = ctx.find_root().command.params
        return [
            *own,
            *(param for param in of_root if param.name in ANYWHERE and param.name not in names),
            help_option,
        ]

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        """Read the words; hand those on that belong to `alexrep`."""
        rest: list[str] = super().parse_args(ctx, args)
        root = ctx.find_root()
        if root is not ctx:
            for name in ANYWHERE:
                root.params[name] = ctx.params.pop(name, False) or root.params.get(name, False)
        return rest

    def collect_usage_pieces(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]
        """Return the words of the usage line, without braces around those that must be there."""
        return [
            piece.replace("{", "").replace("}", "") for piece in super().collect_usage_pieces(ctx)
        ]

    def format_options(self, ctx: typer.Context, formatter: Any) -> None:  # type: ignore[override] # noqa: ANN401
        """Write the arguments and the options."""
        for title, kind in (("Arguments", "argument"), ("Options", "option")):
            params = (param for param in self.get_params(ctx) if param.param_type_name == kind)
            if rows := [(written(param), explained(param)) for param in params]:
                with formatter.section(title):
                    formatter.write_dl(rows)


class Group(TyperGroup):
    """A group of commands."""

    def format_commands(self, ctx: typer.Context, formatter: Any) -> None:  # type: ignore[override] # noqa: ANN401
        """Write a line for each command: the whole first sentence of its help."""
        rows = [(name, summary(command)) for name, command in self.commands.items()]
        del ctx  # nothing depends on it
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def summary(command: Any) -> str:  # noqa: ANN401 (Typer's versions have different classes)
    """Return the first sentence of a command's help, without its full stop."""
    return str(command.get_short_help_str(1000)).rstrip(".")


def written(param: Any) -> str:  # noqa: ANN401
    """Return how an argument or an option is written, as in `--epochs N`."""
    if param.param_type_name == "argument":
        return str(param.metavar or param.name.upper())
    names = ", ".join(sorted(param.opts, key=len))
    return names if param.is_flag else f"{names} {param.metavar or param.name.upper()}"


def explained(param: Any) -> str:  # noqa: ANN401
    """Return the help of an argument or an option, with its default."""
    default = None if callable(param.default) or param.default is False else param.default
    extra = "required" if param.required else f"default: {default}"
    is_plain = default is None and not param.required
    return str(param.help or "") if is_plain else f"{param.help}  [{extra}]"
