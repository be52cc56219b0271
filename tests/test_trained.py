"""What a checkpoint holds, loaded for evaluation."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from alexrep.config import recipes
from alexrep.errors import ConfigError, DataError
from alexrep.feed.normalise import make_inputs
from alexrep.models import registry
from alexrep.runs.trained import Trained

HERE = Path("last.pt")
MEAN = np.random.default_rng(1).uniform(0, 255, (72, 72, 3)).astype(np.float32)
AXES, STDS = np.linalg.qr(np.random.default_rng(2).normal(size=(3, 3)))[0], [120.0, 37.0, 20.0]
SETTINGS = ("model.side=67", "model.width=0.05", "noise.scale=0.2", "seed=4")


@pytest.fixture
def content() -> dict[str, Any]:
    """Return a checkpoint's content, as training saves it."""
    chosen = recipes.load("demo", SETTINGS)
    network = registry.build(chosen.model, 3, seed=99)
    synset = {"words": "cat", "num_train_images": 6}
    return {
        "state_dict": network.state_dict(),
        "config": chosen.model_dump(mode="json", exclude_none=True),
        "classes": [{"index": k, "wnid": f"n{k}", "id": 3 - k, **synset} for k in range(3)],
        "inputs": {
            "mean": torch.from_numpy(MEAN),
            "axes": AXES.tolist(),
            "stds": STDS,
            "side": 72,
        },
    }


def test_the_recipe_comes_back(content: dict[str, Any]) -> None:
    assert Trained(HERE, content).recipe == recipes.load("demo", SETTINGS)


def test_the_network_comes_back_with_its_weights(content: dict[str, Any]) -> None:
    state = Trained(HERE, content).model().state_dict()
    assert state.keys() == content["state_dict"].keys()
    assert all(torch.equal(state[name], content["state_dict"][name]) for name in state)


def test_weights_of_another_network_are_named(content: dict[str, Any]) -> None:
    content["config"]["model"]["width"] = 0.1
    wanted = r"fc8\.weight of \(3, 410\), as its recipe says, found fc8\.weight of \(3, 204\); name"
    with pytest.raises(DataError, match=rf"last\.pt: expected {wanted}"):
        Trained(HERE, content).model()


def test_lacking_weights_are_named(content: dict[str, Any]) -> None:
    del content["state_dict"]["fc8.bias"]
    with pytest.raises(DataError, match=r"expected fc8\.bias of \(3,\), .*, found .* no shape"):
        Trained(HERE, content).model()


def test_the_class_table_comes_back(content: dict[str, Any]) -> None:
    assert Trained(HERE, content).classes.index_of_wnid == {"n0": 0, "n1": 1, "n2": 2}


def test_the_normalisation_comes_back(content: dict[str, Any]) -> None:
    inputs = Trained(HERE, content).inputs()
    expected = make_inputs(MEAN, AXES, np.array(STDS), 67, 0.2, True)
    assert torch.equal(inputs.mean, expected.mean)
    assert torch.equal(inputs.noise, expected.noise)
    assert inputs.divisor == expected.divisor


def test_caffes_mean_and_colours_come_back(content: dict[str, Any]) -> None:
    content["config"]["feed"] |= {"mean": "crop", "channels": "bgr"}
    inputs = Trained(HERE, content).inputs()
    assert torch.equal(inputs.mean, torch.from_numpy(MEAN).flip(2))
    assert (inputs.side, inputs.follows, inputs.is_bgr) == (67, True, True)


def test_a_recipe_of_another_version_is_named(content: dict[str, Any]) -> None:
    content["config"]["model"]["depth"] = 8
    with pytest.raises(ConfigError, match=r"last\.pt: model\.depth: expected a key of model"):
        Trained(HERE, content).model()


def test_a_class_table_that_is_none_is_named(content: dict[str, Any]) -> None:
    content["classes"] = [{"index": 0, "name": "cat"}]
    with pytest.raises(DataError, match=r"last\.pt: expected a class table, found "):
        _ = Trained(HERE, content).classes
