"""Shared style of all pictures: colours, fonts, and a canvas that is saved as one PNG file.

pyplot is not used. The style is based on matplotlib's own defaults, never on the
user's settings, and the file holds no version and no date, so that equal work gives
equal bytes. Lengths are in inches, from the top left corner of the page.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from alexrep.files import whole

DPI = 150
MARGIN = 0.3
"""Margin of a page, in inches."""
ELLIPSIS, MINUS, CROSS = "\N{HORIZONTAL ELLIPSIS}", "\N{MINUS SIGN}", "\N{MULTIPLICATION SIGN}"

# Okabe and Ito's palette, distinct under all common kinds of colour blindness.
BLUE, VERMILLION, ORANGE = "#0072B2", "#D55E00", "#E69F00"
GREEN, PURPLE = "#009E73", "#CC79A7"
INK, QUIET, LINE, PALE = "#1A1A1A", "#6B6B6B", "#B5B5B5", "#E9ECEF"


def settings() -> dict[str, object]:
    """Return the rcParams that differ from matplotlib's defaults."""
    return {
        "figure.dpi": DPI,
        "savefig.dpi": DPI,
        "font.family": "DejaVu Sans",
        "font.size": 9.0,
        # Class and recipe names may hold dollar signs, which must not start math text.
        "text.parse_math": False,
        "text.color": INK,
        "axes.labelcolor": INK,
        "axes.edgecolor": QUIET,
        "axes.linewidth": 0.8,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        "axes.grid": True,
        "axes.grid.axis": "y",
        "grid.color": PALE,
        "grid.linewidth": 0.8,
        "xtick.color": QUIET,
        "ytick.color": QUIET,
        "xtick.labelcolor": INK,
        "ytick.labelcolor": INK,
        "xtick.labelsize": 8.5,
        "ytick.labelsize": 8.5,
        "lines.linewidth": 1.8,
        "lines.solid_capstyle": "round",
        "legend.frameon": False,
        "legend.fontsize": 8.5,
    }


@contextlib.contextmanager
def canvas(out: Path, width: float, height: float) -> Iterator[Figure]:
    """Yield an empty figure in the shared style; save it to `out` unless the block raises.

    Args:
        out: The PNG file; written whole or not at all.
        width: Width in inches, at `DPI` pixels each.
        height: Height in inches.
    """
    with matplotlib.style.context(["default", settings()]), whole(out) as part:
        figure = Figure(figsize=(width, height))
        FigureCanvasAgg(figure)
        yield figure
        figure.savefig(part, format="png", metadata={"Software": None})


def page(figure: Figure) -> Axes:
    """Add invisible axes over the whole figure, in inches from the top left corner."""
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    width, height = figure.get_size_inches()
    axes.set(xlim=(0, width), ylim=(height, 0), autoscale_on=False)
    return axes


def title(figure: Figure, text: str, subtitle: str) -> None:
    """Write the title at the top left, and the subtitle below it in grey."""
    width, height = figure.get_size_inches()
    available = width - 2 * MARGIN
    for string, size, top, weight, colour in (
        (text, 13.0, MARGIN, "bold", INK),
        (subtitle, 9.5, MARGIN + 0.27, "normal", QUIET),
    ):
        figure.text(
            MARGIN / width,
            1 - top / height,
            shorten(figure, string, available, size, weight),
            size=size,
            weight=weight,
            color=colour,
            va="top",
        )


def shorten(figure: Figure, text: str, width: float, size: float, weight: str = "normal") -> str:
    """Cut `text`, with an ellipsis, to at most `width` inches.

    Args:
        figure: The figure it will be drawn on.
        text: One line.
        width: Largest width, in inches.
        size: Font size, in points.
        weight: Font weight.
    """
    if text_width(figure, text, size, weight) <= width:
        return text
    while text and text_width(figure, text + ELLIPSIS, size, weight) > width:
        text = text[:-1].rstrip(" ,")
    return text + ELLIPSIS


def signed(number: float, form: str) -> str:
    """Format a number with its sign, with a minus sign as wide as the plus."""
    return f"{number:+{form}}".replace("-", MINUS)


def text_width(figure: Figure, text: str, size: float, weight: str = "normal") -> float:
    """Return the width of a line of text, in inches."""
    line = Text(0, 0, text, size=size, weight=weight)
    line.set_figure(figure)
    return line.get_window_extent().width / DPI
