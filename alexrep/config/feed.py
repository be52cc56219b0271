"""What a recipe says of the training images: order, batches, draws, noise, limits."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from alexrep.config.strict import Label, Strict

Count = Annotated[int, Field(ge=1)]


class Feed(Strict):
    """Order, batches and draws of the training images."""

    batch_size: Annotated[int, Field(ge=1, le=1 << 20), Label("batch size")] = 128
    """Images in a training batch, over all processes; 128 in the paper, section 5."""
    order: Annotated[Literal["shuffled", "fixed"], Label("order of the images")] = "shuffled"
    """A permutation keyed by (seed, epoch), or the shards' order each epoch as in 2012."""
    draws: Annotated[Literal["image", "group32"], Label("draws per")] = "image"
    """One offset and reflection per image, or per 32 consecutive images as in 2012."""
    reflect: Annotated[bool, Label("reflections", {True: "yes", False: "none"})] = True
    """Whether half the patches are reflected; section 4.1. Not read where there is a list of
    augmentations."""
    mean: Annotated[Literal["centre", "crop", "none"], Label("mean image at")] = "centre"
    """Part of the mean image that is subtracted: the central one after crop and reflection, as
    in 2012; the one at the patch's own place before reflection, as in Caffe; or none. For
    `input.kind = "mean-image"`; with the other kinds it stays at its default."""
    channels: Annotated[Literal["rgb", "bgr"], Label("channels")] = "rgb"
    """Order of the colours at the network's input; Caffe's is BGR."""
    shuffle_labels: Annotated[bool, Label("labels", {True: "permuted", False: "true"})] = False
    """Control experiment: permute the training labels, seeded; nothing can be learnt. Ours."""

    @model_validator(mode="after")
    def _groups_need_a_fixed_order(self) -> Self:
        if self.draws == "group32" and self.order != "fixed":
            raise ValueError("draws = 'group32' needs order = 'fixed'")
        return self


class Noise(Strict):
    """The colour PCA noise of section 4.1; not read where there is a list of augmentations."""

    scale: Annotated[float, Field(ge=0, le=10), Label("colour noise, scale")] = 0.1
    """Factor on the standard deviations along the colour axes; 0.1 in the paper, 0 for none."""
    divide: bool = True
    """Divide the noisy patch by 1 + scale, as the released source does and the paper omits."""

    def points(self) -> dict[str, str]:
        """Return the labelled fields, and by what noisy patches are divided."""
        # Without noise there is nothing to divide.
        is_divided = self.divide or not self.scale
        return super().points() | {
            "division of noisy patches": "by 1 + scale" if is_divided else "none"
        }


class Limits(Strict):
    """Less than the whole data set, to try something out."""

    batches: Annotated[Count | None, Label("batches in the training set", {None: "all"})] = None
    """Train on the first batches of the shards' order only, over and over."""
    steps: Annotated[Count | None, Label("steps in an epoch", {None: "all"})] = None
    """Steps in an epoch; batches come again where the data has fewer."""
    classes: Annotated[tuple[str, ...], Label("classes", {(): "all"})] = ()
    """Wnids to train and validate on; empty: all."""
