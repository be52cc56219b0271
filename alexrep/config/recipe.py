"""A recipe: everything that decides what a training run computes."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from alexrep.config import model as models
from alexrep.config import networks
from alexrep.config import optimiser as optimisers
from alexrep.config import torchvision as _torchvision  # noqa: F401 (registers its settings)
from alexrep.config.augmentations import AUGMENTATIONS, CUTS, Augmentation, ColourNoise, Reflection
from alexrep.config.feed import Feed, Limits, Noise
from alexrep.config.input import INPUTS, Input, MeanImage
from alexrep.config.schedules import Schedule
from alexrep.config.strict import Label, Strict, contradiction


class Compute(Strict):
    """How it is computed: the same network, other rounding, other speed."""

    precision: Annotated[Literal["fp32", "tf32", "bf16"], Label("precision")] = "fp32"
    """float32; float32 with products in TF32 (19 bits); or autocast to bfloat16."""
    channels_last: bool = True
    """Whether activations lie with their channels last in memory."""
    compile: bool = False
    """Whether torch.compile makes the step."""
    kernels: Literal["auto", "plain"] = "auto"
    """Whether the normalisations, dropout, augmentation and the update of 2012 are computed by
    fused kernels, where there is an NVIDIA GPU on which they have shown that they work, or as
    everywhere else. The outcomes are equal within rounding."""
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
    """Pieces into which each process divides its part of a batch, to save memory."""
    batch_statistics: Literal["rank0", "synchronised"] = "rank0"
    """Of several processes: each normalises over its own images, and validation and checkpoints
    have the running statistics of the first one; or all normalise over the images of all of them,
    as one process would. With `accumulate` each piece is normalised by itself."""
    ema: Annotated[float, Field(ge=0, lt=1), Label("running average of weights")] = 0.0
    """Decay of the running average of weights at each step; 0 for no average. Ours."""


class Checkpoints(Strict):
    """When checkpoints are written, beside those after each epoch."""

    every_steps: Annotated[int, Field(ge=1)] | None = None
    """Steps between them."""
    every_minutes: Annotated[float, Field(gt=0)] = 10.0
    """Minutes between them, if `every_steps` is not set."""
    keep_epochs: Annotated[int, Field(ge=1)] | None = None
    """Keep one for good after every so many epochs; none: the last two and the best only."""


class Log(Strict):
    """What is written to the log, beside a row for each epoch."""

    every_steps: Annotated[int, Field(ge=1)] | None = None
    """Steps between two rows of kind `step`; none: 20 rows an epoch."""


class Start(Strict):
    """Weights of another network to start from, as 1 CNN* and 7 CNNs* of table 2 did."""

    weights: str = ""
    """Folder of a run, whose last checkpoint is taken, or a checkpoint; an exported folder; a .pth,
    .safetensors or .caffemodel; or torchvision:NAME, as `alexrep import` reads them. Empty: to be
    named by `alexrep train --weights`. A run knows them by their digest."""
    fresh: tuple[str, ...] = ()
    """Layers that keep the initial values of the seed, by full paths or last parts; such as fc8,
    where the classes are others. A last layer for another number of classes does so anyway."""
    frozen: tuple[str, ...] = ()
    """Layers that are not trained, with all that lies in them, by full paths (`layer1`,
    `features.0`) or last parts. Their batch normalisations keep their running statistics, and
    normalise by them."""


REMARKS = ("name", "source", "expected", "time", "command", "prepared_side", "start.weights")
"""Fields that are not compared when a run goes on: what the recipe is and is made for, which
changes no number, and the path of the weights to start from, whose digest is compared instead."""
OWN = ("expected", "time", "command")
"""Remarks on a recipe's own runs, which are not inherited from its base."""


class Recipe(Strict):
    """Everything that decides what a training run computes."""

    name: str
    """Name of the recipe."""
    source: str
    """Where its numbers come from."""
    expected: str = ""
    """Errors to expect, and who measured them."""
    time: str = ""
    """Time that it takes, and on what hardware."""
    command: str = ""
    """How to run it."""
    prepared_side: Annotated[
        Annotated[int, Field(ge=1)] | None, Label("side of the prepared images", {None: "any"})
    ] = None
    """Side of the prepared images that it is made for, in pixels: `alexrep preprocess --side`.
    Training on others is refused. None: any."""
    seed: Annotated[int, Field(ge=0, lt=1 << 63)] = 1
    """Seed of initialisation, order, draws and dropout."""
    start: Start | None = None
    """Weights to start from; none: those that the seed draws."""
    model: Annotated[models.Model, networks.KINDS] = models.AlexNetModel()
    input: Annotated[Input, INPUTS] = MeanImage()
    feed: Feed = Feed()
    noise: Noise = Noise()
    augmentations: tuple[Annotated[Augmentation, AUGMENTATIONS], ...] = ()
    """Steps of augmentation, in their order; each kind once at most, and one that cuts the patch.
    Empty: a patch, reflected as `feed.reflect` says, with colour noise as `noise` says."""
    augmentation_order: Literal["listed", "random"] = "listed"
    """Whether the steps come in the order of the list, or those that keep the image's shape
    change places among themselves, by a draw for each image."""
    optimiser: Annotated[optimisers.Optimiser, optimisers.KINDS] = optimisers.Momentum2012Rule()
    schedule: Schedule
    limits: Limits = Limits()
    compute: Compute = Compute()
    checkpoints: Checkpoints = Checkpoints()
    log: Log = Log()

    def points(self) -> dict[str, str]:
        """Return the labelled fields, and where the initial weights come from."""
        weights = "drawn" if self.start is None else "another network's"
        if self.start is not None and self.start.fresh:
            weights += f", but drawn in {', '.join(self.start.fresh)}"
        if self.start is not None and self.start.frozen:
            weights += f"; not trained: {', '.join(self.start.frozen)}"
        return super().points() | self._augmentation_points() | {"initial weights": weights}

    def _augmentation_points(self) -> dict[str, str]:
        if not self.augmentations:
            return {}
        listed = "; ".join(step.show() for step in self.augmentations)
        order = f" ({self.augmentation_order})"
        reflected = {"reflections": "yes" if self.reflected else "none"}
        return self.colour_noise.points() | reflected | {"augmentations": listed + order}

    @property
    def colour_noise(self) -> Noise:
        """The colour noise: that of the list of augmentations, if there is a list."""
        if not self.augmentations:
            return self.noise
        for step in self.augmentations:
            if isinstance(step, ColourNoise):
                return Noise(scale=step.scale, divide=step.divide)
        return Noise(scale=0.0)

    @property
    def reflected(self) -> float:
        """Share of the training patches that are reflected."""
        if not self.augmentations:
            return 0.5 if self.feed.reflect else 0.0
        shares = [step.probability for step in self.augmentations if isinstance(step, Reflection)]
        return sum(shares)

    @property
    def statistics(self) -> tuple[str, ...]:
        """The statistics of the training set that it uses, "mean" and "pca", by their stages."""
        is_used = {
            "mean": "mean" in self.input.statistics and self.feed.mean != "none",
            "pca": "pca" in self.input.statistics or self.colour_noise.scale > 0,
        }
        return tuple(stage for stage, used in is_used.items() if used)

    @model_validator(mode="after")
    def _says_one_thing_of_the_mean(self) -> Self:
        allowed = {"mean-image": ("centre", "crop", "none"), "none": ("centre", "none")}
        known = allowed.get(self.input.kind, ("centre",))
        if self.feed.mean not in known:
            values = " or ".join(map(repr, known))
            wanted = f"{values} with input.kind = {self.input.kind!r}"
            raise contradiction(("feed", "mean"), wanted, self.feed.mean)
        return self

    @model_validator(mode="after")
    def _lists_one_patch_and_each_step_once(self) -> Self:
        kinds = [step.kind for step in self.augmentations]
        if kinds and sum(kind in CUTS for kind in kinds) != 1:
            raise contradiction(("augmentations",), f"one of {' and '.join(CUTS)}", kinds)
        if len(set(kinds)) < len(kinds):
            raise contradiction(("augmentations",), "each kind once", kinds)
        if not kinds and self.augmentation_order == "random":
            raise contradiction(("augmentation_order",), "'listed' without a list", "random")
        return self

    @model_validator(mode="after")
    def _says_one_thing_of_augmentation(self) -> Self:
        kinds, feed = [step.kind for step in self.augmentations], self.feed
        if kinds and self.noise.scale not in (Noise().scale, self.colour_noise.scale):
            wanted = f"{self.colour_noise.scale:g}, as in augmentations, or the default"
            raise contradiction(("noise", "scale"), wanted, self.noise.scale)
        if "reflection" in kinds and not feed.reflect:
            raise contradiction(("feed", "reflect"), "true beside a reflection", feed.reflect)
        if "resized-patch" in kinds and feed.mean == "crop":
            raise contradiction(("feed", "mean"), "'centre' beside a resized-patch", feed.mean)
        if "resized-patch" in kinds and feed.draws != "image":
            raise contradiction(("feed", "draws"), "'image' beside a resized-patch", feed.draws)
        return self
