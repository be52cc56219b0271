"""The network of a recipe."""

from typing import Annotated, Literal

from pydantic import Field

from alexrep.config.strict import Strict

Layer = Literal["conv3", "conv4", "conv5", "fc6", "fc7"]


class Model(Strict):
    """The network."""

    name: str = "alexnet"
    """Name in the registry of models."""
    side: Annotated[int, Field(ge=8, le=1024)] = 224
    """Side of the input patch, in pixels; 224 in the paper, section 3.5."""
    width: Annotated[float, Field(gt=0, le=4)] = 1.0
    """Kernels and units of each layer as a fraction of the paper's; the classes stay."""
    std_factor: Annotated[float, Field(gt=0, le=100)] = 1.0
    """Factor on every initial standard deviation; 1/sqrt(width) keeps the signals' scale. Ours."""
    num_towers: Annotated[int, Field(ge=1, le=2)] = 2
    """Towers; one alone, with `doubled`, is the one-GPU net of section 3.2."""
    initialisation: Literal["code", "paper", "caffe"] = "code"
    """`code`: std 0.03 in conv3 to conv5, else 0.01; `paper`: 0.01 everywhere (FIDELITY D3);
    `caffe`: 0.01, 0.005 in fc6 and fc7, and biases of 0.1 where the others have 1."""
    activation: Literal["relu", "tanh"] = "relu"
    """Nonlinearity of every hidden layer; section 3.1."""
    conv1_order: Literal["lrn-pool-relu", "relu-lrn-pool"] = "lrn-pool-relu"
    """Order after conv1: the released source's, or the paper's, sections 3.3 and 3.5 (D1)."""
    norm: Literal["code", "paper", "caffe", "none"] = "code"
    """Constants of the normalisation across maps: k = 2 and alpha divided by n; k = 2 and alpha
    undivided; k = 1 and alpha divided; or none of it anywhere (section 3.3, D4)."""
    norm_scope: Literal["tower", "joint"] = "tower"
    """Whether it sees one tower's maps, as in 2012, or those of both, as in Caffe."""
    conv2_norm: bool = True
    """Whether conv2 has the normalisation across maps."""
    conv2_within_map: bool = True
    """Whether the released source's second, within-map normalisation follows conv2's (D2)."""
    pool: Literal["3/2", "2/2"] = "3/2"
    """Side and stride of the pools: overlapping, or not; section 3.4."""
    without: tuple[Layer, ...] = ()
    """Layers left out; the next one reads what they would have read. Section 7."""
    doubled: tuple[Layer, ...] = ()
    """Layers with twice as many kernels or units in each tower. One tower that is compared with
    two keeps conv5, fc6 and fc7 as wide as both, for as many parameters; section 3.2."""
    dropout: Literal["mask", "inverted", "none"] = "mask"
    """`mask`: 0 or 1 in training, times 0.5 in evaluation, as in 2012; `inverted`: 0 or 2 in
    training, nothing in evaluation, as in torch and Caffe; or none."""
