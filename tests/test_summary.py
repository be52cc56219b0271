"""`alexrep summary`: a recipe's layers and departures."""

import json

import pytest
from typer.testing import CliRunner, Result

from alexrep.config import departures
from alexrep.stages import app

SMALL = ("--set", "model.side=67", "--set", "model.width=0.05", "--classes", "7")


def summary(*words: str) -> Result:
    return CliRunner().invoke(app, ["summary", *words], prog_name="alexrep")


def test_the_network_of_2012_has_its_known_totals_and_departs_nowhere() -> None:
    lines = summary("alexnet-2012").stdout.splitlines()
    assert [line.partition(":")[0] for line in lines[:5]] == [
        "source",
        "expected",
        "time",
        "images",
        "classes",
    ]
    assert lines[3] == "images: 256 x 256 pixels (alexrep preprocess --side 256)"
    assert lines[6].split() == [
        "conv1",
        *["96", "x", "55", "x", "55"],
        "34,944",
        "105,415,200",
        "1,161,600",
    ]
    last = lines.index("departures from net 145: none")
    assert lines[last - 1].split()[:3] == ["total", "60,965,224", "724,406,816"]
    assert lines[last + 1 :] == [
        "departures of alexrep's images and trainings, whatever the recipe:",
        "  JPEG quality: 90; 2012: 85, as a folder's name suggests",
        "  filter of rescaling: bicubic; 2012: not known",
        *(f"  {line}" for line in departures.OF_THE_PROGRAM),
    ]


def test_departures_are_counted_and_listed() -> None:
    lines = summary("alexnet-2012", "--set", "model.activation=tanh", *SMALL).stdout.splitlines()
    start = lines.index("departures from net 145: 3")
    assert "  activation: tanh; net 145: relu" in lines[start:]
    assert [line.startswith("  ") for line in lines[start + 1 : start + 5]] == [True] * 3 + [False]


def test_the_document_holds_layers_total_and_departures() -> None:
    document = json.loads(summary("alexnet-2012", *SMALL, "--json").stdout)
    assert (document["recipe"], document["model"], document["classes"]) == (
        "alexnet-2012",
        "alexnet",
        7,
    )
    assert document["layers"][-1]["output"] == [7]
    assert document["total"]["parameters"] == sum(
        layer["parameters"] for layer in document["layers"]
    )
    assert len(document["departures"]) == 2


@pytest.mark.parametrize("words", [("nope",), ("demo", "--set", "model.side=66")])
def test_a_recipe_that_cannot_be_is_one_line(words: tuple[str, ...]) -> None:
    result = summary(*words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("alexrep: ")
    assert result.stderr.count("\n") == 1
