"""The settings of our networks since 2012, and the table of all networks that recipes use."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from alexrep.config import model as models
from alexrep.config.model import Conv1, DropoutRate, Model, Side, Width
from alexrep.config.strict import Label

KINDS = models.KINDS
"""The settings class of each network, those of this file among them."""

Initialisation = Literal["kaiming", "xavier", "normal", "torch"]
Count = Annotated[int, Field(ge=1, le=1024)]
Levels = Annotated[tuple[Count, ...], Field(min_length=1, max_length=8)]
Maps = Annotated[int, Field(ge=4, le=4096)]


class DrawnModel(Model):
    """Fields of every network whose values `models/initial_values.py` draws."""

    initialisation: Annotated[Initialisation, Label("initial values")] = "kaiming"
    """`kaiming`: He et al. 2015; `xavier`: Glorot and Bengio 2010; `normal`: Gaussian of `std`;
    `torch`: the defaults of PyTorch's layers."""
    std: Annotated[float, Field(gt=0, le=10), Label("initial deviation, of normal")] = 0.01
    """Standard deviation of `normal`."""
    dropout_rate: DropoutRate = 0.0
    """Probability that dropout silences a unit before the last layer; 0: no dropout."""


@models.register
class AlexNet2014Model(DrawnModel):
    """The network of 2014: one tower, without normalisations.

    Source: Krizhevsky, One weird trick for parallelizing convolutional neural networks, 2014.
    """

    name: Literal["alexnet-2014"] = "alexnet-2014"
    """Name of the network."""
    width: Width = 1.0
    """Kernels and units of each layer as a fraction of the paper's; the classes stay."""
    conv1: Conv1 = (11, 4)
    """Side of conv1's kernels and their stride, in pixels; 11 and 4 in the paper. Small images
    want smaller ones."""
    initialisation: Annotated[Initialisation, Label("initial values")] = "kaiming"
    """As for the other networks; ours."""
    dropout_rate: DropoutRate = 0.5
    """Probability that dropout silences a unit of fc6 or fc7; 0: no dropout."""


@models.register
class ResNetModel(DrawnModel):
    """A residual network.

    Source: He et al. 2015 (Deep residual learning) and 2016 (Identity mappings).
    """

    name: Literal["resnet"]
    """Name of the network."""
    repeats: Annotated[Levels, Label("blocks of each level")] = (2, 2, 2, 2)
    """Blocks of each level: 2, 2, 2, 2 in ResNet-18; 3, 4, 6, 3 in ResNet-34 and -50;
    3, 4, 23, 3 in -101; 3, 8, 36, 3 in -152. After the first level each begins with half the
    side and twice the maps."""
    block: Annotated[Literal["basic", "bottleneck"], Label("block")] = "basic"
    """`basic`: two 3 x 3 convolutions; `bottleneck`: 1 x 1, 3 x 3, and 1 x 1 to four times as
    many maps."""
    preactivation: Annotated[bool, Label("activation before convolution")] = False
    """Whether normalisation and ReLU come before each convolution, with nothing after the sum, as
    in 2016, or after it, as in 2015."""
    width: Annotated[Maps, Label("maps of the first level")] = 64
    """Maps of the first level, before a bottleneck's fourfold; 64 for ImageNet."""
    stem: Annotated[Literal["7x7", "3x3", "none"], Label("stem")] = "7x7"
    """`7x7`: a convolution of stride 2 and a pool, for ImageNet; `3x3`: a convolution of stride 1,
    for CIFAR; or none, and the first level reads the image."""
    head: Annotated[bool, Label("head", {True: "yes", False: "none"})] = True
    """Whether mean pooling and a fully connected layer end it; without, it gives maps and can be
    looked at but not trained."""
    stride_in: Annotated[Literal["3x3", "1x1"], Label("stride of bottlenecks in")] = "3x3"
    """Convolution of a bottleneck that halves the side: the 3 x 3 one, as in most programs
    ("version 1.5"), or the first, as in the paper."""

    @property
    def title(self) -> str:
        """The network's name among all networks, with its depth."""
        depth = 2 + sum(self.repeats) * (2 if self.block == "basic" else 3)
        return f"{self.name}:{depth}" + ("-v2" if self.preactivation else "")

    @property
    def gives_logits(self) -> bool:
        """Whether it has its head."""
        return self.head


@models.register
class TinyResNetModel(DrawnModel):
    """The residual network of the Tiny ImageNet demo."""

    name: Literal["tiny-resnet"]
    """Name of the network."""
    side: Side = 64
    """Side of the input patch, in pixels; 64 in Tiny ImageNet."""
    levels: Annotated[Levels, Label("bottlenecks of each level")] = (3, 6, 4)
    """Bottlenecks of each level; a block that halves the side and doubles the maps follows."""
    width: Annotated[Maps, Label("maps of the first level")] = 32
    """Maps of the first level; a multiple of 4."""
    stem: Annotated[bool, Label("stem", {True: "yes", False: "none"})] = True
    """Whether a separable 7 x 7 convolution comes first; without, the first level has 3 maps."""
    head: Annotated[bool, Label("head", {True: "yes", False: "none"})] = True
    """Whether mean pooling and a fully connected layer end it; without, it gives maps."""

    @property
    def gives_logits(self) -> bool:
        """Whether it has its head."""
        return self.head

    @model_validator(mode="after")
    def _has_whole_bottlenecks(self) -> Self:
        if self.width % 4:
            raise ValueError("width must be a multiple of 4")
        return self


@models.register
class TinyInceptionModel(DrawnModel):
    """The Inception-ResNet of the Tiny ImageNet demo."""

    name: Literal["tiny-inception"]
    """Name of the network."""
    side: Side = 64
    """Side of the input patch, in pixels; 64 in Tiny ImageNet."""
    levels: Annotated[tuple[Count, Count, Count], Label("blocks of each level")] = (2, 4, 2)
    """Blocks of each of the three levels."""
    width: Annotated[Maps, Label("maps of the first level")] = 64
    """Maps of the first level; a multiple of 8."""

    @model_validator(mode="after")
    def _has_whole_branches(self) -> Self:
        if self.width % 8:
            raise ValueError("width must be a multiple of 8")
        return self


@models.register
class MobileNetModel(DrawnModel):
    """MobileNet of 2017. Source: Howard et al. 2017."""

    name: Literal["mobilenet-v1"]
    """Name of the network."""
    width: Width = 1.0
    """Width multiplier of section 3.3: maps of each layer as a fraction of the paper's."""
