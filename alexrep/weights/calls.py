"""A trained network as the calls of PyTorch's operators that it makes, from pixels on.

What `network.json` holds is a list of calls, each `[name, operator, arguments, options]`: the
operator is one of `torch.ops.aten`, and a text among the arguments is the name of an earlier
result, of a weight, or of an input: `images`, or the mean image `mean.npy`. So any program that
has PyTorch computes the network without its source.

Shapes: N images, S side of the prepared images, P side of the patch, K classes.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram
from torch.export.graph_signature import InputKind
from torch.fx import Node

from alexrep import files
from alexrep.errors import DataError, mismatch
from alexrep.feed.constants import UNCHANGED
from alexrep.runs.exported import MEAN, NETWORK, WEIGHTS
from alexrep.runs.trained import Trained

IMAGES = "images"
Call = tuple[str, str, list[Any], dict[str, Any]]
"""Name of the result, operator, arguments, options."""
CHECKS = ("_assert_tensor_metadata", "promote_types")
"""Operators that compute nothing, which a trace has for its own sake."""
ADVICE = "write the network in PyTorch's own operators"


class FromPixels(nn.Module):
    """A network with what comes before and after it in evaluation by the centre patch."""

    mean: Tensor

    def __init__(self, trained: Trained) -> None:
        """Take a trained network, which is put in evaluation mode."""
        super().__init__()
        self.network = trained.model().eval()
        mean = trained.content["inputs"]["mean"].float()
        feed, side = trained.recipe.feed, trained.recipe.model.side
        self.register_buffer("mean", torch.zeros_like(mean) if feed.mean == "none" else mean)
        start = (trained.side - side) // 2
        self.part = slice(start, start + side)
        self.factors = None if trained.factors == UNCHANGED else trained.factors
        self.is_bgr = feed.channels == "bgr"

    def forward(self, images: Tensor) -> Tensor:
        """Compute the probabilities.

        Args:
            images: RGB, uint8 (N, S, S, 3).

        Returns:
            float32 (N, K).
        """
        # In the centre, the mean's centre and the mean at the patch's place are the same.
        patches = images[:, self.part, self.part] - self.mean[self.part, self.part]
        if self.factors is not None:
            # Numbers in the calls: a tensor of them would need a file of its own.
            scaled = [patches[..., index] * factor for index, factor in enumerate(self.factors)]
            patches = torch.stack(scaled, dim=3)
        channels = (patches.flip(3) if self.is_bgr else patches).permute(0, 3, 1, 2)
        logits: Tensor = self.network(channels)
        return logits.softmax(dim=1)


def trace(trained: Trained) -> ExportedProgram:
    """Follow a network from pixels to probabilities, for any number of images.

    Raises:
        DataError: If `torch.export` cannot follow it.
    """
    whole, side = FromPixels(trained), trained.side
    example = torch.zeros(2, side, side, 3, dtype=torch.uint8)
    try:
        with torch.no_grad():
            return torch.export.export(whole, (example,), dynamic_shapes=({0: Dim("N")},))
    except (RuntimeError, TypeError, ValueError, AssertionError) as error:
        wanted, found = "one that torch.export can follow", first_line(error)
        where = f"network {trained.recipe.model.name!r}"
        raise DataError(mismatch(where, wanted, found, ADVICE)) from None


def calls(program: ExportedProgram) -> list[Call]:
    """Return the calls of a traced network, in order.

    Raises:
        DataError: If one is not of `torch.ops.aten`, or takes what JSON cannot say.
    """
    names, made = _inputs(program), []
    for node in program.graph.nodes:
        if node.op != "call_function" or _packet(node) in CHECKS:
            continue
        if _packet(node) == "to" and node.meta["val"].dtype == node.args[0].meta["val"].dtype:
            names[node.name] = names[node.args[0].name]
            continue
        names[node.name] = node.name
        arguments, options = _plain(list(node.args), names), _plain(dict(node.kwargs), names)
        made.append((node.name, _packet(node), arguments, options))
    return made


def text(network: Sequence[Call]) -> str:
    """Write calls as JSON, a line each."""
    return "[\n" + ",\n".join(json.dumps(call, allow_nan=False) for call in network) + "\n]\n"


def run(folder: Path, images: Tensor) -> Tensor:
    """Compute with the files of an export as the code on its card does.

    Args:
        folder: The exported folder.
        images: RGB, uint8 (N, S, S, 3).

    Returns:
        Probabilities, float32 (N, K).
    """
    values: dict[str, Any] = dict(load_file(folder / WEIGHTS))
    values |= {MEAN: torch.from_numpy(np.load(folder / MEAN)), IMAGES: images}
    network = json.loads(files.read_text(folder / NETWORK))
    for name, operator, arguments, options in network:
        function = getattr(torch.ops.aten, operator)
        values[name] = function(*_looked_up(arguments, values), **options)
    out: Tensor = values[network[-1][0]]
    return out


def first_line(error: Exception) -> str:
    """Return the first line of an error's text, or its kind."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:120]


def _looked_up(argument: Any, known: Mapping[str, Any]) -> Any:  # noqa: ANN401 (any argument)
    if isinstance(argument, list):
        return [_looked_up(part, known) for part in argument]
    return known.get(argument, argument) if isinstance(argument, str) else argument


def _inputs(program: ExportedProgram) -> dict[str, str]:
    """Return the names of weights and inputs by those that the trace has for them."""
    names = {}
    for spec in program.graph_signature.input_specs:
        if spec.kind is InputKind.USER_INPUT:
            names[spec.arg.name] = IMAGES
        elif spec.kind is InputKind.PARAMETER or spec.persistent:
            target = str(spec.target)
            names[spec.arg.name] = MEAN if target == "mean" else target.removeprefix("network.")
        else:
            found = f"the constant {spec.target}"
            raise DataError(mismatch("the network", "weights and images only", found, ADVICE))
    return names


def _packet(node: Node) -> str:
    """Return the name of the operator that a node calls."""
    packet = getattr(node.target, "overloadpacket", None)
    name = str(packet or node.target)
    if not name.startswith("aten."):
        raise DataError(mismatch("the network", "operators of torch.ops.aten", name, ADVICE))
    return name.removeprefix("aten.")


def _plain(argument: Any, names: Mapping[str, str]) -> Any:  # noqa: ANN401 (any argument)
    """Return an argument as JSON has it, with the names of results in their place."""
    if isinstance(argument, Node):
        return names[argument.name]
    if isinstance(argument, list | tuple):
        return [_plain(part, names) for part in argument]
    if isinstance(argument, dict):
        return {name: _plain(part, names) for name, part in argument.items()}
    if argument is None or isinstance(argument, bool | int | float | str):
        return argument
    wanted = "numbers and texts as arguments"
    raise DataError(mismatch("the network", wanted, repr(argument), ADVICE))
