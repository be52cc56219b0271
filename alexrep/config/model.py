"""The networks of recipes: one settings class each, chosen by `name`.

Each has a builder of the same name in `models/registry.py`.
"""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from alexrep.config.kinds import Kinds
from alexrep.config.strict import Label, Strict

Side = Annotated[int, Field(ge=8, le=1024), Label("side of the patch")]
Activation = Annotated[Literal["relu", "tanh"], Label("activation")]
StdFactor = Annotated[float, Field(gt=0, le=100), Label("factor on the initial deviations")]
Width = Annotated[float, Field(gt=0, le=4), Label("width")]
Conv1 = Annotated[
    tuple[Annotated[int, Field(ge=1, le=11)], Annotated[int, Field(ge=1, le=8)]],
    Label("conv1, side and stride"),
]
DropoutRate = Annotated[float, Field(ge=0, lt=1), Label("dropout rate")]
LayerName = Literal["conv3", "conv4", "conv5", "fc6", "fc7"]
Padded = Literal["conv2", "conv3", "conv4", "conv5", "conv6"]
Zeros = Annotated[int, Field(ge=0, le=4)]
Kernels = Annotated[int, Field(ge=1, le=4096)]
Crossing = Literal["conv3", "conv6", "fc6", "fc7"]


class Model(Strict):
    """Fields of every network; the class of each adds its own."""

    name: str
    """Name of the network."""
    side: Side = 224
    """Side of the input patch, in pixels; 224 in the paper, section 3.5."""

    @property
    def title(self) -> str:
        """The network's name among all networks; a family's are told apart."""
        return self.name

    @property
    def gives_logits(self) -> bool:
        """Whether it ends with logits, so that it can be trained and scored."""
        return True


KINDS: Kinds[Model] = Kinds("name", default="alexnet")
"""The settings class of each network."""

register = KINDS.register
"""Adds a network's settings class, under the values of its field `name`; also a decorator."""


class AlexNetModel(Model):
    """The network of 2012."""

    name: Literal["alexnet"] = "alexnet"
    """Name of the network."""
    width: Width = 1.0
    """Kernels and units of each layer as a fraction of the paper's; the classes stay."""
    std_factor: StdFactor = 1.0
    """Factor on every initial standard deviation; 1/sqrt(width) keeps the signals' scale. Ours."""
    num_towers: Annotated[int, Field(ge=1, le=2), Label("towers")] = 2
    """Towers; one alone, with `doubled`, is the one-GPU net of section 3.2."""
    initialisation: Annotated[
        Literal["code", "paper", "caffe", "kaiming", "xavier", "torch"],
        Label(
            "D3 initial deviations",
            {
                "code": "0.01, in conv3 to conv5 0.03",
                "paper": "0.01",
                "caffe": "0.01, in fc6 and fc7 0.005",
                "kaiming": "sqrt(2 / inputs)",
                "xavier": "sqrt(2 / (inputs + outputs))",
                "torch": "sqrt(1 / (3 inputs))",
            },
        ),
    ] = "code"
    """`code`: std 0.03 in conv3 to conv6, else 0.01; `paper`: 0.01 everywhere (D3);
    `caffe`: 0.01, 0.005 in fc6 and fc7, and biases of 0.1 where the others have 1; `kaiming`,
    `xavier`, `torch`: by the inputs of each layer, as for other networks, with biases of 0, or
    with `torch` drawn. One tower of the full width learns late or never with the first three."""
    activation: Activation = "relu"
    """Nonlinearity of every hidden layer; section 3.1."""
    conv1: Conv1 = (11, 4)
    """Side of conv1's kernels and their stride, in pixels; 11 and 4 in the paper. Small images
    want smaller ones: 5 and 2 give patches of 56 the maps that 112 has in the paper's way."""
    conv1_order: Annotated[Literal["lrn-pool-relu", "relu-lrn-pool"], Label("D1 conv1 order")] = (
        "lrn-pool-relu"
    )
    """Order after conv1: the released source's, or the paper's, sections 3.3 and 3.5 (D1)."""
    norm: Annotated[
        Literal["code", "paper", "caffe", "none"],
        Label(
            "D4 normalisation",
            {
                "code": "k = 2, alpha = 1e-4 / 5",
                "paper": "k = 2, alpha = 1e-4",
                "caffe": "k = 1, alpha = 1e-4 / 5",
            },
        ),
    ] = "code"
    """Constants of the normalisation across maps: k = 2 and alpha divided by n; k = 2 and alpha
    undivided; k = 1 and alpha divided; or none of it anywhere (section 3.3, D4)."""
    norm_scope: Literal["tower", "joint"] = "tower"
    """Whether it sees one tower's maps, as in 2012, or those of both, as in Caffe."""
    conv2_norm: bool = True
    """Whether conv2 has the normalisation across maps."""
    conv2_within_map: bool = True
    """Whether the released source's second, within-map normalisation follows conv2's (D2)."""
    pool: Annotated[Literal["3/2", "2/2"], Label("pools, side/stride")] = "3/2"
    """Side and stride of the pools: overlapping, or not; section 3.4."""
    padding: Annotated[
        dict[Padded, Zeros], Label("zeros around the maps", {(): "2 in conv2, 1 in conv3 to conv5"})
    ] = Field(default={})
    """Zeros on each side of what a convolution reads, where they are not net 145's: 2 in conv2,
    1 in the others. Run 147 has 1 in conv2 and 0 in conv5."""
    kernels: Annotated[
        dict[Padded, Kernels],
        Label("kernels of a tower", {(): "128, 192, 192 and 128 in conv2 to conv5"}),
    ] = Field(default={})
    """Kernels of one tower at full width, where they are not net 145's: 128, 192, 192 and 128 in
    conv2 to conv5, 128 in conv6. Run 150 has 160 in conv2."""
    conv6: Annotated[bool, Label("sixth convolution", {True: "yes", False: "none"})] = False
    """Whether a sixth convolution, 3 x 3, follows the third pool: net 146 of the released source,
    behind the paper's errors with pre-training (section 7)."""
    crossings: tuple[Crossing, ...] = ("conv3", "conv6", "fc6", "fc7")
    """Layers that read both towers, besides fc8; none in run 150. What the network does not have
    is passed over."""
    without: Annotated[tuple[LayerName, ...], Label("layers left out")] = ()
    """Layers left out; the next one reads what they would have read. Section 7."""
    doubled: Annotated[tuple[LayerName, ...], Label("layers of double width")] = ()
    """Layers with twice as many kernels or units in each tower. One tower that is compared with
    two keeps conv5, fc6 and fc7 as wide as both, for as many parameters; section 3.2."""
    dropout: Annotated[Literal["mask", "inverted", "none"], Label("dropout")] = "mask"
    """`mask`: 0 or 1 in training, times 0.5 in evaluation, as in 2012; `inverted`: 0 or 2 in
    training, nothing in evaluation, as in torch and Caffe; or none. With another `dropout_rate`
    p, times 1 - p in evaluation, or over 1 - p in training."""
    dropout_rate: DropoutRate = 0.5
    """Probability that dropout silences a unit; 0.5 in the paper, section 4.2."""

    @property
    def title(self) -> str:
        """The network's name among all networks."""
        return self.name if self.num_towers > 1 else f"{self.name}:one-tower"

    @property
    def min_side(self) -> int:
        """Side of the smallest patch whose maps, 15, 7, 3 and 1, fill every window; 67 in 2012."""
        size, stride = self.conv1
        return size + 14 * stride

    def points(self) -> dict[str, str]:
        """Return the labelled fields, and what several fields decide together."""
        return super().points() | {
            "D2 normalisations of conv2": self._norms_of_conv2(),
            "layers that read both towers": self._crossings(),
            "normalised over": self._norm_scope(),
            "initial biases": self._biases(),
        }

    def _biases(self) -> str:
        if self.initialisation in ("kaiming", "xavier", "torch"):
            return "0" if self.initialisation != "torch" else "drawn like the weights"
        bias = 0.1 if self.initialisation == "caffe" else 1
        return f"{bias} in conv2, conv4, conv5, fc6 and fc7"

    def _norms_of_conv2(self) -> str:
        norms = ["across maps"] * self.conv2_norm + ["within maps"] * self.conv2_within_map
        return ", then ".join(norms if self.norm != "none" else []) or "none"

    def _crossings(self) -> str:
        there = [name for name in self.crossings if name != "conv6" or self.conv6]
        return ", ".join([*there, "fc8"])

    def _norm_scope(self) -> str:
        # With one tower, or without the normalisation, there is no scope to differ in.
        is_joint = self.norm_scope == "joint" and self.num_towers > 1 and self.norm != "none"
        return "both towers' maps" if is_joint else "one tower's maps"


class CifarModel(Model):
    """One of cuda-convnet's networks for CIFAR-10."""

    name: Literal["cifar10-80sec", "cifar10-18pct", "cifar10-13pct", "cifar10-11pct"]
    """Name of the network, after the time that it took or the error that it reached."""
    side: Side = 32
    """Side of the input patch, in pixels; 32 in CIFAR-10."""
    width: Width = 1.0
    """Maps and units of each layer as a fraction of the net's; the classes stay."""
    std_factor: StdFactor = 1.0
    """Factor on every initial standard deviation."""
    activation: Activation = "relu"
    """Nonlinearity of every hidden layer; figure 1 of the paper compares the two."""
    norm: Literal["code", "none"] = "code"
    """The net's own normalisations, or none."""

    @model_validator(mode="before")
    @classmethod
    def _drop_old_defaults(cls, table: Any) -> Any:  # noqa: ANN401 (any input)
        # Older recipes have AlexNet's fields for every network; for these they had to be at
        # their defaults.
        if not isinstance(table, dict):
            return table
        defaults = AlexNetModel().model_dump(mode="json")
        for key in cls.model_fields:
            defaults.pop(key, None)
        return {key: value for key, value in table.items() if value != defaults.get(key, ...)}


register(AlexNetModel)
register(CifarModel)
