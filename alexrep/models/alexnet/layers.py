"""The order of the layers, and what each of them reads."""

from dataclasses import dataclass
from typing import Literal

from alexrep.config.model import AlexNetModel

CONV1 = {
    "lrn-pool-relu": ("conv1", "norm1", "pool1", "neuron_conv1"),
    "relu-lrn-pool": ("conv1", "neuron_conv1", "norm1", "pool1"),
}
"""The first layers: the released source's order and the paper's."""

REST = (
    *("conv2", "neuron_conv2", "norm2", "within2", "pool2"),
    *("conv3", "neuron_conv3", "conv4", "neuron_conv4"),
    *("conv5", "pool5", "neuron_conv5", "conv6", "neuron_conv6"),
    *("flatten6", "fc6", "neuron_fc6", "dropout_fc6", "fc7", "neuron_fc7", "dropout_fc7"),
)
"""All others of a tower; fc8 reads the towers and is in none."""

UNSEEN = ("neuron", "flatten", "dropout")
"""Kinds whose outputs have no name of their own."""

Reads = Literal["own", "both", "edges"]


@dataclass(frozen=True)
class TowerLayer:
    """A layer of a tower: its name, and what it reads."""

    name: str
    """Its kind, and the number or the name of the layer with weights that it goes with."""
    reads: Reads = "own"
    """The tower's own maps, those of both towers, or its own and the nearest of the other's."""

    @property
    def kind(self) -> str:
        """What it does: conv, fc, norm, within, pool, neuron, flatten or dropout."""
        return self.name.partition("_")[0].rstrip("0123456789")


def layers(model: AlexNetModel) -> tuple[TowerLayer, ...]:
    """Return a tower's layers in order, without those that `model` leaves out.

    What is left out takes its neuron and dropout along; pools stay. Where it read both towers,
    the next layer with weights does.

    Source: Krizhevsky et al. 2012, section 3.5 and figure 2; order of the released source's
        net 145, or the paper's.
    """
    gone, is_crossing, kept = _left_out(model), False, []
    for name in CONV1[model.conv1_order] + REST:
        is_crossing = is_crossing or name in model.crossings
        if name not in gone:
            layer = TowerLayer(name, _reads(model, name, is_crossing))
            is_crossing = is_crossing and layer.reads != "both"
            kept.append(layer)
    return tuple(kept)


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
        "dropout_fc6": model.dropout == "none",
        "dropout_fc7": model.dropout == "none",
    }
    gone = {name for name, is_absent in absent.items() if is_absent}
    for name in (*model.without, *(() if model.conv6 else ("conv6",))):
        gone |= {name, f"neuron_{name}", f"dropout_{name}"}
    return gone
