"""Caffe's weights in the two towers, against a plain network of Caffe's shapes; missing layers."""

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from recipes import alexnet_of
from torch import Tensor, nn
from torch.nn import functional

from alexrep.config import recipes
from alexrep.errors import DataError
from alexrep.models import registry
from alexrep.weights import caffe_layers

Caffe = Any
"""What the fixture `caffe` returns."""
Floats = NDArray[Any]

HERE = Path("net.caffemodel")
SIDE = 99
"""A side whose last maps are 2 x 2, so that the order of their units matters."""
CLASSES = 5
SETTINGS = (f"model.side={SIDE}", "model.width=0.1")
LAYERS = ("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8")


def read(path: Path) -> dict[str, Floats]:
    return caffe_layers.arrays_of(caffe_layers.content_of(path), path)


def network(*settings: str) -> nn.Module:
    chosen = recipes.load("alexnet-caffe", (*SETTINGS, *settings))
    return registry.build(chosen.model, CLASSES, seed=1)


def departure(*settings: str) -> float:
    """Return the largest difference from Caffe's logits, relative to the largest logit."""
    model, arrays = network(*settings).eval(), drawn()
    caffe_layers.load(model, arrays, HERE)
    images = torch.randn(3, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1)) * 70
    expected = in_caffes_way(images, arrays)
    return float((model(images) - expected).abs().max() / expected.abs().max())


def drawn(seed: int = 1) -> dict[str, Floats]:
    """Draw arrays in Caffe's shapes for a tenth of the width, so that signals keep their size."""
    shapes = {
        "conv1": (10, 3, 11, 11),
        "conv2": (26, 5, 5, 5),
        "conv3": (38, 26, 3, 3),
        "conv4": (38, 19, 3, 3),
        "conv5": (26, 19, 3, 3),
        "fc6": (410, 26 * 2 * 2),
        "fc7": (410, 410),
        "fc8": (CLASSES, 410),
    }
    rng, out = np.random.default_rng(seed), {}
    for layer, shape in shapes.items():
        std = np.sqrt(2 / np.prod(shape[1:]))
        out[f"{layer}.weight"] = rng.normal(0, std, shape).astype(np.float32)
        out[f"{layer}.bias"] = rng.normal(0, 1, shape[:1]).astype(np.float32)
    return out


def in_caffes_way(images: Tensor, arrays: dict[str, Floats]) -> Tensor:
    """Compute the logits by grouped convolutions and torch's normalisation over all maps."""
    weights = {name: torch.from_numpy(array) for name, array in arrays.items()}

    def conv(maps: Tensor, layer: str, **how: int) -> Tensor:
        weight, bias = weights[f"{layer}.weight"], weights[f"{layer}.bias"]
        return functional.relu(functional.conv2d(maps, weight, bias, **how))

    def pool(maps: Tensor) -> Tensor:
        return functional.max_pool2d(maps, 3, 2, ceil_mode=True)

    def norm(maps: Tensor) -> Tensor:
        return functional.local_response_norm(maps, 5, alpha=1e-4, beta=0.75, k=1.0)

    maps = pool(norm(conv(images, "conv1", stride=4)))
    maps = pool(norm(conv(maps, "conv2", padding=2, groups=2)))
    maps = conv(conv(maps, "conv3", padding=1), "conv4", padding=1, groups=2)
    units = pool(conv(maps, "conv5", padding=1, groups=2)).flatten(1)
    for layer in ("fc6", "fc7"):
        weight, bias = weights[f"{layer}.weight"], weights[f"{layer}.bias"]
        units = functional.relu(functional.linear(units, weight, bias))
    return functional.linear(units, weights["fc8.weight"], weights["fc8.bias"])


@torch.no_grad()
def test_the_towers_compute_what_caffes_network_does() -> None:
    assert departure() < 1e-5


@torch.no_grad()
@pytest.mark.parametrize(
    "setting",
    [
        "model.norm=code",
        "model.norm=paper",
        "model.norm_scope=tower",
        "model.conv1_order=lrn-pool-relu",
        "model.conv2_within_map=true",
        "model.conv2_norm=false",
        "model.dropout=mask",
    ],
)
def test_each_of_caffes_settings_is_needed(setting: str) -> None:
    assert departure(setting) > 0.1


def test_the_first_group_is_the_first_tower() -> None:
    model, arrays = network(), drawn()
    caffe_layers.load(model, arrays, HERE)
    state = model.state_dict()
    for layer, half in ("conv1", 5), ("conv2", 13), ("conv3", 19), ("fc6", 205):
        whole = torch.from_numpy(arrays[f"{layer}.weight"])
        assert torch.equal(state[f"towers.0.{layer}.weight"], whole[:half])
        assert torch.equal(state[f"towers.1.{layer}.weight"], whole[half:])
    assert np.array_equal(state["fc8.bias"].numpy(), arrays["fc8.bias"])


def test_the_paper_sized_shapes_are_caffes() -> None:
    with torch.device("meta"):
        model = alexnet_of("alexnet-caffe")
        from alexrep.models.alexnet.network import AlexNet

        state = AlexNet(model, 1000).state_dict()
    shapes = {
        name: (sum(state[part].shape[0] for part in parts), *state[parts[0]].shape[1:])
        for name, parts in caffe_layers.parameters_of(state).items()
    }
    assert shapes["conv2.weight"] == (256, 48, 5, 5)
    assert shapes["conv3.weight"] == (384, 256, 3, 3)
    assert shapes["fc6.weight"] == (4096, 9216)
    assert sum(int(np.prod(shape)) for shape in shapes.values()) == 60_965_224


@pytest.mark.parametrize(
    "form", [{"old": True, "legacy": True}, {"packed": False}, {"double": True}]
)
def test_every_form_of_the_file_gives_the_same_arrays(
    caffe: Caffe, tmp_path: Path, form: dict[str, bool]
) -> None:
    path, arrays = tmp_path / "net.caffemodel", drawn()
    path.write_bytes(caffe.net(arrays, **form))
    model = network()
    assert caffe_layers.load(model, read(path), path) == caffe_layers.Loaded([], [])
    other = network()
    caffe_layers.load(other, arrays, path)
    pairs = zip(model.state_dict().values(), other.state_dict().values(), strict=True)
    assert all(torch.equal(array, two) for array, two in pairs)


def test_an_npz_gives_its_arrays(tmp_path: Path) -> None:
    np.savez(tmp_path / "net.npz", **drawn())  # type: ignore[arg-type]  # the stubs see a flag
    arrays = read(tmp_path / "net.npz")
    assert arrays.keys() == drawn().keys()
    assert all(np.array_equal(arrays[name], array) for name, array in drawn().items())


def test_what_lacks_keeps_its_values_and_is_named() -> None:
    model, arrays = network(), drawn()
    before = {name: values.clone() for name, values in model.state_dict().items()}
    del arrays["fc6.weight"], arrays["fc6.bias"], arrays["conv1.bias"]
    arrays["fc8_flowers.weight"] = np.zeros((3, 4), np.float32)
    loaded = caffe_layers.load(model, arrays, HERE)
    assert loaded == caffe_layers.Loaded(["conv1.bias", "fc6"], ["fc8_flowers"])
    for name, values in model.state_dict().items():
        kept = "fc6" in name or "conv1.bias" in name
        assert torch.equal(values, before[name]) is kept
    wanted = (
        r"net\.caffemodel: expected the weights of every layer, found none of conv1\.bias, fc6 and "
        r"the unknown fc8_flowers; --allow-missing keeps"
    )
    with pytest.raises(DataError, match=wanted):
        caffe_layers.require_all(loaded, HERE)


def test_a_whole_file_is_not_refused() -> None:
    caffe_layers.require_all(caffe_layers.Loaded([], []), HERE)


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("conv2.weight", (26, 10, 5, 5), "conv2.weight: expected 26 x 5 x 5 x 5, found 26 x 10 x"),
        ("fc6.weight", (104, 410), "fc6.weight: expected 410 x 104, found 104 x 410"),
        ("fc8.bias", (1, 1, 1, 6), "fc8.bias: expected 5, found 1 x 1 x 1 x 6"),
    ],
)
def test_another_shape_is_refused(name: str, shape: tuple[int, ...], message: str) -> None:
    arrays = drawn() | {name: np.zeros(shape, np.float32)}
    with pytest.raises(DataError, match=message):
        caffe_layers.load(network(), arrays, HERE)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_not_finite_are_refused(value: float) -> None:
    arrays = drawn()
    arrays["conv3.weight"][1, 2, 0, 0] = value
    with pytest.raises(DataError, match=r"conv3\.weight: expected finite numbers, found infinity"):
        caffe_layers.load(network(), arrays, HERE)


def test_caffenet_is_told_apart_by_its_order(caffe: Caffe, tmp_path: Path) -> None:
    order = [("conv1", "Convolution"), ("pool1", "Pooling"), ("norm1", "LRN")]
    for old in (True, False):
        (tmp_path / "net").write_bytes(caffe.net({}, old=old, order=order))
        with pytest.raises(DataError, match="normalises before it pools, found the order of Caffe"):
            read(tmp_path / "net")


def test_a_layer_that_comes_twice_is_refused(caffe: Caffe, tmp_path: Path) -> None:
    (tmp_path / "net").write_bytes(2 * caffe.net({"conv1.bias": np.zeros(3)}))
    with pytest.raises(DataError, match="expected one layer 'conv1' with weights, found two"):
        read(tmp_path / "net")


def zipped(name: str, content: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(name, content)
    return stream.getvalue()


def npy(array: Floats) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "a .caffemodel, found no layers"),
        (b'name: "AlexNet"\ninput: "data"\n', "a .caffemodel, found "),
        (b"\x89HDF\r\n\x1a\n" + bytes(90), "a .caffemodel, found "),
        (b"PK\x03\x04", "arrays of numpy, found "),
        (zipped("a.npy", b"no array"), "real numbers in 'a', found "),
        (zipped("a.npy", npy(np.array(["text"]))), "real numbers in 'a', found <U4"),
        (zipped("a.npy", npy(np.array([{}], object))), "arrays of numpy, found "),
        (zipped("a.npy", npy(np.zeros(3))[:-8]), "arrays of numpy, found "),
        (
            zipped("a.npy", npy(np.zeros(3)).replace(b"(3,)", b"(9" + b"9" * 17 + b",)")),
            "arrays of",
        ),
    ],
)
def test_foreign_and_damaged_files_are_named(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "net").write_bytes(content)
    with pytest.raises(DataError, match=f"net: expected {message}"):
        read(tmp_path / "net")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(DataError, match=f"{path.name}: expected a file, found '"):
            read(path)


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_damaged_files_are_read_or_refused_in_one_line(
    caffe: Caffe, tmp_path: Path, data: st.DataObject
) -> None:
    stream = io.BytesIO()
    arrays = {"conv1.bias": np.zeros(4), "fc8.bias": np.ones(3)}
    np.savez(stream, **arrays)  # type: ignore[arg-type]  # the stubs see a flag
    whole = [caffe.net(arrays), stream.getvalue()]
    content = bytearray(data.draw(st.sampled_from(whole)))
    for index in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=6)):
        content[index] = data.draw(st.integers(0, 255))
    (tmp_path / "net").write_bytes(content[: data.draw(st.integers(0, len(content)))])
    message = ""
    try:
        read(tmp_path / "net")
    except DataError as error:
        message = str(error)
    assert message.isprintable()
