"""Lays out the panels of the curves: stacked, with a shared epoch axis."""

from collections.abc import Iterable, Sequence
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from . import style

WIDTH, HEIGHT = 9.0, 7.6
LEFT, RIGHT, NAME = 0.95, 8.7, 0.35
"""Left and right edge of the panels, and x of their names, in inches."""
ROWS = ((1.15, 2.3), (3.85, 2.05), (6.3, 0.7))
"""Top and height of the panels of loss, error and rates, in inches."""
DASHES: dict[str, Any] = {"color": style.QUIET, "lw": 0.9, "ls": (0, (4, 3))}
"""Line style of the marks at changes."""


def stack(figure: Figure) -> list[Axes]:
    """Add the panels of loss, error and rates; only the lowest has epoch labels."""
    panels: list[Axes] = []
    for top, height in ROWS:
        bottom = 1 - (top + height) / HEIGHT
        rectangle = (LEFT / WIDTH, bottom, (RIGHT - LEFT) / WIDTH, height / HEIGHT)
        panels.append(figure.add_axes(rectangle, sharex=panels[0] if panels else None))
    for panel in panels[:-1]:
        panel.tick_params(labelbottom=False, bottom=False)
    return panels


def name(panel: Axes, text: str) -> None:
    """Label the vertical axis, at the same x in every panel."""
    panel.set_ylabel(text)
    panel.yaxis.set_label_coords((NAME - LEFT) / (RIGHT - LEFT), 0.5)


def mark(panels: Iterable[Axes], epochs: Iterable[float]) -> None:
    """Draw a dashed line across all panels at each of `epochs`."""
    for epoch in epochs:
        for panel in panels:
            panel.axvline(epoch, zorder=1, **DASHES)


def legend(panel: Axes, handles: Sequence[Artist]) -> None:
    """Put the legend in one row above the panel, where it cannot cover a curve."""
    if not handles:
        return
    panel.legend(
        handles=handles,
        loc="lower left",
        bbox_to_anchor=(0, 1.0),
        ncols=len(handles),
        borderaxespad=0.2,
        borderpad=0.2,
        handlelength=2.2,
        columnspacing=1.6,
    )
