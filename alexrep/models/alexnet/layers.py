"""The order of the layers, and what each of them reads."""

from dataclasses import dataclass
from typing import Literal

from alexrep.config.model import AlexNetModel

CONV1 = {
    "lrn-pool-relu": ("conv1", "norm1", "pool1", "neuron1"),
    "relu-lrn-pool": ("conv1", "neuron1", "norm1", "pool1"),
}
"""The first layers: the released source's order and the paper's."""

REST = (
    *("conv2", "neuron2", "norm2", "within2", "pool2"),
    *("conv3", "neuron3", "conv4", "neuron4", "conv5", "pool5", "neuron5"),
    *("flatten6", "fc6", "neuron6", "dropout6", "fc7", "neuron7", "dropout7"),
)
"""All others of a tower; fc8 reads the towers and is in none."""

CROSSINGS = ("conv3", "fc6", "fc7")
"""Layers of a tower that read both towers; fc8 does too."""

UNSEEN = ("neuron", "flatten", "dropout")
"""Kinds whose outputs have no name of their own."""

Reads = Literal["own", "both", "edges"]


@dataclass(frozen=True)
class TowerLayer:
    """A layer of a tower: its name, and what it reads."""

    name: str
    """Its kind and the number of the layer with weights that it goes with."""
    reads: Reads = "own"
    """The tower's own maps, those of both towers, or its own and the nearest of the other's."""

    @property
    def kind(self) -> str:
        """What it does: conv, fc, norm, within, pool, neuron, flatten or dropout."""
        return self.name.rstrip("0123456789")


def layers(model: AlexNetModel) -> tuple[TowerLayer, ...]:
    """Return a tower's layers in order, without those that `model` leaves out.

    What is left out takes its neuron and dropout along; pools stay. Where it read both towers,
    the next layer with weights does.

    Source: Krizhevsky et al. 2012, section 3.5 and figure 2; order of the released source's
        net 145, or the paper's.
    """
    gone, is_crossing, found = _left_out(model), False, []
    for name in CONV1[model.conv1_order] + REST:
        is_crossing = is_crossing or name in CROSSINGS
        if name not in gone:
            layer = TowerLayer(name, _reads(model, name, is_crossing))
            is_crossing = is_crossing and layer.reads != "both"
            found.append(layer)
    return tuple(found)


def _reads(model: AlexNetModel, name: str, is_crossing: bool) -> Reads:
    kind = TowerLayer(name).kind
    if kind in ("conv", "fc") and is_crossing:
        return "both"
    return "edges" if kind == "norm" and model.norm_scope == "joint" else "own"


def _left_out(model: AlexNetModel) -> set[str]:
    """Name the layers that the switches of `model` leave out."""
    absent = {
        "norm1": model.norm == "none",
        "norm2": model.norm == "none" or not model.conv2_norm,
        "within2": model.norm == "none" or not model.conv2_within_map,
        "dropout6": model.dropout == "none",
        "dropout7": model.dropout == "none",
    }
    gone = {name for name, is_absent in absent.items() if is_absent}
    for name in model.without:
        gone |= {name, f"neuron{name[-1]}", f"dropout{name[-1]}"}
    return gone
