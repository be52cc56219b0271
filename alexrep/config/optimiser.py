"""The update rules of recipes: one settings class each, chosen by `name`.

Each has a builder of the same name in `training/optimiser.py`. The rates are in the schedule.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from alexrep.config.kinds import Kinds
from alexrep.config.strict import Label, Strict

Decay = Annotated[float, Field(ge=0, le=10)]
Kept = Annotated[float, Field(ge=0, lt=1)]
Epsilon = Annotated[float, Field(gt=0, le=1), Label("epsilon")]


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
    bias_decay: Annotated[Decay, Label("decay of biases of their own")] = 0.0
    """Decay of biases that is not that of the weights beside them; 0 for none."""
    decay_norms: Annotated[bool, Label("decay of normalisations", {True: "yes", False: "none"})] = (
        False
    )
    """Whether the scales of normalisations decay as weights do."""
    l1: Annotated[Decay, Label("L1 decay")] = 0.0
    """Decay of weights by their signs: their gradient gets `l1` times the sign of each. Of the same
    parameters as `weight_decay`, but for single layers' own."""
    clip_norm: Annotated[
        Annotated[float, Field(gt=0)] | None, Label("longest gradient", {None: "any"})
    ] = None
    """Euclidean norm of the loss's gradient, over all layers that are trained, above which it is
    scaled down to that. None: it never is."""

    @model_validator(mode="after")
    def _biases_decay_once(self) -> Self:
        if self.decay_biases and self.bias_decay:
            raise ValueError("decay_biases and bias_decay must not both be set")
        return self


KINDS: Kinds[Optimiser] = Kinds("name", default="momentum-2012")
"""The settings class of each update rule."""

register = KINDS.register
"""Adds a rule's settings class, under the values of its field `name`; also a decorator."""


class Momentum2012Rule(Optimiser):
    """The update rule of section 5."""

    name: Annotated[Literal["momentum-2012"], Label("update rule")] = "momentum-2012"
    """Name of the update rule."""
    momentum: Annotated[Kept, Label("momentum")] = 0.9
    """Fraction of the last step kept; 0.9 in the paper."""


class SgdRule(Optimiser):
    """torch's stochastic gradient descent, with the rate outside of the velocity."""

    name: Annotated[Literal["sgd"], Label("update rule")]
    """Name of the update rule."""
    momentum: Annotated[Kept, Label("momentum")] = 0.9
    """Fraction of the velocity kept."""
    nesterov: Annotated[bool, Label("Nesterov's momentum", {True: "yes", False: "none"})] = False
    """Whether the step looks ahead along the velocity; Nesterov 1983, Sutskever et al. 2013."""

    @model_validator(mode="after")
    def _nesterov_needs_momentum(self) -> Self:
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov needs a momentum above 0")
        return self


class AdamRule(Optimiser):
    """Adam, whose decay is part of the gradient, and AdamW, whose decay is apart from it.

    Source: Kingma and Ba 2015; Loshchilov and Hutter 2019.
    """

    name: Annotated[Literal["adam", "adamw"], Label("update rule")]
    """Name of the update rule."""
    beta1: Annotated[Kept, Label("mean of gradients kept")] = 0.9
    """Fraction of the running mean of gradients kept."""
    beta2: Annotated[Kept, Label("mean of squares kept")] = 0.999
    """Fraction of the running mean of squared gradients kept."""
    epsilon: Epsilon = 1e-8
    """Added to the root of the mean square."""


class RmsPropRule(Optimiser):
    """RMSProp: steps divided by the root of a running mean of squared gradients.

    Source: Tieleman and Hinton 2012, lecture 6.5.
    """

    name: Annotated[Literal["rmsprop"], Label("update rule")]
    """Name of the update rule."""
    momentum: Annotated[Kept, Label("momentum")] = 0.0
    """Fraction of the last step kept."""
    alpha: Annotated[Kept, Label("mean of squares kept")] = 0.99
    """Fraction of the running mean of squared gradients kept."""
    epsilon: Epsilon = 1e-8
    """Added to the root of the mean square."""
    centred: Annotated[bool, Label("centred squares", {True: "yes", False: "none"})] = False
    """Whether the running mean of gradients is subtracted first; Graves 2013."""


for rule in (Momentum2012Rule, SgdRule, AdamRule, RmsPropRule):
    register(rule)
