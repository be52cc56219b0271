"""The report: what it says, and that it is one file that works without network and script."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from alexrep.config import recipes
from alexrep.errors import AlexrepError
from alexrep.ilsvrc.classes import Synset
from alexrep.plots.report import causes, page, paper
from alexrep.plots.report.causes import Cause, Facts
from alexrep.prepare.prepared import open_prepared
from alexrep.runs import environment, results
from alexrep.runs.folder import RunFolder
from alexrep.runs.results import Predictions, Result, Scored
from alexrep.stages import app

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
VAL = Result("val", "ten-crop", "last", 90, 50_000, 0, 1.75, 0.4, 0.175, "weights", "shards")
COMPLETE = Facts("ilsvrc2012", "crop", 1_281_167, 91)
SCRIPT = """<script>
const rows = (table) => [...table.tBodies[0].rows].filter((row) => !row.hidden);
const table = document.querySelector("table.sortable");
const head = table.tHead.rows[0].cells[4].querySelector("button");
const numbers = () => rows(table).map((row) => row.cells[4].textContent.split(" ")[0]);
head.click(); const up = numbers(); head.click(); const down = numbers();
document.title = JSON.stringify({up, down});
</script></body>"""

MakeRun = Callable[..., RunFolder]


class Page(HTMLParser):
    """Collects what a page refers to, and the texts of its cells."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.sources: list[str] = []
        self.cells: list[str] = []
        self.is_cell = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.ids += [str(values["id"])] if "id" in values else []
        self.links += [str(values["href"])] if tag == "a" else []
        names = ("src", "srcset", "data", "action", "href") if tag != "a" else ()
        self.sources += [str(values[name]) for name in names if name in values]
        if tag in {"td", "th"}:
            self.is_cell = True
            self.cells.append("")

    def handle_endtag(self, tag: str) -> None:
        self.is_cell = self.is_cell and tag not in {"td", "th"}

    def handle_data(self, data: str) -> None:
        if self.is_cell:
            self.cells[-1] += data


@pytest.fixture
def run(make_run: MakeRun) -> RunFolder:
    """A finished run on ILSVRC-2012 with results of the whole val set."""
    folder = make_run("first", "seed=2", is_finished=True)
    write_result(folder, VAL)
    write_result(folder, replace(VAL, views="centre", top1_error=0.42, top5_error=0.19))
    folder.data.write_text(json.dumps({"edition": "ilsvrc2012", "geometry": "crop", "side": 256}))
    rows = [vars(Synset(0, "n0", 0, "cat", 9)), vars(Synset(1, "n1", 1, "dog", 9))]
    (folder.path / "classes.json").write_text(json.dumps(rows))
    return folder


def write_result(folder: RunFolder, result: Result) -> None:
    path = folder.result(result.split, result.views)
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(vars(result)))


def written(*runs: RunFolder) -> str:
    out = runs[0].path / "report.html"
    page.write([run.path for run in runs], out)
    return out.read_text(encoding="utf-8")


def state_of(found: list[Cause], beginning: str) -> str:
    return next(cause.state for cause in found if cause.point.startswith(beginning))


def test_a_result_of_all_images_belongs_into_the_papers_table() -> None:
    table = paper.table_of(VAL, "ilsvrc2012")
    assert table is not None
    row = table.row_for("ten-crop")
    assert row is not None
    assert (table.number, row.top1, row.top5) == (2, 40.7, 18.2)


@pytest.mark.parametrize(
    ("result", "edition"),
    [
        (VAL, "ilsvrc2010"),
        (VAL, None),
        (replace(VAL, split="test"), "ilsvrc2012"),
        (replace(VAL, num_images=49_999), "ilsvrc2012"),
        (replace(VAL, labels="real"), "ilsvrc2012"),
        (replace(VAL, wnids=("n01440764",)), "ilsvrc2012"),
        (replace(VAL, num_unlabelled=1), "ilsvrc2012"),
    ],
)
def test_a_result_of_other_images_or_labels_belongs_into_none(
    result: Result, edition: str | None
) -> None:
    assert paper.table_of(result, edition) is None


def test_errors_on_test_of_2010_are_compared_with_table_1() -> None:
    table = paper.table_of(replace(VAL, split="test", num_images=150_000), "ilsvrc2010")
    assert table is not None
    centre = table.row_for("centre")
    assert centre is not None
    assert (table.number, centre.top1, centre.top5) == (1, 39.0, 18.3)


def test_net_145_trained_to_its_end_has_no_known_cause_of_a_gap() -> None:
    found = causes.of(recipes.load("alexnet-2012"), COMPLETE)
    assert {cause.state for cause in found} == {"as in 2012"}


@pytest.mark.parametrize(
    ("setting", "point"),
    [
        ("model.width=0.5", "all layers"),
        ('model.without=["conv3"]', "all layers"),
        ('model.norm="paper"', "normalisation"),
        ('model.norm_scope="joint"', "two towers"),
        ('model.conv1_order="relu-lrn-pool"', "conv1"),
        ('model.initialisation="paper"', "initial"),
        ('model.dropout="inverted"', "dropout"),
        ("feed.reflect=false", "reflections"),
        ("feed.batch_size=1024", "batches"),
        ("noise.scale=0.0", "colour noise of"),
        ("optimiser.weight_decay=0.0", "momentum"),
        ('limits.classes=["n01440764"]', "all classes"),
    ],
)
def test_each_departure_is_found(setting: str, point: str) -> None:
    found = causes.of(recipes.load("alexnet-2012", (setting,)), COMPLETE)
    assert state_of(found, point) == "differs"
    assert found[0].state == "differs", "those that differ stand first"


@pytest.mark.parametrize(
    ("facts", "point", "state"),
    [
        (replace(COMPLETE, num_epochs=20), "about 90 epochs", "differs"),
        (replace(COMPLETE, geometry="squash"), "shorter side", "differs"),
        (replace(COMPLETE, num_train=100_000), "all training images", "differs"),
        (replace(COMPLETE, edition="demo"), "images of", "differs"),
        (Facts(None, None, None, 90), "images of", "not known"),
        (Facts(None, None, None, 90), "shorter side", "not known"),
        (Facts(None, None, None, 90), "all training images", "not known"),
    ],
)
def test_images_and_epochs_are_looked_up_too(facts: Facts, point: str, state: str) -> None:
    assert state_of(causes.of(recipes.load("alexnet-2012"), facts), point) == state


@pytest.mark.parametrize("name", recipes.names())
def test_every_recipe_has_its_list(name: str) -> None:
    assert all(cause.found for cause in causes.of(recipes.load(name), COMPLETE))


def test_errors_stand_beside_the_papers_with_their_difference(run: RunFolder) -> None:
    cells = Page(written(run)).cells
    for wanted in ("40.00 (-0.70)", "17.50 (-0.70)", "42.00", "19.00", "38.1", "15.3"):
        assert wanted in cells


def test_an_average_of_five_is_compared_with_the_papers_five(run: RunFolder) -> None:
    five = replace(VAL, members=("a", "b", "c", "d", "e"), top1_error=0.38, top5_error=0.165)
    write_result(run, five)
    cells = Page(written(run)).cells
    assert {"5 runs averaged, ten-crop", "38.00 (-0.10)", "16.50 (+0.10)"} <= set(cells)


def test_classes_stand_with_what_they_are_taken_for(run: RunFolder) -> None:
    labels, top = np.array([0, 0, 0, 1]), np.array([[0, 1], [1, 0], [1, 0], [1, 0]])
    credit = (top == labels[:, None]).astype(np.float64)
    predictions = Predictions(
        names=np.array([b"a", b"b", b"c", b"d"]),
        labels=labels,
        top5=top,
        probabilities=np.array([[0.75, 0.25]] * 4, dtype=np.float32),
        sheet_images=np.zeros((0, 8, 8, 3), np.uint8),
        sheet_rows=np.zeros(0, np.int64),
        label_probabilities=np.array([0.75, 0.25, 0.25, 0.75], dtype=np.float32),
        credit=np.stack([credit[:, 0], np.ones(4)], axis=1),
    )
    results.keep(Scored(run.result("val", "ten-crop"), replace(VAL, num_images=4), predictions))
    cells = Page(written(run)).cells
    first = cells.index("cat")
    assert cells[first : first + 10] == [
        *("cat", "3", "66.7", "0.0", "dog 2"),
        *("dog", "1", "0.0", "0.0", ""),
    ]


def test_nothing_is_fetched_and_every_link_leads_somewhere(run: RunFolder) -> None:
    text = written(run)
    found = Page(text)
    assert all(source.startswith("data:") for source in found.sources)
    assert len(found.ids) == len(set(found.ids))
    assert {link.removeprefix("#") for link in found.links} <= set(found.ids)
    assert not re.search(r"@import|url\(|https?:", re.sub(r"data:image[^\"]*", "", text))


def test_runs_stand_beside_each_other(run: RunFolder, make_run: MakeRun) -> None:
    other = make_run("second", errors=())
    found = Page(written(run, other))
    assert {"run-1", "run-2"} <= set(found.ids)
    assert len(found.ids) == len(set(found.ids))


def test_names_and_notes_are_text_and_no_markup(run: RunFolder) -> None:
    hostile = "<script>alert(1)</script>"
    data = {"edition": hostile, "geometry": "crop"}
    run.data.write_text(json.dumps(data))
    assert hostile not in written(run)


def test_a_run_that_has_only_begun_is_reported(make_run: MakeRun) -> None:
    text = written(make_run("begun", errors=()))
    assert "not begun" in text
    assert "No results yet" in text


@pytest.mark.parametrize("name", ["data.json", "environment.json", "results/val-ten-crop.json"])
def test_a_damaged_file_is_named(run: RunFolder, name: str) -> None:
    (run.path / name).write_text("{")
    with pytest.raises(AlexrepError, match=re.escape(name)):
        written(run)


def test_a_page_that_is_no_html_would_write_over_a_run(run: RunFolder) -> None:
    before = run.recipe.read_bytes()
    result = CliRunner().invoke(app, ["report", str(run.path), "--out", str(run.recipe)])
    assert (result.exit_code, "ends in .html" in result.output) == (2, True)
    assert run.recipe.read_bytes() == before


def test_several_runs_need_a_name_for_the_page(run: RunFolder) -> None:
    result = CliRunner().invoke(app, ["report", str(run.path), str(run.path)])
    assert (result.exit_code, "--out: expected a file for 2 runs" in result.output) == (2, True)


def test_the_command_writes_the_page_into_the_run(run: RunFolder) -> None:
    for path in (run.path / "results").iterdir():
        path.unlink()
    result = CliRunner().invoke(app, ["report", str(run.path)])
    assert (run.path / "report.html").is_file()
    assert "; first, classes: " in result.output
    assert result.exit_code == 1, "its checkpoints are damaged"


def test_the_page_names_the_command_that_made_it(
    run: RunFolder, data: Path, tmp_path: Path
) -> None:
    page.write([run.path], tmp_path / "page.html", open_prepared(data))
    command = f"alexrep report {run.path} --data {data} --out {tmp_path / 'page.html'}"
    assert command in (tmp_path / "page.html").read_text()


def test_a_page_to_publish_shows_no_image_of_the_data(run: RunFolder, tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    missing = page.write([run.path], out, photographs=False)
    names = {name.partition(", ")[2] for name in missing}
    assert not names & {"predictions", "views", "augmentations"}
    assert f"--no-photographs --out {out}" in out.read_text()
    assert re.findall(r'alt="(\w+)', out.read_text())[:2] == ["Network", "Curves"]
    assert not re.search('alt="(Predictions|Views|Augmentations)', out.read_text())


def test_predictions_that_were_not_kept_leave_out_the_classes(run: RunFolder) -> None:
    assert "first, classes" in page.write([run.path], run.path / "report.html")


def test_the_code_is_the_same_wherever_it_lies() -> None:
    code = environment.code()
    assert code == environment.code()
    assert re.fullmatch("[0-9a-f]{64}", str(code["source"]))
    assert code["commit"] is None or re.fullmatch(r"[0-9a-f]{40}\+?", str(code["commit"]))


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")
def test_the_page_works_in_a_browser(run: RunFolder, tmp_path: Path) -> None:
    clicked = tmp_path / "clicked.html"
    clicked.write_text(written(run).replace("</body>", SCRIPT), encoding="utf-8")
    command = [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"]
    command += ["--enable-logging=stderr", f"--user-data-dir={tmp_path}/profile", clicked.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    assert "CONSOLE" not in done.stderr
    title = re.search("<title>(.*?)</title>", done.stdout)
    assert title is not None
    orders = json.loads(title[1].replace("&quot;", '"'))
    assert orders["up"] == sorted(orders["up"], key=float)
    assert orders["down"] == orders["up"][::-1] != orders["up"]
