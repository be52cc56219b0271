"""What the shell completes, through the way that it asks."""

import pytest
from typer.testing import CliRunner

from alexrep.config import recipes
from alexrep.ilsvrc import editions
from alexrep.pixels import rescale
from alexrep.stages import app
from alexrep.stages.cli import complete

C = ("urves", "olour-axes", "onfusion", "lass-errors", "alibration")
"""Pictures that begin with a c, in the order of the gallery."""


def completed(line: str) -> list[str]:
    """Return what bash would be offered for the last word of a command line."""
    asked = {
        "_ALEXREP_COMPLETE": "complete_bash",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(line.split(" ")) - 1),
    }
    result = CliRunner().invoke(app, [], env=asked, prog_name="alexrep")
    assert result.stderr == ""
    return result.stdout.split()


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("alexrep rec", ["recipes"]),
        ("alexrep train data --recipe alexnet-2012-no-c", ["conv3", "conv4", "conv5"]),
        ("alexrep summary dem", ["demo"]),
        ("alexrep recipes cifar10-f", ["cifar10-figure1"]),
        ("alexrep images data --split t", ["train", "test"]),
        ("alexrep train data --set feed.b", ["feed.batch_size="]),
        ("alexrep train data --set feed.order=", ["feed.order=shuffled", "feed.order=fixed"]),
        ("alexrep train data --set model.conv6=t", ["model.conv6=true"]),
        ("alexrep train data --resume m", ["must"]),
        ("alexrep train data --qui", ["--quiet"]),
        (
            "alexrep plot run --only c",
            [f"c{end}" for end in C],
        ),
        ("alexrep plot run --format s", ["svg"]),
        ("alexrep eval run --views c", ["centre", "centre,ten-crop"]),
        ("alexrep eval run --average l", ["logits"]),
        ("alexrep export run out --license m", ["mit"]),
        ("alexrep predict run photo.jpg --checkpoint b", ["best"]),
    ],
)
def test_the_shell_is_offered_what_may_come(line: str, wanted: list[str]) -> None:
    offered = completed(line)
    assert len(offered) == len(wanted)
    assert all(word.endswith(end) for word, end in zip(offered, wanted, strict=True))


def test_every_recipe_is_offered() -> None:
    assert complete.recipes("") == recipes.names()
    assert complete.recipes("alexnet-17") == [
        name for name in recipes.names() if name.startswith("alexnet-17")
    ]


def test_a_field_is_offered_once_and_none_of_a_list() -> None:
    offered = complete.settings("")
    assert len(offered) == len(set(offered))
    assert {"seed=", "model.name=", "schedule.weights.kind="} <= set(offered)
    assert not [path for path in offered if "[]" in path]


def test_the_names_of_networks_and_curves_are_offered() -> None:
    assert "model.name=cifar10-80sec" in complete.settings("model.name=c")
    assert complete.settings("schedule.biases.kind=pl") == ["schedule.biases.kind=plateau"]


def test_a_field_without_few_values_offers_none() -> None:
    assert complete.settings("feed.batch_size=") == []
    assert complete.settings("no.such=") == []


def test_the_filters_are_those_that_there_are() -> None:
    assert tuple(completed("alexrep shrink data out --filter ")) == rescale.FILTERS


def test_the_last_of_several_wnids_is_completed() -> None:
    assert complete.wnids("n02086240,n0208836") == ["n02086240,n02088364"]
    assert complete.wnids("") == []


def test_the_editions_are_those_that_there_are() -> None:
    assert set(completed("alexrep preprocess raw data --edition ")) == set(editions.NAMED)
