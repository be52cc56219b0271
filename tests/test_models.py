"""`alexrep models`: the list of networks."""

import json

import pytest
from typer.testing import CliRunner, Result

from alexrep.config import model as networks
from alexrep.models import catalogue
from alexrep.stages import app


def models(*words: str) -> Result:
    return CliRunner().invoke(app, ["models", *words], prog_name="alexrep")


def test_a_line_tells_size_source_and_published_errors() -> None:
    head, line = models("squeezenet1_1").stdout.splitlines()
    assert head.split()[:4] == ["network", "side", "classes", "parameters"]
    assert line.split() == [
        *("torchvision:squeezenet1_1", "224", "1000", "1,235,496", "0", "349,151,936"),
        *("0.349", "G", "Iandola", "et", "al.", "2016", "41.82", "19.38"),
        *("torchvision", "IMAGENET1K_V1,", "centre"),
    ]
    assert head.index("top-1") + 5 == line.index("41.82") + 5


def test_the_document_has_the_numbers_of_our_own_network() -> None:
    (row,) = json.loads(models("alexne[t]", "--json").stdout)[:1]
    assert (row["name"], row["parameters"], row["fixed"]) == ("alexnet", 60_965_224, 0)
    assert row["multiply_adds"] == 724_406_816
    assert (row["published_top1_error"], row["published_top5_error"]) == (0.407, 0.182)


@pytest.mark.parametrize("words", [("lenet*",), ("lenet*", "--json")])
def test_no_network_of_that_name_is_one_line(words: tuple[str, ...]) -> None:
    result = models(*words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("alexrep: PATTERN: expected the name of a network, found 'le")
    assert result.stderr.count("\n") == 1


def test_a_misspelt_name_gets_the_nearest() -> None:
    assert "found 'resnt*'; did you mean resnet" in models("resnt*").stderr


def test_every_registered_network_is_in_the_list() -> None:
    names = {entry.model.name for entry in (*catalogue.OWN, *catalogue.entries("resnet18"))}
    assert names == networks.KINDS.classes.keys()
