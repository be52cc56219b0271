"""Evaluation on a split: averaged probabilities, each image once, no other state changed."""

import itertools
import re
import tarfile
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from alexrep.config.model import AlexNetModel
from alexrep.errors import AlexrepError, DataError
from alexrep.evaluation.evaluate import Outputs, evaluate, probabilities, require_labels
from alexrep.evaluation.scores import Scores
from alexrep.feed.batches import Reader
from alexrep.feed.normalise import Inputs, make_inputs
from alexrep.models import registry
from alexrep.shards.read import Split, open_split

SIDE, PATCH = 72, 67

pytestmark = pytest.mark.usefixtures("one_thread")


class Blue(nn.Module):
    """Predicts the class from the blue of the patch, as the tiny edition draws it."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = 0

    def forward(self, patches: Tensor) -> Tensor:
        self.seen += len(patches)
        blue = patches[:, 2].mean((1, 2))
        return -(blue[:, None] - torch.tensor([45.0, 125.0, 205.0])).abs()


@pytest.fixture
def val(data: Path) -> Iterator[Split]:
    with closing(open_split(data, "val")) as split:
        yield split


@pytest.fixture
def inputs(data: Path) -> Inputs:
    return make_inputs(np.load(data / "mean.npy"), np.eye(3), np.ones(3), PATCH, 0.1, True)


@pytest.fixture
def no_mean() -> Inputs:
    return make_inputs(np.zeros((SIDE, SIDE, 3)), np.eye(3), np.ones(3), PATCH, 0.1, True)


@pytest.fixture(scope="module")
def net() -> nn.Module:
    return registry.build(AlexNetModel(side=PATCH, width=0.05, std_factor=4.5), 3, seed=1)


def images_of(split: Split) -> Tensor:
    with Reader(split, 1) as reader:
        return torch.from_numpy(next(reader.read([np.arange(len(split))])).images)


def run(
    model: nn.Module, split: Split, inputs: Inputs, which: str, threads: int = 2, size: int = 3
) -> tuple[Scores, Outputs]:
    return evaluate(model, split, inputs, (which,), threads=threads, batch_size=size)[which]


def by_loop(model: nn.Module, image: Tensor, inputs: Inputs) -> Tensor:
    """Average the softmax over ten patches of one image, cut one by one."""
    border, total = SIDE - PATCH, torch.zeros(3)
    corners = [*itertools.product((0, border), (0, border)), (border // 2, border // 2)]
    for (row, column), reflect in itertools.product(corners, (False, True)):
        patch = image[row : row + PATCH, column : column + PATCH].float()
        patch = (patch.flip(1) if reflect else patch) - inputs.mean
        total += model(patch.permute(2, 0, 1)[None])[0].softmax(0)
    return total / 10


@pytest.mark.parametrize("which", ["centre", "ten-crop"])
def test_a_network_that_knows_the_class_makes_the_quarantined_error_only(
    val: Split, no_mean: Inputs, which: str
) -> None:
    scores, predictions = run(Blue(), val, no_mean, which)
    assert np.array_equal(predictions.top5[:, 0], val.labels)
    assert (scores.num_images, scores.num_scored, scores.num_quarantined) == (8, 7, 1)
    assert scores.top1_error == 1 / 8


def test_the_right_class_by_reading_the_shards_names(val: Split, no_mean: Inputs) -> None:
    _, predictions = run(Blue(), val, no_mean, "centre")
    numbers = [int(re.findall(rb"_(\d{8})\.", name)[0]) for name in val.names]
    assert predictions.top5[:, 0].tolist() == [(number - 1) % 3 for number in numbers]


@torch.no_grad()
def test_probabilities_are_averaged_over_the_ten_patches(
    net: nn.Module, val: Split, inputs: Inputs
) -> None:
    net.eval()
    images = images_of(val)
    averaged = probabilities(net, images, "ten-crop", inputs)
    expected = torch.stack([by_loop(net, image, inputs) for image in images])
    assert torch.allclose(averaged, expected, atol=1e-5)
    assert torch.allclose(averaged.sum(1), torch.ones(len(images)))


def test_it_is_not_the_logits_that_are_averaged() -> None:
    class Turning(nn.Module):
        """Sure of class 0 once, then twice half sure of class 1, in turn."""

        turns = itertools.cycle([[9.0, 0.0], [0.0, 1.0], [0.0, 1.0], [0.0, 1.0], [0.0, 1.0]])

        def forward(self, patches: Tensor) -> Tensor:
            return torch.tensor([next(self.turns)])

    images, inputs = torch.zeros(1, 8, 8, 3, dtype=torch.uint8), _constants(8, 4)
    averaged = probabilities(Turning(), images, "ten-crop", inputs)[0]
    sure, half = torch.tensor([9.0, 0.0]).softmax(0), torch.tensor([0.0, 1.0]).softmax(0)
    assert torch.allclose(averaged, (sure + 4 * half) / 5)
    # The mean of the logits, (9/5, 4/5), would have chosen class 0.
    assert averaged.argmax() == 1


@pytest.mark.parametrize("which", ["centre", "ten-crop"])
def test_the_result_does_not_depend_on_batch_size_and_threads(
    net: nn.Module, val: Split, inputs: Inputs, which: str
) -> None:
    scores, predictions = run(net, val, inputs, which, threads=1, size=100)
    for threads, size in (1, 1), (3, 2), (2, 7):
        others, other = run(net, val, inputs, which, threads=threads, size=size)
        assert (others.top1_error, others.top5_error) == (scores.top1_error, scores.top5_error)
        assert others.loss == pytest.approx(scores.loss, rel=1e-5)
        assert np.array_equal(other.top5, predictions.top5)
        assert np.allclose(other.probabilities, predictions.probabilities, atol=1e-5)


@pytest.mark.parametrize(("which", "views"), [("centre", 1), ("ten-crop", 10)])
def test_every_image_is_seen_exactly_once_in_each_view(
    val: Split, no_mean: Inputs, which: str, views: int
) -> None:
    model = Blue()
    progress: list[int] = []
    evaluate(model, val, no_mean, (which,), threads=2, batch_size=3, done=progress.append)
    assert model.seen == views * len(val)
    assert progress == [3, 3, 1]


def test_predictions_fall_and_are_of_the_named_classes(
    net: nn.Module, val: Split, inputs: Inputs
) -> None:
    _, predictions = run(net, val, inputs, "centre")
    assert predictions.top5.shape == predictions.probabilities.shape == (7, 3)
    assert predictions.top5.dtype == np.int64
    assert predictions.probabilities.dtype == np.float32
    assert (np.diff(predictions.probabilities, axis=1) <= 0).all()
    assert np.array_equal(np.sort(predictions.top5), np.tile([0, 1, 2], (7, 1)))


@pytest.mark.parametrize("training", [True, False])
def test_the_network_is_left_in_the_mode_it_came_in(
    val: Split, no_mean: Inputs, training: bool
) -> None:
    model = Blue().train(training)
    run(model, val, no_mean, "centre")
    assert model.training is training


def test_the_mode_is_restored_after_an_error_too(val: Split, no_mean: Inputs) -> None:
    class Broken(nn.Module):
        def forward(self, patches: Tensor) -> Tensor:
            return torch.full((len(patches), 3), torch.nan)

    model = Broken()
    with pytest.raises(AlexrepError, match="network: expected finite logits, found others; train"):
        run(model, val, no_mean, "centre")
    assert model.training


def test_the_network_learns_nothing_from_it(net: nn.Module, val: Split, inputs: Inputs) -> None:
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    run(net, val, inputs, "ten-crop")
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())
    assert all(parameter.grad is None for parameter in net.parameters())


def test_a_second_time_gives_the_same_bits(net: nn.Module, val: Split, inputs: Inputs) -> None:
    torch.manual_seed(1)
    first, again = run(net, val, inputs, "ten-crop", threads=1)
    torch.manual_seed(2)
    second, other = run(net, val, inputs, "ten-crop", threads=3)
    assert first == second
    assert np.array_equal(again.probabilities, other.probabilities)


def test_unknown_labels_are_refused(val: Split) -> None:
    val.labels[2:4] = -1
    wanted = r"val-00000\.h5: expected labels, found 2 images without; use the val split"
    with pytest.raises(DataError, match=wanted):
        require_labels(val, np.arange(len(val)))
    require_labels(val, np.arange(2))


def test_decoded_images_are_those_of_the_prepared_tar(data: Path, val: Split) -> None:
    images = images_of(val)
    with tarfile.open(data / "images" / "val" / "00000.tar") as tar:
        for name, image in zip(val.names, images, strict=True):
            stream = tar.extractfile(name.decode())
            assert stream is not None
            assert np.array_equal(np.asarray(Image.open(stream)), image.numpy())


def _constants(side: int, patch: int) -> Inputs:
    return make_inputs(np.zeros((side, side, 3)), np.eye(3), np.ones(3), patch, 0.1, True)


def _every(batch: NDArray[np.int64], first: int, step: int) -> NDArray[np.int64]:
    return batch[first::step]


@pytest.mark.parametrize("size", [2, 5])
def test_shares_of_several_processes_make_up_the_whole(
    net: nn.Module, val: Split, inputs: Inputs, size: int
) -> None:
    whole, all_told = run(net, val, inputs, "centre")
    progress: list[int] = []
    shares = [partial(_every, first=rank, step=size) for rank in range(size)]
    parts = [
        evaluate(
            net,
            val,
            inputs,
            ("centre",),
            threads=1,
            batch_size=3,
            done=progress.append,
            share=shares[rank],
        )["centre"]
        for rank in range(size)
    ]
    assert sum(scores.top1_credit for scores, _ in parts) == whole.top1_credit
    assert sum(scores.num_scored for scores, _ in parts) == len(val)
    assert sum(progress) == len(val)
    # Each process sees the same number of batches, some of them empty.
    assert len(progress) == 3 * size
    assert sum(len(predictions.top5) for _, predictions in parts) == len(all_told.top5)


def test_images_whose_indices_are_not_named_are_left_out(val: Split, no_mean: Inputs) -> None:
    indices = np.array([0, 3])
    scores, predictions = evaluate(
        Blue(), val, no_mean, ("centre",), threads=1, batch_size=3, indices=indices
    )["centre"]
    assert scores.num_scored == 2
    assert predictions.top5[:, 0].tolist() == val.labels[indices].tolist()
