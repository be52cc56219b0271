"""The kinds of input: what is subtracted and divided, in training, checkpoints and exports.

Shapes: N images of a batch, S side of the stored images, P side of the patch.
"""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import torch
from drawn_runs import drawn_run, pixels, scored
from torchvision.transforms.v2 import functional
from typer.testing import CliRunner

from alexrep.config import recipes
from alexrep.errors import ConfigError
from alexrep.feed.augment import augment, cut
from alexrep.feed.constants import constants
from alexrep.feed.dataset import TrainingData, open_data
from alexrep.feed.draws import draw
from alexrep.runs import exported, trained
from alexrep.runs.folder import RunFolder
from alexrep.runs.trained import Trained
from alexrep.stages import app
from alexrep.training import saving
from alexrep.weights import calls

SIDE = "model.side=67"
TORCHVISION = (
    *("input.kind=mean-std", "input.mean=[0.485,0.456,0.406]"),
    "input.deviation=[0.229,0.224,0.225]",
)
KINDS = {
    "mean-image": (),
    "mean-colour": ("input.kind=mean-colour",),
    "unit": ("input.kind=mean-colour", "input.range=unit"),
    "vgg": ("input.kind=mean-colour", "input.mean=[123.68,116.779,103.939]"),
    "mean-std": ("input.kind=mean-std",),
    "torchvision": TORCHVISION,
    "none": ("input.kind=none",),
    "none-unit": ("input.kind=none", "input.range=unit"),
}
"""Settings of each kind of input."""

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def training_data(data: Path) -> Iterator[TrainingData]:
    with closing(open_data(data)) as training_data:
        yield training_data


def centres(images: torch.Tensor, training_data: TrainingData, *settings: str) -> torch.Tensor:
    """Return the network input of the centre patches, in double, (N, 3, P, P)."""
    inputs = training_data.inputs(recipes.load("demo", (SIDE, *settings)))
    corner = (images.shape[1] - 67) // 2
    offsets = torch.tensor([[corner, corner]]).expand(len(images), 2)
    plain = cut(images, offsets, torch.zeros(len(images), dtype=torch.bool), inputs)
    return plain.permute(0, 3, 1, 2).double()


@pytest.mark.parametrize("channels", ["rgb", "bgr"])
def test_each_kind_is_its_formula(training_data: TrainingData, data: Path, channels: str) -> None:
    images = pixels(72)
    levels = images[:, 2:69, 2:69].permute(0, 3, 1, 2).double()
    mean_image = torch.from_numpy(np.load(data / "mean.npy")).double().permute(2, 0, 1)
    colours = json.loads((data / "pca.json").read_text())
    own = torch.tensor(colours["mean"])[:, None, None]
    stds = torch.tensor(np.diag(colours["covariance"]) ** 0.5)[:, None, None]
    vgg = torch.tensor([123.68, 116.779, 103.939])[:, None, None]
    expected = {
        "mean-image": levels - mean_image[:, 2:69, 2:69],
        "mean-colour": levels - own,
        "unit": (levels - own) / 255,
        "vgg": levels - vgg,
        "mean-std": (levels - own) / stds,
        "torchvision": functional.normalize(
            levels / 255, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
        ),
        "none": levels,
        "none-unit": levels / 255,
    }
    for kind, settings in KINDS.items():
        found = centres(images, training_data, f"feed.channels={channels}", *settings)
        wanted = expected[kind].flip(1) if channels == "bgr" else expected[kind]
        torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-4, msg=kind)


def test_the_default_is_the_mean_image_to_the_bit(training_data: TrainingData) -> None:
    named = centres(pixels(72), training_data, "input.kind=mean-image")
    assert torch.equal(named, centres(pixels(72), training_data))
    assert training_data.inputs(recipes.load("demo", (SIDE,))).factors is None


def test_numbers_in_grey_levels_and_in_the_unit_range_are_one_input(
    training_data: TrainingData,
) -> None:
    in_levels = centres(
        pixels(72),
        training_data,
        *("input.kind=mean-std", "input.range=grey", "input.mean=[51,102,153]"),
        "input.deviation=[51,25.5,51]",
    )
    in_units = centres(
        pixels(72),
        training_data,
        *("input.kind=mean-std", "input.mean=[0.2,0.4,0.6]", "input.deviation=[0.2,0.1,0.2]"),
    )
    torch.testing.assert_close(in_levels, in_units, rtol=1e-6, atol=1e-6)


def test_noise_is_in_grey_levels_and_is_scaled_with_the_pixels(training_data: TrainingData) -> None:
    images, drawn = pixels(72), draw(np.arange(4), 5, "image", True, 1, 0)
    levels, units = (
        augment(
            images,
            drawn,
            training_data.inputs(recipes.load("demo", (SIDE, *KINDS[kind]))),
            noisy=True,
        )
        for kind in ("mean-colour", "unit")
    )
    torch.testing.assert_close(levels / 255, units, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_a_checkpoint_keeps_the_input(training_data: TrainingData, kind: str) -> None:
    chosen = recipes.load("demo", (SIDE, *KINDS[kind]))
    content = saving.constants(chosen, training_data, {})
    kept, own = Trained(Path("last.pt"), content).inputs(), training_data.inputs(chosen)
    assert torch.equal(kept.mean, own.mean)
    assert (kept.factors is None) == (own.factors is None)
    if kept.factors is not None and own.factors is not None:
        assert torch.equal(kept.factors, own.factors)


@pytest.mark.parametrize("kind", ["unit", "torchvision", "none-unit"])
def test_what_is_exported_prepares_its_input_so(
    training_data: TrainingData, tmp_path: Path, kind: str
) -> None:
    settings = (SIDE, "model.width=0.05", "feed.channels=bgr", *KINDS[kind])
    run, out = drawn_run(tmp_path / "run", "demo", *settings), tmp_path / "out"
    own = constants(recipes.load("demo", settings).input, np.zeros((75, 75, 3), np.float32), None)
    content = torch.load(run.checkpoint("last"), weights_only=True)
    content["inputs"] |= {"mean": torch.from_numpy(own.mean), "factors": list(own.factors)}
    torch.save(content, run.checkpoint("last"))
    result = CliRunner().invoke(app, ["export", str(run.path), str(out)])
    assert result.exit_code == 0, result.output
    network = trained.load(RunFolder(out).checkpoint("last"))
    images = pixels(network.side)
    torch.testing.assert_close(calls.run(out, images), scored(network, images))
    assert torch.equal(
        scored(trained.load(run.checkpoint("last")), images), scored(network, images)
    )
    assert exported.read(out).input.scale == pytest.approx(own.factors)
    card = (out / "README.md").read_text()
    assert f"Then red is multiplied by {own.factors[0]:.6g}, " in card
    assert ("One number a channel" in card) == (kind != "none-unit")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            ("input.kind=none", "feed.mean=crop"),
            r"feed\.mean: expected 'centre' or 'none' with input\.kind = 'none', found 'crop'",
        ),
        (
            ("input.kind=mean-std", "feed.mean=none"),
            r"feed\.mean: expected 'centre' with input\.kind = 'mean-std', found 'none'",
        ),
        (
            ("input.kind=mean-std", "input.mean=[123,117,104]"),
            r"input\.mean: expected numbers from 0 to 1 with range = 'unit', found \(123",
        ),
        (
            ("input.kind=mean-colour", "input.mean=[0.5,0.5,0.5]"),
            r"input\.mean: expected numbers above 1 with range = 'grey', found \(0\.5",
        ),
        (
            ("input.kind=mean-std", "input.deviation=[0.2,0,0.2]"),
            r"input\.deviation: expected 'own', or three numbers above 0, to 255, found \[0\.2, 0,",
        ),
        (
            ("input.kind=mean-colour", "input.mean=[100,100]"),
            r"input\.mean: expected 'own', or three numbers from 0 to 255, found \[100, 100\]",
        ),
        (("input.kind=mean",), r"input\.kind: expected one of mean-colour, .*, found 'mean'; did"),
        (("input.kind=none", "input.mean=own"), r"input\.mean: expected a key of input"),
    ],
)
def test_contradictions_are_refused_in_words(settings: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        recipes.load("demo", settings)


def test_a_channel_that_does_not_vary_has_no_own_deviation() -> None:
    chosen = recipes.load("demo", ("input.kind=mean-std",)).input
    with pytest.raises(ConfigError, match=r"input\.deviation: .*, found 0, 1, 2; give three numb"):
        constants(chosen, np.zeros((2, 2, 3), np.float32), np.array([0.0, 1.0, 2.0]))


def test_a_recipe_with_an_input_comes_back_from_its_file() -> None:
    for settings in KINDS.values():
        chosen = recipes.load("demo", settings)
        assert recipes.parse(json.loads(chosen.model_dump_json()), "again") == chosen


def test_plans_of_before_had_the_mean_image() -> None:
    assert recipes.defaults(recipes.load("demo", TORCHVISION))["input.kind"] == "mean-image"
