"""The drawing of a network: its columns, what crosses between towers, the table below."""

import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Polygon

from alexrep.config import recipes
from alexrep.models import registry
from alexrep.plots import network, network_columns
from alexrep.plots.network_columns import Column
from alexrep.runs.contents import NothingToShow


def columns(recipe: str, *settings: str, num_classes: int = 10) -> list[Column]:
    model = recipes.load(recipe, settings).model
    return network_columns.of(registry.build(model, num_classes, 1), model)


def shown(figure: Figure) -> list[str]:
    return [text.get_text() for text in [*figure.texts, *figure.axes[0].texts]]


NARROW = "model.width=0.05"


@pytest.mark.parametrize(
    ("recipe", "crossing", "num"),
    [
        ("alexnet-2012", ["conv3", "fc6", "fc7"], 8),
        ("alexnet-2012-apart", [], 8),
        ("alexnet-146-2012", ["conv3", "conv6", "fc6", "fc7"], 9),
        ("alexnet-2012-no-conv3", ["conv4", "fc6", "fc7"], 7),
        ("alexnet-2012-no-fc7", ["conv3", "fc6"], 7),
        ("alexnet-2012-half", [], 8),
    ],
)
def test_the_layers_that_read_both_towers_are_marked(
    recipe: str, crossing: list[str], num: int
) -> None:
    found = columns(recipe, NARROW)
    assert [column.name for column in found if column.reads_both] == crossing
    assert len(found) == num
    towers = 1 if recipe == "alexnet-2012-half" else 2
    assert {column.num_towers for column in found[:-1]} == {towers}
    assert found[-1].num_towers == 1


def test_the_table_has_kernels_norms_pools_and_sides() -> None:
    conv1, conv2, *_, conv5, _, _, fc8 = columns("alexnet-2012", NARROW)
    assert (conv1.kernel, conv1.norms, conv1.pool, conv1.pooled) == (
        "11/4",
        ["across"],
        "max 3/2",
        27,
    )
    assert (conv2.norms, conv2.pooled) == (["across", "within"], 13)
    assert (conv5.norms, conv5.shape[1], conv5.pooled) == ([], 13, 6)
    assert (fc8.shape, fc8.kernel, fc8.pool) == ((10,), "", "")


def test_a_net_for_small_images_has_its_local_layers_and_both_kinds_of_pools() -> None:
    found = columns("cifar10-11pct")
    assert [column.name for column in found] == ["conv1", "conv2", "local3", "local4", "fc5"]
    assert [column.kernel for column in found] == ["5/1", "5/1", "3/1", "3/1", ""]
    assert [column.norms for column in found[:2]] == [["across"], ["across"]]
    assert [column.pool for column in columns("cifar10-80sec")[:3]] == [
        *("max 3/2", "avg 3/2", "avg 3/2")
    ]
    assert columns("cifar10-18pct")[0].norms == ["within"]


def test_two_towers_are_drawn_twice_and_counts_are_those_of_the_network() -> None:
    figure = network.draw_recipe(recipes.load("demo"), 10)
    blocks = [patch for patch in figure.axes[0].patches if isinstance(patch, Polygon)]
    assert len(blocks) == 3 * (1 + 2 * 7 + 1)
    assert "1,803,370 parameters, 39,586 units, 10 classes" in shown(figure)[1]
    assert {"2 \N{MULTIPLICATION SIGN} 512", "both", "tower 2"} <= set(shown(figure))


def test_a_network_with_more_layers_than_a_page_is_not_drawn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(network, "MOST_COLUMNS", 4)
    with pytest.raises(NothingToShow, match="expected at most 4 layers with weights, found 8"):
        network.draw_recipe(recipes.load("demo"), 10)


@pytest.mark.slow
@pytest.mark.parametrize("recipe", recipes.names())
def test_the_network_of_every_recipe_is_drawn(recipe: str) -> None:
    chosen = recipes.load(recipe)
    if len(columns(recipe)) > network.MOST_COLUMNS:
        wanted = rf"{recipe}: expected at most \d+ layers with weights, found \d+: .*; see alexrep"
        with pytest.raises(NothingToShow, match=wanted):
            network.draw_recipe(chosen, 10, "run")
        return
    figure = network.draw_recipe(chosen, 10, "run")
    assert shown(figure)[0] == f"run: the network of recipe {recipe}"
    total = sum(column.num_parameters for column in columns(recipe))
    assert f"{total:,} parameters" in shown(figure)[1]
