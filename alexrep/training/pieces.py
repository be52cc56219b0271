"""How a batch is divided among ranks and pieces, and whether batch normalisation can do with it."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from alexrep.compute.batch_statistics import has_batch_norms
from alexrep.compute.processes import Processes
from alexrep.compute.rank import ProcessRank
from alexrep.config.recipe import Compute, Recipe
from alexrep.errors import ConfigError, mismatch
from alexrep.models import without_values


def of_batch(num_images: int, processes: Processes, compute: Compute) -> list[NDArray[np.int64]]:
    """Return the pieces into which a rank divides its share of a batch: rows of the whole batch.

    Only where ranks compute the statistics of batch normalisation together may a piece be empty:
    all ranks have as many then as the one with most images.

    Args:
        num_images: Images of the batch, over all ranks.
        processes: The ranks, seen from this one.
        compute: How many pieces, and whether statistics are synchronised.
    """
    share = np.arange(num_images)[processes.share(num_images)]
    num = min(len(share), compute.accumulate)
    if compute.batch_statistics == "synchronised":
        # Shares are even: none is larger than this.
        num = min(-(-num_images // processes.size), compute.accumulate)
    return np.array_split(share, num) if num else []


def describe(batch_size: int, num_processes: int, accumulate: int) -> str:
    """Say how a batch is divided: "128 images, 64 a process, in 4 pieces"."""
    least, most = batch_size // num_processes, -(-batch_size // num_processes)
    text = f"{batch_size:,} image{'s' * (batch_size != 1)}"
    if num_processes > 1:
        text += f", {least:,} {f'or {most:,} ' * (most > least)}a process"
    return text + (f", in {accumulate:,} pieces" if accumulate > 1 else "")


def require_enough(
    network: nn.Module, recipe: Recipe, num_train: int, num_processes: int = 1
) -> None:
    """Refuse batches of which batch normalisation would see a single value of each map.

    Args:
        network: As it was built, in training mode.
        recipe: The recipe.
        num_train: Training images.
        num_processes: Ranks that divide each batch.

    Raises:
        ConfigError: If a piece of a batch is so small, or the network cannot be computed at its
            side.
    """
    if not has_batch_norms(network):
        return
    side, fewest = recipe.model.side, _fewest(recipe, num_train, num_processes)
    # Auxiliary heads are computed by a network in training; dropout would ask for keys.
    for module in network.modules():
        module.training = module is network or isinstance(module, _BatchNorm)
    without_values.run(network, side, num_images=2)
    try:
        without_values.run(network, side, num_images=fewest)
    except ConfigError:
        wanted = "pieces of two images or more, as batch normalisation needs them"
        found = f"one of {fewest} (with {num_train:,} training images)"
        advice = "choose another batch size, or fewer pieces or processes"
        raise ConfigError(mismatch("feed.batch_size", wanted, found, advice)) from None
    finally:
        network.train()


def _fewest(recipe: Recipe, num_train: int, num_processes: int) -> int:
    """Return the fewest images that are normalised together in an epoch."""
    ranks = [Processes(ProcessRank(rank, num_processes)) for rank in range(num_processes)]
    fewest = []
    for num_images in _batch_sizes(recipe, num_train):
        divided = [of_batch(num_images, rank, recipe.compute) for rank in ranks]
        if recipe.compute.batch_statistics == "synchronised":
            divided = [[np.concatenate(parts) for parts in zip(*divided, strict=True)]]
        fewest += [len(piece) for pieces in divided for piece in pieces]
    return min(fewest)


def _batch_sizes(recipe: Recipe, num_train: int) -> Iterable[int]:
    """Return the sizes of an epoch's batches, each once."""
    size = min(recipe.feed.batch_size, num_train)
    num_whole, rest = divmod(num_train, size)
    limits = recipe.limits
    num_used = min(limits.batches or num_train, limits.steps or num_train)
    return {size, rest} if rest and num_used > num_whole else {size}
