"""The update rules of recipes: one settings class each, chosen by `name`.

Each has a builder of the same name in `training/optimiser.py`. The rates are in the schedule.
"""

from typing import Annotated, Literal

from pydantic import Field

from alexrep.config.kinds import Kinds
from alexrep.config.strict import Label, Strict

Decay = Annotated[float, Field(ge=0, le=10)]


class Optimiser(Strict):
    """Fields of every update rule; the class of each adds its own."""

    name: Annotated[str, Label("update rule")]
    """Name of the update rule."""
    weight_decay: Annotated[Decay, Label("weight decay")] = 0.0005
    """Decay of weights; 0.0005 in the paper."""
    layer_decays: Annotated[dict[str, Decay], Label("decays of single layers")] = Field(
        default_factory=dict
    )
    """Weight decay of single layers that have another one, by full path or last parts: `conv1`
    means every layer of that name, in both towers."""
    decay_biases: Annotated[bool, Label("decay of biases", {True: "yes", False: "none"})] = False
    """Whether biases decay as the weights beside them do; they did not in 2012."""
    decay_norms: Annotated[bool, Label("decay of normalisations", {True: "yes", False: "none"})] = (
        False
    )
    """Whether the scales of normalisations decay as weights do."""


KINDS: Kinds[Optimiser] = Kinds("name", default="momentum-2012")
"""The settings class of each update rule."""

register = KINDS.register
"""Adds a rule's settings class, under the values of its field `name`; also a decorator."""


class Momentum2012Rule(Optimiser):
    """The update rule of section 5."""

    name: Annotated[Literal["momentum-2012"], Label("update rule")] = "momentum-2012"
    """Name of the update rule."""
    momentum: Annotated[float, Field(ge=0, lt=1), Label("momentum")] = 0.9
    """Fraction of the last step kept; 0.9 in the paper."""


register(Momentum2012Rule)
