"""What a recipe says of the training images: order, batches, draws, noise, limits."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from alexrep.config.strict import Strict


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


class Limits(Strict):
    """Less than the whole data set, to try something out."""

    batches: Annotated[int, Field(ge=1)] | None = None
    """Train on the first batches of the shards' order only, over and over."""
    steps: Annotated[int, Field(ge=1)] | None = None
    """Steps in an epoch; batches come again where the data has fewer."""
    classes: tuple[str, ...] = ()
    """Wnids to train and validate on; empty: all."""
