"""Which form of a computation runs: a fused kernel, or the plain form that it must equal.

The one place that decides. A kernel runs on an NVIDIA GPU where Triton is, if the recipe allows it
and if a small example, tried once in each process, comes out as the plain form has it.
"""

import contextlib
import importlib.util
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Literal

import torch
from torch import Tensor

Setting = Literal["auto", "plain", "untried"]

Trial = Callable[[torch.device], Sequence[tuple[Tensor, Tensor]]]
"""Computes a small example on a device by both forms; returns pairs of (kernel's, plain)."""

TRIALS: dict[str, Trial] = {}
"""Trials by the kernel's name; whatever owns a plain form registers its trial."""

OLDEST = (8, 0)
"""Compute capability from which on bfloat16 is there in hardware: A100 and later."""


ROUNDING = {torch.float32: 1e-5, torch.float16: 2e-3, torch.bfloat16: 1.6e-2}
"""Largest relative difference between two forms, by type; other types must be the same."""


class _Present:
    """What the code that runs now has been allowed."""

    setting: Setting = "plain"


def register(name: str, trial: Trial) -> None:
    """Add a kernel, by the name that `is_fused` is asked for."""
    TRIALS[name] = trial


@contextlib.contextmanager
def allowed(setting: Setting) -> Iterator[None]:
    """Choose among forms as `setting` says, and as before at the end.

    Args:
        setting: "auto": kernels where they work. "plain": none. "untried": kernels everywhere,
            for tests and counts that have no GPU.
    """
    before, _Present.setting = _Present.setting, setting
    try:
        yield
    finally:
        _Present.setting = before


def is_fused(name: str, tensor: Tensor) -> bool:
    """Tell whether the kernel `name` is to compute what is asked of `tensor`."""
    if _Present.setting == "plain" or torch.compiler.is_compiling():
        return False
    if _Present.setting == "untried":
        return True
    return tensor.device.type == "cuda" and fault(name, tensor.device) is None


def fused(setting: Setting, device: torch.device) -> list[str]:
    """Name the kernels that run on `device`, in the order of the alphabet."""
    names = sorted(TRIALS) if setting == "auto" else []
    return [name for name in names if fault(name, device) is None]


def explained(setting: Setting, device: torch.device) -> str:
    """Say which form runs on `device`, and why."""
    if setting == "plain":
        return "plain forms, as the recipe says"
    if (why := lacking(device)) is not None:
        return f"plain forms: {why}"
    faults = {name: fault(name, device) for name in sorted(TRIALS)}
    plain = [f"{name} in its plain form: {why}" for name, why in faults.items() if why]
    return "; ".join([f"fused: {', '.join(fused(setting, device)) or 'none'}", *plain])


@cache
def fault(name: str, device: torch.device) -> str | None:
    """Say why the kernel `name` cannot run on `device`; None if it has shown that it can."""
    if (why := lacking(device)) is not None:
        return why
    if name not in TRIALS:
        return "not known here"
    try:
        # What is tried by itself must not ask again whether it may.
        with allowed("plain"), torch.inference_mode(mode=False), torch.enable_grad():
            for computed, plain in TRIALS[name](device):
                require_equal(computed, plain)
    except Exception as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        return lines[0]
    return None


def require_equal(computed: Tensor, plain: Tensor) -> None:
    """Compare what a kernel has computed with the plain form.

    Raises:
        AssertionError: If they differ by more than the roundings of their type, beside the largest
            value: where terms cancel, little is left to compare with.
    """
    share = ROUNDING.get(plain.dtype, 0.0)
    largest = float(plain.detach().abs().max()) if share else 0.0
    torch.testing.assert_close(computed, plain, rtol=share, atol=share * largest)


@cache
def lacking(device: torch.device) -> str | None:
    """Say what kernels would lack on `device`; None if nothing."""
    if device.type != "cuda":
        return "no GPU"
    if torch.version.cuda is None:
        return "no CUDA in this PyTorch"
    if importlib.util.find_spec("triton") is None:
        return "no triton"
    if (found := torch.cuda.get_device_capability(device)) < OLDEST:
        return "compute capability {}.{}; {}.{} is the oldest".format(*found, *OLDEST)
    return None
