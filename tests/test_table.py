"""The table of a network's layers, as text and as a file."""

import json
from pathlib import Path

from torch import nn

from alexrep.models import layer_table
from alexrep.models.count import layers

NETWORK = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten())


def test_the_text_has_a_line_for_each_layer_and_the_total() -> None:
    lines = [line.split() for line in layer_table.text(layers(NETWORK, 8)).splitlines()]
    assert lines == [
        ["layer", "output", "parameters", "multiply-adds", "activation", "bytes"],
        ["0", "4", "x", "6", "x", "6", "112", "3,888", "576"],
        ["2", "4", "x", "3", "x", "3", "0", "0", "144"],
        ["total", "112", "3,888", "720"],
    ]


def test_the_file_holds_the_layers_and_their_total(tmp_path: Path) -> None:
    layer_table.save(tmp_path / "layers.json", NETWORK, 8)
    document = json.loads((tmp_path / "layers.json").read_text())
    numbers = {"weights": 108, "biases": 4, "parameters": 112, "fixed": 0, "multiply_adds": 3888}
    conv = {"name": "0", "output": [4, 6, 6], "activation_bytes": 576} | numbers
    assert document["layers"][0] == conv
    assert document["total"] == numbers | {"activation_bytes": 720}
