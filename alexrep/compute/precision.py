"""How a network is computed: rounding, layout in memory, compilation, determinism.

Shapes: N images of a batch, P side of the patch, K classes.
"""

import contextlib
import importlib.util
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, Protocol, cast, runtime_checkable

import torch
from pydantic import JsonValue
from torch import Tensor, nn

from alexrep.config.recipe import Compute
from alexrep.errors import ConfigError, mismatch
from alexrep.kernels import choice

_COMPILERS = ("c++", "g++", "clang++")


Outputs = Tensor | tuple[Tensor | None, ...]
"""What a network gives: logits, or in training those of auxiliary heads after them."""

AUXILIARY = 0.3
"""Weight of each auxiliary output's loss, where a network does not say another.

Source: Szegedy et al. 2015, section 5.
"""


@runtime_checkable
class Towered(Protocol):
    """A network of towers, each of which may lie on a device of its own.

    Networks are asked for what they have, and need no base class: torchvision's are plain modules.
    """

    form: Literal["towers", "joined"]
    """Whether each tower is computed by itself, or all at once on their one device."""

    @property
    def num_towers(self) -> int:
        """Number of its towers."""

    def place(self, devices: Sequence[torch.device | str]) -> None:
        """Put tower k on `devices[k]`."""


class Network(nn.Module):
    """A network computed as the recipe says; its parameters are those of the network itself."""

    def __init__(self, model: nn.Module, compute: Compute, device: torch.device) -> None:
        """Take a network that lies on `device` already, and compile it if that is asked for.

        Where no compiler is found, it stays as it is and `missing` says why.
        """
        super().__init__()
        self.model = model
        self.device = device
        self.is_half = compute.precision == "bf16"
        self.layout = torch.channels_last if compute.channels_last else torch.contiguous_format
        self.missing = missing_compiler(device) if compute.compile else None
        self.is_compiled = is_compiled(compute, device)
        # In a tuple: a second name for the network must not make it a second part of this one.
        self.computed: tuple[Callable[[Tensor], Outputs]] = (model,)
        if self.is_compiled:
            self.computed = (torch.compile(model),)

    def forward(self, patches: Tensor) -> Tensor:
        """Compute the logits in at least float32, (N, K), of patches (N, 3, P, P)."""
        return self.outputs(patches)[0]

    def outputs(self, patches: Tensor) -> list[Tensor]:
        """Compute all outputs of a network: its logits, and in training those of auxiliary heads.

        Args:
            patches: Network input, (N, 3, P, P).

        Returns:
            Logits in at least float32, each (N, K), those that are scored first.
        """
        patches = patches.contiguous(memory_format=self.layout)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.is_half):
            computed = self.computed[0](patches)
        heads = (computed,) if isinstance(computed, Tensor) else computed
        return [
            logits.to(torch.promote_types(logits.dtype, torch.float32))
            for logits in heads
            if logits is not None
        ]

    @property
    def takes(self) -> dict[str, Any]:
        """What its input is made into at first, for `feed.augment.augment`."""
        dtype = torch.bfloat16 if self.is_half else torch.float32
        return {"dtype": dtype, "margin": int(getattr(self.model, "margin", 0))}

    @property
    def auxiliary_weight(self) -> float:
        """Weight of the loss of each auxiliary output; the network may say its own."""
        return float(getattr(self.model, "auxiliary_weight", AUXILIARY))


def place(model: nn.Module, compute: Compute, device: torch.device) -> nn.Module:
    """Put a network on a device, or its towers on theirs, in the layout of the recipe."""
    if compute.channels_last:
        # Patches come with their channels last: the same layout saves 10 % of a step.
        model = model.to(memory_format=torch.channels_last)
    if isinstance(model, Towered):
        model.form = compute.form
        if compute.towers:
            model.place(compute.towers)
            return model
    return model.to(device)


def on_one_device(compute: Compute) -> Compute:
    """Return how to compute the same on one device, whatever machine it is in.

    Rounding, layout, determinism and form stay; towers come together and nothing is compiled.
    """
    return compute.model_copy(update={"towers": (), "compile": False})


def home(compute: Compute, device: torch.device) -> torch.device:
    """Return where a network takes its patches: on its first tower's device."""
    return torch.device(compute.towers[0]) if compute.towers else device


def require_places(model: nn.Module, compute: Compute) -> None:
    """Refuse devices of towers that cannot be.

    Raises:
        ConfigError: If there is not one for each tower, the joined form is to be parted, or the
            machine has no such GPU.
    """
    num = model.num_towers if isinstance(model, Towered) else 0
    where, named = "compute.towers", list(compute.towers)
    if named and len(named) != num:
        raise ConfigError(mismatch(where, f"{num} devices", named, "name one for each tower"))
    if compute.form == "joined" and len(set(named)) > 1:
        raise ConfigError(mismatch(where, "one device for the joined form", named, "part towers"))
    num_gpus = torch.cuda.device_count()
    for device in map(torch.device, named):
        if device.type == "cuda" and device.index >= num_gpus:
            found = f"{num_gpus} GPUs"
            raise ConfigError(mismatch(where, str(device), found, "choose other devices"))


@contextlib.contextmanager
def settled(compute: Compute) -> Iterator[None]:
    """Set torch's switches for a run and allow its kernels, and put all back at the end."""
    # Their types do not know all of their names.
    backends, memory = cast(Any, torch.backends), cast(Any, torch.utils.deterministic)
    matmul, cudnn = backends.cuda.matmul, backends.cudnn
    conv = cudnn.conv
    before = matmul.fp32_precision, conv.fp32_precision, cudnn.benchmark, cudnn.deterministic
    strict = torch.get_deterministic_debug_mode(), memory.fill_uninitialized_memory
    rounding = "ieee" if compute.precision == "fp32" else "tf32"
    matmul.fp32_precision = conv.fp32_precision = rounding
    _determine(compute.deterministic)
    # Nothing here reads memory that nobody has written.
    memory.fill_uninitialized_memory = False
    try:
        with choice.allowed(compute.kernels):
            yield
    finally:
        matmul.fp32_precision, conv.fp32_precision = before[:2]
        cudnn.benchmark, cudnn.deterministic = before[2:]
        torch.set_deterministic_debug_mode(strict[0])
        memory.fill_uninitialized_memory = strict[1]


def facts(compute: Compute, device: torch.device, num_processes: int) -> dict[str, JsonValue]:
    """Return what a run's numbers depend on beside the recipe, for environment.json."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    return {
        "device": name,
        "processes": num_processes,
        "precision": compute.precision,
        "channels_last": compute.channels_last,
        "compiled": is_compiled(compute, device),
        "kernels": choice.explained(compute.kernels, device),
        "deterministic": compute.deterministic,
        "form": compute.form,
        "towers": list(compute.towers),
        "accumulate": compute.accumulate,
        "ema": compute.ema,
    }


def is_compiled(compute: Compute, device: torch.device) -> bool:
    """Tell whether the network is compiled: asked for, and possible here."""
    return compute.compile and missing_compiler(device) is None


def missing_compiler(device: torch.device) -> str | None:
    """Say what torch.compile would lack on `device`; None if nothing."""
    own = os.environ.get("CXX")
    if not any(shutil.which(compiler) for compiler in ([own] if own else _COMPILERS)):
        return f"no C++ compiler ({own or ', '.join(_COMPILERS)})"
    if device.type == "cuda" and importlib.util.find_spec("triton") is None:
        return "no triton"
    return None


def _determine(is_deterministic: bool) -> None:
    """Choose algorithms that give the same bits each time, or the fastest ones."""
    if is_deterministic:
        # Read when the first product is computed on a GPU.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(is_deterministic)
    torch.backends.cudnn.deterministic = is_deterministic
    torch.backends.cudnn.benchmark = not is_deterministic
