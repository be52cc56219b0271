"""Writes the report: one HTML page that needs no network and no other file."""

import base64
import io
import tempfile
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup
from PIL import Image

from alexrep import __version__, files
from alexrep.errors import AlexrepError
from alexrep.prepare.prepared import Prepared
from alexrep.runs.contents import names_of

from .. import gallery
from . import contents, errors, sections
from .contents import RunContents

Missing = dict[str, AlexrepError]
Picture = dict[str, str]
"""Name, title, source and command."""

FIRST = ("network", "curves", "kernels", "predictions", "confusion", "class-errors", "calibration")
"""Pictures that stand before the others, in this order."""
LARGE = 200_000
"""Bytes of a PNG from which it is embedded as JPEG, which is a quarter of it for photographs."""


def write(
    runs: Sequence[Path], out: Path, prepared: Prepared | None = None, *, photographs: bool = True
) -> Missing:
    """Write the page of one run or several.

    Args:
        runs: Folders of the runs, finished or not.
        out: The HTML file; written whole or not at all.
        prepared: The prepared images of the runs, for the data report.
        photographs: Whether pictures that show images of the data set are among those drawn.

    Returns:
        Why a part could not be shown, by run and part: a NothingToShow, or an error that needs
        fixing. The page says it, too.

    Raises:
        DataError: If a folder is not a run's, or a file in it is damaged.
    """
    read = [contents.read(run, name) for run, name in zip(runs, names_of(runs), strict=True)]
    comparison, missing = _comparison(runs)
    names = [name for name in gallery.FIGURES if photographs or name not in gallery.PHOTOGRAPHS]
    shown = [_shown(run, number, prepared, names) for number, run in enumerate(read, start=1)]
    given = [] if prepared is None else ["--data", prepared.folder.parent]
    given += [] if photographs else ["--no-photographs"]
    texts = {name: _text(f"page.{name}") for name in ("html", "css", "js")}
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    page = environment.from_string(texts["html"]).render(
        title=f"Report: {', '.join(run.name for run in read)}",
        css=Markup(texts["css"]),
        js=Markup(texts["js"]),
        version=__version__,
        date=f"{datetime.now(UTC):%Y-%m-%d}",
        command=sections.command("report", *runs, *given, "--out", out),
        tables=errors.tables(read),
        results=errors.result_rows(read),
        comparison=comparison,
        runs=shown,
    )
    files.write_bytes(out, page.encode())
    parts = [(run["name"], name, why) for run in shown for name, why in run["missing"].items()]
    return missing | {f"{run}, {name}": why for run, name, why in parts}


def _text(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _shown(
    run: RunContents, number: int, prepared: Prepared | None, names: Sequence[str]
) -> dict[str, Any]:
    """Return what the page's template reads of a run, with the pictures of `names`."""
    described = run.description
    pictures, missing = _pictures(run, names)
    try:
        classes = errors.classes(run)
    except AlexrepError as error:
        classes, missing["classes"] = None, error
    return {
        "id": f"run-{number}",
        "name": run.name,
        "recipe": described.recipe,
        "source": described.source.rstrip("."),
        "state": described.state,
        "facts": sections.facts(run),
        "causes": run.causes,
        "departures": [*described.departures, *described.other_departures],
        "pictures": pictures,
        "missing": missing,
        "classes": classes,
        "images": sections.images(run),
        **sections.data_report(prepared),
        "environment": sections.environment_of(run),
        "environment_summary": sections.summary(run),
        "commands": sections.commands(run),
        "notes": described.notes,
    }


def _pictures(run: RunContents, names: Sequence[str]) -> tuple[list[Picture], Missing]:
    """Draw pictures of a run; return those that there are, and why others are not."""
    with tempfile.TemporaryDirectory() as folder:
        drawn = gallery.draw_all(run.path, Path(folder), names)
        drawn = {name: drawn[name] for name in sorted(drawn, key=_rank)}
        return _embedded(drawn, lambda name: ("plot", run.path, "--only", name))


def _rank(name: str) -> int:
    return FIRST.index(name) if name in FIRST else len(FIRST)


def _comparison(runs: Sequence[Path]) -> tuple[list[Picture], Missing]:
    """Draw the curves of several runs in one picture."""
    if len(runs) == 1:
        return [], {}
    with tempfile.TemporaryDirectory() as folder:
        drawn = gallery.draw_into(Path(folder) / "curves.png", "comparison", runs)
        command = ("plot", *runs, "--only", "curves", "--out", "FOLDER")
        return _embedded({"curves of all runs": drawn}, lambda _: command)


def _embedded(
    drawn: Mapping[str, Path | AlexrepError], command: Callable[[str], Sequence[object]]
) -> tuple[list[Picture], Missing]:
    pictures: list[Picture] = []
    missing: Missing = {}
    for name, outcome in drawn.items():
        if isinstance(outcome, Path):
            title = name.replace("-", " ").capitalize()
            line = sections.command(*command(name))
            pictures.append(
                {"name": name, "title": title, "source": _data_url(outcome), "command": line}
            )
        else:
            missing[name] = outcome
    return pictures, missing


def _data_url(picture: Path) -> str:
    content, kind = picture.read_bytes(), "png"
    if len(content) >= LARGE:
        stream = io.BytesIO()
        with Image.open(picture) as image:
            image.convert("RGB").save(stream, "JPEG", quality=90, subsampling=0)
        content, kind = stream.getvalue(), "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"
