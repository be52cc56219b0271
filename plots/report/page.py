"""Writes the report: one HTML page that needs no network and no other file."""

import base64
import io
import tempfile
from collections.abc import Sequence
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

from .. import gallery
from . import contents, errors, sections
from .contents import RunContents

Missing = dict[str, AlexrepError]

LARGE = 200_000
"""Bytes of a PNG from which it is embedded as JPEG, which is a quarter of it for photographs."""


def write(runs: Sequence[Path], out: Path, prepared: Prepared | None = None) -> Missing:
    """Write the page of one run or several.

    Args:
        runs: Folders of the runs, finished or not.
        out: The HTML file; written whole or not at all.
        prepared: The prepared images of the runs, for the data report.

    Returns:
        Why a part could not be shown, by run and part: a NothingToShow, or an error that needs
        fixing. The page says it, too.

    Raises:
        DataError: If a folder is not a run's, or a file in it is damaged.
    """
    read = [contents.read(run) for run in runs]
    shown = [_shown(run, number, prepared) for number, run in enumerate(read, start=1)]
    texts = {name: _text(f"page.{name}") for name in ("html", "css", "js")}
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    page = environment.from_string(texts["html"]).render(
        title=f"Report: {', '.join(run.name for run in read)}",
        css=Markup(texts["css"]),
        js=Markup(texts["js"]),
        version=__version__,
        date=f"{datetime.now(UTC):%Y-%m-%d}",
        command=sections.command("report", *runs, "--out", out),
        tables=errors.tables(read),
        results=errors.result_rows(read),
        runs=shown,
    )
    files.write_bytes(out, page.encode())
    parts = [(run["name"], name, why) for run in shown for name, why in run["missing"].items()]
    return {f"{run}, {name}": why for run, name, why in parts}


def _text(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _shown(run: RunContents, number: int, prepared: Prepared | None) -> dict[str, Any]:
    """Return what the page's template reads of a run."""
    described = run.description
    pictures, missing = _pictures(run)
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


def _pictures(run: RunContents) -> tuple[list[dict[str, str]], Missing]:
    """Draw all pictures of a run; return those that there are, and why others are not."""
    pictures: list[dict[str, str]] = []
    missing: Missing = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, outcome in gallery.draw_all(run.path, Path(folder)).items():
            if not isinstance(outcome, Path):
                missing[name] = outcome
                continue
            pictures.append(
                {
                    "name": name,
                    "title": name.replace("-", " ").capitalize(),
                    "source": _data_url(outcome),
                    "command": sections.command("plot", run.path, "--only", name),
                }
            )
    return pictures, missing


def _data_url(picture: Path) -> str:
    content, kind = picture.read_bytes(), "png"
    if len(content) >= LARGE:
        stream = io.BytesIO()
        with Image.open(picture) as image:
            image.convert("RGB").save(stream, "JPEG", quality=90, subsampling=0)
        content, kind = stream.getvalue(), "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"
