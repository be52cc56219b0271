"""Dropout as in 2012, with masks that depend on the image's key and on nothing else.

Shapes: N images in the batch, U units of the layer, or C maps of H rows and W columns.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from alexrep import keyed
from alexrep.kernels import choice

DROPOUT = "dropout"
"""Name of its fused kernel."""

_LOW_32 = 0xFFFFFFFF
# Keeps these keys apart from those of the draws that share the seed.
_DROPOUT = 0xD0


class MaskDropout(nn.Module):
    """Silence each unit with probability `rate` in training; scale all by 1 - `rate` after it.

    Training multiplies by a mask of zeros and ones and by nothing else, as in 2012. The inverted
    form, which divides by 1 - `rate` in training and does nothing in evaluation, starts the
    following layer larger: twice at a rate of one half, so that it learns four times as fast.

    The mask is a pure function of the image's key, the layer and the unit: the batch size,
    the number of processes, the device and a restart change nothing.

    Source: Krizhevsky et al. 2012, section 4.2; rule of the released source.
    """

    def __init__(
        self, layer: int, first_unit: int = 0, is_inverted: bool = False, rate: float = 0.5
    ) -> None:
        """Make the dropout of layer number `layer`, from its unit `first_unit` on.

        Args:
            layer: Number by which the masks of different layers differ; under 128.
            first_unit: Index of the first unit seen here among the layer's units, where
                towers hold a share each.
            is_inverted: Whether it is the inverted form, as in torch and Caffe.
            rate: Probability of silence, at least 0 and under 1; one half in 2012.

        Raises:
            ValueError: If `rate` is out of range.
        """
        super().__init__()
        if not 0 <= rate < 1:
            raise ValueError(f"rate: expected at least 0 and under 1, found {rate}")
        self.layer = layer
        self.first_unit = first_unit
        self.is_inverted = is_inverted
        self.rate = rate
        self.keys: Tensor | None = None

    def forward(self, units: Tensor) -> Tensor:
        """Mask or scale `units` (N, U), or each value of maps (N, C, H, W).

        Raises:
            RuntimeError: In training, if the batch has no keys or the wrong number of them.
        """
        if not self.training:
            return units if self.is_inverted else units * (1 - self.rate)
        found = "none" if self.keys is None else f"{len(self.keys)}"
        if self.keys is None or len(self.keys) != len(units):
            raise RuntimeError(
                f"dropout of layer {self.layer}: expected {len(units)} keys, found {found}; "
                "call set_keys(model, keys) with one key per image before each training batch"
            )
        there, shape = self.keys.to(units.device), units.shape[1:]
        if choice.is_fused(DROPOUT, units):
            from alexrep.kernels import dropout  # noqa: PLC0415 (Triton is not everywhere)

            if dropout.takes(units, there):
                return self._fused(units, there)
        chosen = mask(there, self.layer, self.first_unit, shape.numel(), self.rate)
        masked: Tensor = units * chosen.unflatten(1, shape)
        return masked * (1 / (1 - self.rate)) if self.is_inverted else masked

    def _fused(self, units: Tensor, keys: Tensor) -> Tensor:
        """Do the same in one pass."""
        from alexrep.kernels import dropout  # noqa: PLC0415 (Triton is not everywhere)

        start, is_half = self.first_unit + (self.layer << 24), self.rate == 0.5
        threshold = 0 if is_half else round(self.rate * 2**32)
        scale = 1 / (1 - self.rate) if self.is_inverted else 1.0
        out: Tensor = dropout.masked(units, keys, start, threshold, scale, is_half)
        return out

    def extra_repr(self) -> str:
        """Show the layer, the first unit, the form and the rate."""
        shown = f"layer={self.layer}, first_unit={self.first_unit}"
        return f"{shown}, is_inverted={self.is_inverted}, rate={self.rate:g}"


def set_keys(model: nn.Module, keys: Tensor) -> None:
    """Hand every `MaskDropout` of `model` the keys of the coming batch.

    Args:
        model: The network.
        keys: One key per image of the batch, int64, (N,), best on the network's device.

    Raises:
        ValueError: If `keys` are not int64 or not one row.
    """
    if keys.dtype != torch.int64 or keys.dim() != 1:
        found = f"{keys.dtype} {tuple(keys.shape)}"
        raise ValueError(f"keys: expected int64 (N,), found {found}; make them with keys()")
    for module in model.modules():
        if isinstance(module, MaskDropout):
            module.keys = keys


def keys(seed: int, step: int, rows: Tensor | NDArray[np.integer]) -> Tensor:
    """Make one key per image from the seed, the step and the position in the global batch.

    Args:
        seed: Seed of the run.
        step: Number of finished steps.
        rows: Position of each image in the batch over all processes, integers from 0, (N,),
            on the CPU.

    Returns:
        The keys, int64 with all bits in use, (N,), on the CPU.
    """
    return torch.from_numpy(keyed.bits(seed, _DROPOUT, step, np.asarray(rows)).view(np.int64))


def mask(keys: Tensor, layer: int, first_unit: int, num_units: int, rate: float = 0.5) -> Tensor:
    """Choose the units that stay, each with probability 1 - `rate`.

    Args:
        keys: One key per image, int64, (N,).
        layer: Number of the layer, under 128.
        first_unit: Index of the first unit in its layer; all indices are under 2^24.
        num_units: Units to decide on, U.
        rate: Probability that a unit goes, to within 2^-33.

    Returns:
        Whether the unit stays, bool, (N, U), on the device of `keys`.
    """
    units = torch.arange(first_unit, first_unit + num_units, device=keys.device)
    # An odd multiplier spreads neighbouring units over the 32 bits before the mixing.
    counters = ((units + (layer << 24)) * 0x9E3779B1) & _LOW_32
    low, high = keys[:, None] & _LOW_32, (keys[:, None] >> 32) & _LOW_32
    words = _mix(_mix(low ^ counters) ^ high)
    # One bit decides at one half: sooner, and the masks of all earlier runs.
    return (words & 1).bool() if rate == 0.5 else words >= round(rate * 2**32)


def _mix(words: Tensor) -> Tensor:
    """Mix 32-bit words held in int64 so that each input bit flips each output bit half the time.

    Both multipliers are under 2^31, so that no product leaves int64 on any device.
    """
    words = ((words ^ (words >> 16)) * 0x21F0AAAD) & _LOW_32
    words = ((words ^ (words >> 15)) * 0x735A2D97) & _LOW_32
    return words ^ (words >> 15)


def _try(device: torch.device) -> list[tuple[Tensor, Tensor]]:
    """Compute a small example by the kernel and by the plain form, both ways."""
    pairs, own = [], keys(1, 0, np.arange(3)).to(device)
    values = torch.arange(3 * 500, device=device).cos().view(3, 500)
    for dtype in (torch.float32, torch.bfloat16):
        for layer in (MaskDropout(6), MaskDropout(127, 1 << 20, is_inverted=True, rate=0.3)):
            layer.keys = own
            units = values.to(dtype).requires_grad_()
            out = layer._fused(units, own), layer(units)
            pairs += [
                out,
                *zip(*(torch.autograd.grad(o, units, values.to(dtype)) for o in out), strict=True),
            ]
    return pairs


choice.register(DROPOUT, _try)
