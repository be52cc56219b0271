"""Who looks on while a training runs: a screen, a log, or nobody."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # a command line may show the help without it
    from alexrep.runs.log import Row


class Watcher:
    """Is told how a training goes; this one does nothing with it.

    Only the first of several processes tells; none of it changes what is computed.
    """

    def goes_on(self, epoch: int, step: int) -> None:
        """The run goes on from a checkpoint, with so many epochs and steps finished."""

    def trains(self, epoch: int, rate: float) -> None:
        """An epoch begins, or is gone on with, after so many finished ones; weights' rate."""

    def loss(self, loss: float) -> None:
        """The mean loss of a step's batch has been read."""

    def validates(self, epoch: int, num_images: int) -> None:
        """Val is scored after so many finished epochs; before training after none."""

    def scored(self, num_images: int) -> None:
        """So many more images of val have been scored."""

    def row(self, row: Row) -> None:
        """The row of an epoch, or of the untrained network, is in the log."""
