"""Patches of images: cut as they are, or parts resized, bilinear with antialiasing.

Shapes: N images, S side of the images, P side of the patch, T source pixels of a patch's pixel.
"""

import math

import torch
from torch import Tensor

from alexrep.compute.devices import widest_float


def gather(images: Tensor, offsets: Tensor, reflect: Tensor, side: int) -> Tensor:
    """Cut a patch from each image, all at once.

    Args:
        images: (N, S, S, 3), of any dtype.
        offsets: Row and column of each patch's corner, int64 (N, 2).
        reflect: Whether to reflect each patch, bool (N,).
        side: P.

    Returns:
        The images' dtype, (N, P, P, 3).
    """
    device, steps = images.device, torch.arange(side)
    forward = steps.expand(len(offsets), side)
    columns = torch.where(reflect[:, None], side - 1 - forward, forward) + offsets[:, 1:]
    rows = forward + offsets[:, :1]
    number = torch.arange(len(offsets), device=device)[:, None, None]
    return images[number, rows[:, :, None].to(device), columns[:, None, :].to(device)]


def resized(images: Tensor, parts: Tensor, side: int) -> Tensor:
    """Resize a part of each image, as torchvision's resized_crop does.

    On a CPU it is that function, image by image. Elsewhere all at once, in float32: whole grey
    levels may then differ by 1, where a value lies between two.

    Args:
        images: uint8 or float32 (N, S, S, 3); uint8 are rounded to whole grey levels.
        parts: Row, column, height and width of the part of each, int64 on the CPU, (N, 4).
        side: P.

    Returns:
        The images' dtype, (N, P, P, 3).
    """
    if images.device.type != "cpu":
        return whole_batch(images, parts, side)
    done = []
    for image, (row, column, height, width) in zip(images, parts.tolist(), strict=True):
        # Of a whole array with the channels last the result has them last, too: fast to go on with.
        part = image[row : row + height, column : column + width].contiguous()
        # Its import takes a second and a half, and few recipes need it.
        from torchvision.transforms.v2 import functional  # noqa: PLC0415

        planes = functional.resize(part.permute(2, 0, 1), [side, side], antialias=True)
        done.append(planes.permute(1, 2, 0))
    return done[0][None] if len(done) == 1 else torch.stack(done)


def whole_batch(images: Tensor, parts: Tensor, side: int) -> Tensor:
    """Do the same for the whole batch in a few large operations, for a GPU."""
    parts = parts.to(images.device)
    wide = _rows_resized(images.transpose(1, 2), parts[:, 1::2], side)
    return _rows_resized(wide.transpose(1, 2), parts[:, ::2], side)


def _rows_resized(images: Tensor, parts: Tensor, side: int) -> Tensor:
    """Resize the second axis only, of a part from a start and of a size, (N, 2) of `parts`."""
    number = torch.arange(len(images), device=images.device)[:, None]
    # The same number of source pixels for all parts: those of the whole image need most.
    num_taps = 2 * math.ceil(max(images.shape[1] / side, 1)) + 1
    pixels, weights = _taps(parts[:, 0], parts[:, 1], side, num_taps)
    out = torch.zeros(len(images), side, *images.shape[2:], device=images.device)
    for tap in range(num_taps):
        out += images[number, pixels[..., tap]] * weights[..., tap, None, None]
    # Rounded after each axis, halves upward: so does the code for whole levels on CPUs.
    return out if images.is_floating_point() else (out + 0.5).to(images.dtype)


def _taps(starts: Tensor, sizes: Tensor, side: int, num: int) -> tuple[Tensor, Tensor]:
    """Return the source pixels of each pixel along an axis, and their weights, each (N, P, T).

    The filter is a triangle as wide as a result's pixel, but no narrower than a source pixel.
    """
    scale = (sizes.to(widest_float(sizes.device)) / side)[:, None, None]
    support = scale.clamp(min=1)
    centres = scale * (torch.arange(side, device=starts.device)[:, None] + 0.5)
    pixels = (centres - support + 0.5).floor() + torch.arange(num, device=starts.device)
    weights = (1 - ((pixels - centres + 0.5) / support).abs()).clamp(min=0)
    weights *= (pixels >= 0) & (pixels < sizes[:, None, None])
    weights /= weights.sum(dim=2, keepdim=True)
    pixels = torch.minimum(pixels.clamp(min=0), sizes[:, None, None] - 1.0)
    return (pixels.long() + starts[:, None, None]), weights.float()
