"""The update rule of a recipe."""

from typing import Annotated

from pydantic import Field

from alexrep.config.strict import Strict


class Optimiser(Strict):
    """The update rule of section 5; the rates are in the schedule."""

    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """Share of the last step kept; 0.9 in the paper."""
    weight_decay: Annotated[float, Field(ge=0, le=10)] = 0.0005
    """Decay of weights, never of biases; 0.0005 in the paper."""
    layer_decays: dict[str, Annotated[float, Field(ge=0, le=10)]] = Field(default_factory=dict)
    """Decay of the weights of single layers, where it is another."""
