"""The recipes that ship: what each must say, and what each ablation changes."""

import pytest
import torch
from recipes import alexnet_of

from alexrep.config import departures, recipes
from alexrep.config.recipe import REMARKS
from alexrep.models import registry
from alexrep.models.alexnet.network import AlexNet
from alexrep.models.without_values import WithoutValues

ABLATIONS = {
    "alexnet-2012-inverted-dropout": ["dropout"],
    "alexnet-2012-no-conv3": ["layers left out"],
    "alexnet-2012-no-conv4": ["layers left out"],
    "alexnet-2012-no-conv5": ["layers left out"],
    "alexnet-2012-no-fc6": ["layers left out"],
    "alexnet-2012-no-fc7": ["layers left out"],
    "alexnet-2012-no-noise": ["colour noise", "colour noise, scale"],
    "alexnet-2012-tanh": ["activation"],
}
"""Ablations on net 145's schedule, and the only points in which they depart from it."""


def points(name: str) -> list[str]:
    """Return the names of the points in which a recipe departs from net 145."""
    lines = departures.of(recipes.load(name))
    return sorted(line.partition(":")[0].partition(" from epoch")[0] for line in lines)


@pytest.mark.parametrize("name", recipes.names())
def test_a_recipe_says_where_it_comes_from_and_what_to_expect(name: str) -> None:
    recipe = recipes.load(name)
    assert recipe.name == name
    assert recipe.source
    assert recipe.expected
    assert recipe.time


@pytest.mark.parametrize("name", recipes.names())
def test_the_command_trains_by_the_recipe_in_a_run_of_its_name(name: str) -> None:
    words = recipes.load(name).command.split()
    assert words[:2] == ["alexrep", "train"]
    weights = ["--weights", "runs/alexnet-146-2011"] if recipes.load(name).start else []
    assert words[3:] == ["--run", f"runs/{name}", "--recipe", name, *weights]


@pytest.mark.parametrize("name", ABLATIONS)
def test_an_ablation_changes_one_thing(name: str) -> None:
    assert points(name) == ABLATIONS[name]


@pytest.mark.parametrize("layer", ["conv3", "conv4", "conv5", "fc6", "fc7"])
def test_an_ablation_leaves_out_the_layer_of_its_name(layer: str) -> None:
    assert alexnet_of(f"alexnet-2012-no-{layer}").without == (layer,)


@pytest.mark.parametrize("name", ["alexnet-2010", "alexnet-2012-continued", "alexnet-170"])
def test_another_schedule_is_the_same_network_on_the_same_images(name: str) -> None:
    plain = recipes.load("alexnet-2012")
    changed = recipes.difference(plain, recipes.load(name))
    fields = {line.partition(":")[0] for line in changed} - {*REMARKS}
    assert all(field.startswith("schedule.") for field in fields)


def test_the_paper_read_literally_has_all_five_differences() -> None:
    assert [name[:2] for name in points("alexnet-paper") if name[0] == "D"] == [
        *("D1", "D2", "D3", "D4", "D5", "D5")
    ]


def test_other_runs_depart_in_the_points_that_their_files_name() -> None:
    network = [name for name in points("alexnet-2012-pool-2-2") if "rate" not in name]
    assert network == ["colour noise", "epochs", "pools, side/stride", "zeros around the maps"]
    network = [name for name in points("alexnet-2012-apart") if "rate" not in name]
    assert network == [
        *("colour noise", "epochs", "kernels of a tower", "layers of double width"),
        "layers that read both towers",
    ]


@pytest.mark.parametrize(
    ("name", "num"),
    [
        ("alexnet-2012", 60_965_224),
        ("alexnet-2012-pool-2-2", 60_965_224),
        ("alexnet-2012-apart", 60_714_408),
        ("alexnet-torchvision", 61_100_840),
        ("googlenet", 13_004_888),
        ("mobilenet-v2", 3_504_872),
        ("resnet18", 11_689_512),
        ("resnet50", 25_557_032),
        ("vgg11", 132_863_336),
        ("vgg16", 138_357_544),
        ("alexnet-one-tower", 62_378_344),
    ],
)
def test_networks_have_the_published_numbers_of_parameters(name: str, num: int) -> None:
    with WithoutValues():
        network = registry.build(recipes.load(name).model, 1000, seed=1)
    assert sum(one.numel() for one in network.parameters()) == num


def test_net_146_has_a_sixth_convolution() -> None:
    with torch.device("meta"):
        network = AlexNet(alexnet_of("alexnet-146-2012"), 1000)
    assert sum(one.numel() for one in network.parameters()) == 61_555_304


def test_run_148_has_no_normalisation_anywhere() -> None:
    model = alexnet_of("alexnet-2012-no-lrn")
    assert (model.norm, model.conv2_norm, model.conv2_within_map) == ("none", False, False)


def test_run_167_normalises_conv1_only() -> None:
    model = alexnet_of("alexnet-170-no-conv2-norm")
    assert (model.norm, model.conv2_norm, model.conv2_within_map) == ("code", False, False)


def test_the_fast_recipe_draws_for_each_image_in_a_new_order() -> None:
    feed = recipes.load("alexnet-170-256").feed
    assert (feed.batch_size, feed.order, feed.draws) == (256, "shuffled", "image")


def test_caffe_steps_are_100000_batches_of_256() -> None:
    caffe = recipes.load("alexnet-caffe")
    assert round(100_000 * caffe.feed.batch_size / 1_281_167) == 20
    assert round(450_000 * caffe.feed.batch_size / 1_281_167) == caffe.schedule.epochs


def test_caffe_is_caffe() -> None:
    recipe = recipes.load("alexnet-caffe")
    model, feed = alexnet_of("alexnet-caffe"), recipe.feed
    assert (model.side, model.initialisation, model.conv1_order) == (227, "caffe", "relu-lrn-pool")
    assert (model.norm, model.norm_scope, model.dropout) == ("caffe", "joint", "inverted")
    assert (model.conv2_norm, model.conv2_within_map) == (True, False)
    assert (feed.mean, feed.channels, recipe.noise.scale) == ("crop", "bgr", 0)
