"""The settings of torchvision's classification networks.

Whether torchvision has a network of a name is found out where it is built: reading a recipe must
not import torchvision.
"""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from alexrep.config.model import Model, register
from alexrep.config.strict import Label

SIDES = {
    "efficientnet_b1": 240,
    "efficientnet_b2": 288,
    "efficientnet_b3": 300,
    "efficientnet_b4": 380,
    "efficientnet_b5": 456,
    "efficientnet_b6": 528,
    "efficientnet_b7": 600,
    "efficientnet_v2_s": 384,
    "efficientnet_v2_m": 480,
    "efficientnet_v2_l": 480,
    "inception_v3": 299,
    "swin_v2_t": 256,
    "swin_v2_s": 256,
    "swin_v2_b": 256,
}
"""Sides of the patch that torchvision evaluates networks at, where it is not 224."""


@register
class TorchvisionModel(Model):
    """One of torchvision's classification networks, with torchvision's initial values."""

    name: Literal["torchvision"] = "torchvision"
    """Name of the family."""
    arch: Annotated[str, Field(min_length=1), Label("network of torchvision")]
    """Name of the network in torchvision, as `alexrep models` lists them: resnet18, vgg16."""
    dropout: Annotated[float, Field(ge=0, lt=1)] | None = None
    """Probability that a unit is silenced in training, for networks that have dropout; none:
    torchvision's own, as 0.5 in AlexNet and VGG and 0.2 in GoogLeNet."""
    auxiliary_weight: Annotated[float, Field(ge=0, le=1)] | None = None
    """Weight of the loss of each auxiliary head, for networks that have them; none: 0.3 in
    GoogLeNet and 0.4 in Inception v3, as in their sources."""
    arguments: dict[str, bool | int | float] = Field(default={})
    """Further arguments of torchvision's constructor, such as `zero_init_residual = true` of the
    ResNets."""

    @property
    def title(self) -> str:
        """The network's name among all networks."""
        return f"{self.name}:{self.arch}"

    @model_validator(mode="before")
    @classmethod
    def _take_own_side(cls, table: Any) -> Any:  # noqa: ANN401 (any input)
        if isinstance(table, dict) and isinstance(side := SIDES.get(str(table.get("arch"))), int):
            return {"side": side, **table}
        return table
