"""The fields of a recipe, in groups: frozen, strict models with a source for every number."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from alexrep.curves import Curve, Rate

Layer = Literal["conv3", "conv4", "conv5", "fc6", "fc7"]
Metric = Literal["train_loss", "train_error", "val_loss", "val_top1_error", "val_top5_error"]


class Strict(BaseModel):
    """A part of a recipe: unknown keys, wrong types and changes are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


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


class Feed(Strict):
    """Order, batches and draws of the training images."""

    batch_size: Annotated[int, Field(ge=1, le=1 << 20)] = 128
    """Images in a training batch, over all processes; 128 in the paper, section 5."""
    order: Literal["shuffled", "fixed"] = "shuffled"
    """A permutation keyed by (seed, epoch), or the shards' order each epoch as in 2012."""
    draws: Literal["image", "group32"] = "image"
    """One offset and reflection per image, or per 32 consecutive images as in 2012."""
    reflect: bool = True
    """Whether half the patches are reflected; section 4.1."""
    mean: Literal["centre", "crop"] = "centre"
    """Part of the mean image that is subtracted: the central one after crop and reflection, as
    in 2012; or the one at the patch's own place before reflection, as in Caffe."""
    channels: Literal["rgb", "bgr"] = "rgb"
    """Order of the colours at the network's input; Caffe's is BGR."""
    shuffle_labels: bool = False
    """Control experiment: permute the training labels, seeded; nothing can be learnt. Ours."""

    @model_validator(mode="after")
    def _groups_need_a_fixed_order(self) -> Self:
        if self.draws == "group32" and self.order != "fixed":
            raise ValueError("draws = 'group32' needs order = 'fixed'")
        return self


class Noise(Strict):
    """The colour PCA noise of section 4.1."""

    scale: Annotated[float, Field(ge=0, le=10)] = 0.1
    """Factor on the standard deviations along the colour axes; 0.1 in the paper, 0 for none."""
    divide: bool = True
    """Divide the noisy patch by 1 + scale, as the released source does and the paper omits."""


class Optimiser(Strict):
    """The update rule of section 5; the rates are in the schedule."""

    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """Share of the last step kept; 0.9 in the paper."""
    weight_decay: Annotated[float, Field(ge=0, le=10)] = 0.0005
    """Decay of weights, never of biases; 0.0005 in the paper."""
    layer_decays: dict[str, Annotated[float, Field(ge=0, le=10)]] = {}
    """Decay of the weights of single layers, where it is another."""


class Change(Strict):
    """Rates from some epoch on; what is not named stays as it was."""

    epoch: Annotated[int, Field(ge=0)]
    """Number of finished epochs at which the change takes effect."""
    weights: Rate | None = None
    """Learning rate of weights."""
    biases: Rate | None = None
    """Learning rate of biases."""
    noise: bool | None = None
    """Whether the colour noise is on."""
    layers: tuple[str, ...] = ()
    """Layers whose own rates this sets, which then stay their own; empty: all the others."""


class Stop(Strict):
    """When to end before the last epoch."""

    metric: Metric
    """What is looked at after each epoch."""
    patience: Annotated[int, Field(ge=1)] | None = None
    """Epochs without a new lowest value after which to stop; none: as many as there are."""
    target: Annotated[float, Field(ge=0)] | None = None
    """Value at or under which to stop; none: no such value."""


class Schedule(Strict):
    """The learning rates, epoch by epoch."""

    epochs: Annotated[int, Field(ge=1, le=100000)]
    """Epochs to train."""
    weights: Curve | None = None
    """Learning rate of weights by epoch; none: by `changes` alone."""
    biases: Curve | None = None
    """Learning rate of biases by epoch; there if and only if `weights` is."""
    changes: tuple[Change, ...] = ()
    """Changes in order of their epochs. Without curves the first is at epoch 0 and sets both
    rates; with curves they set rates of named layers and the noise only."""
    stop: Stop | None = None
    """When to end early."""

    @model_validator(mode="after")
    def _is_complete_and_rises(self) -> Self:
        epochs = [change.epoch for change in self.changes]
        if epochs != sorted(epochs):
            raise ValueError("changes must be in order of their epochs")
        if (self.weights is None) != (self.biases is None):
            raise ValueError("weights and biases must both have a curve, or neither")
        if self.weights is None:
            self._require_rates_at_the_start()
        elif any(one.weights or one.biases for one in self.changes if not one.layers):
            raise ValueError("beside curves, changes may set rates of named layers only")
        return self

    def _require_rates_at_the_start(self) -> None:
        first = self.changes[0] if self.changes else None
        if first is None or first.epoch or first.layers or None in (first.weights, first.biases):
            raise ValueError("the first change must be at epoch 0 and set weights and biases")


class Limits(Strict):
    """Less than the whole data set, to try something out."""

    batches: Annotated[int, Field(ge=1)] | None = None
    """Train on the first batches of the shards' order only, over and over."""
    steps: Annotated[int, Field(ge=1)] | None = None
    """Steps in an epoch; batches come again where the data has fewer."""
    classes: tuple[str, ...] = ()
    """Wnids to train and validate on; empty: all."""


class Compute(Strict):
    """How it is computed: the same network, other rounding, other speed."""

    precision: Literal["fp32", "tf32", "bf16"] = "fp32"
    """float32; float32 with products in TF32 (19 bits); or autocast to bfloat16."""
    channels_last: bool = True
    """Whether activations lie with their channels last in memory."""
    compile: bool = False
    """Whether torch.compile makes the step."""
    deterministic: bool = True
    """Use algorithms that give the same bits each time, where the device offers others."""
    form: Literal["towers", "joined"] = "towers"
    """Each tower computed by itself, or all at once on their one device: the same outputs within
    rounding. Which is faster depends on the device."""
    towers: tuple[Annotated[str, Field(pattern=r"^(cpu|cuda:\d+)$")], ...] = ()
    """Device of each tower, as in ["cuda:0", "cuda:1"]; fc8 is with the first. Of several processes
    on a machine the second has the GPUs after those, and so on. Empty: all on the process's
    device. Section 3.2."""
    accumulate: Annotated[int, Field(ge=1, le=4096)] = 1
    """Pieces in which each process computes its share of a batch, to save memory."""
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of the running average of weights kept each step; 0 for no average. Ours."""


class Checkpoints(Strict):
    """When checkpoints are written, beside those after each epoch."""

    every_steps: Annotated[int, Field(ge=1)] | None = None
    """Steps between them."""
    every_minutes: Annotated[float, Field(gt=0)] = 10.0
    """Minutes between them, if `every_steps` is not set."""
    keep_epochs: Annotated[int, Field(ge=1)] | None = None
    """Keep one for good after every so many epochs; none: the last two and the best only."""


REMARKS = ("name", "source", "expected", "time", "command")
"""Fields of a recipe that say what it is and change nothing."""


class Recipe(Strict):
    """Everything that decides what a training run computes."""

    name: str
    """Name of the recipe."""
    source: str
    """Where its numbers come from."""
    expected: str
    """Errors to expect, and who measured them."""
    time: str = ""
    """Time that it takes, and on what hardware."""
    command: str = ""
    """How to run it."""
    seed: Annotated[int, Field(ge=0, lt=1 << 63)] = 1
    """Seed of initialisation, order, draws and dropout."""
    model: Model = Model()
    feed: Feed = Feed()
    noise: Noise = Noise()
    optimiser: Optimiser = Optimiser()
    schedule: Schedule
    limits: Limits = Limits()
    compute: Compute = Compute()
    checkpoints: Checkpoints = Checkpoints()
