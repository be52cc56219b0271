"""Draws the network of a run: layers as blocks, towers, what they read, and a table of numbers.

Lengths are in inches, from the top left corner of the page.

Source: Krizhevsky et al. 2012, figure 2.
"""

from collections.abc import Callable, Sequence
from math import prod, sqrt
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Polygon

from alexrep.config.recipe import Recipe
from alexrep.errors import mismatch
from alexrep.models import count, registry
from alexrep.runs.contents import NothingToShow, name_of, read_classes, read_recipe

from . import network_columns, style
from .network_columns import Column

MOST_COLUMNS = 12
"""Most layers with weights that a drawing has room for."""
TOP, TOWER, ROW = 1.2, 1.3, 0.2
"""Top of the drawing, height of a tower and of a row of the table."""
HEADS = 0.95
"""Width of the heads of the rows."""
LARGEST, MAPS, UNITS, THICK = 1.0, 0.03, 0.019, 0.1
"""Side of the image, width of a block by the root of its maps, height of one by the root of its
units, and its width."""
SLANT = 0.16
"""How far the upper edges go back, as a fraction of the height."""
FILLS = {
    "image": ("#F4F6F8", "#FFFFFF", "#D5DBE1"),
    "conv": ("#BFDDF0", "#E1F0F9", "#8FC1E3"),
    "local": ("#B5E0D0", "#DBF1E9", "#84CBB1"),
    "fc": ("#F7E0B5", "#FCF1DC", "#E9C47C"),
}
"""Front, upper and right face, by the kind of the layer."""


class Block(NamedTuple):
    """A block of the drawing, by its front face."""

    left: float
    middle: float
    width: float
    height: float
    kind: str

    @property
    def back(self) -> float:
        """How far its upper edge goes back."""
        return max(SLANT * self.height, 0.05)


def draw(run: Path) -> Figure:
    """Draw the network of a run.

    Raises:
        NothingToShow: If it has no recipe or classes, or more layers than there is room for.
        DataError: If they are damaged.
    """
    recipe = read_recipe(run)
    return draw_recipe(recipe, len(read_classes(run)), name_of(run))


def draw_recipe(recipe: Recipe, num_classes: int, name: str = "") -> Figure:
    """Draw the network of a recipe.

    Args:
        recipe: The recipe.
        num_classes: Logits.
        name: What the title says before the recipe.

    Raises:
        NothingToShow: If there are more layers than there is room for.
    """
    network = registry.build(recipe.model, num_classes, recipe.seed)
    columns = network_columns.of(network, recipe.model)
    if len(columns) > MOST_COLUMNS:
        found = f"{len(columns)}: they do not fit on a page"
        advice = f"see alexrep summary {recipe.name}"
        raise NothingToShow(
            mismatch(recipe.name, f"at most {MOST_COLUMNS} layers with weights", found, advice)
        )
    num_towers = max(column.num_towers for column in columns)
    rows = table(columns, recipe.model.side)
    height = TOP + num_towers * TOWER + 0.25 + len(rows) * ROW + style.MARGIN
    costs = count.total(count.count(network, recipe.model.side))
    with style.canvas(height) as figure:
        title = f"{name}: the network of recipe {recipe.name}" if name else recipe.name
        style.title(figure, title, *summary(columns, costs, num_classes))
        page = style.page(figure)
        pitch = (style.WIDTH - 2 * style.MARGIN - HEADS) / (len(columns) + 1)
        middles = [
            style.MARGIN + HEADS + (index + 0.5) * pitch for index in range(len(columns) + 1)
        ]
        _draw_blocks(page, columns, middles, recipe.model.side, num_towers)
        _draw_table(figure, page, rows, middles, TOP + num_towers * TOWER + 0.25)
    return figure


def summary(columns: Sequence[Column], costs: count.Cost, num_classes: int) -> tuple[str, str]:
    """Return the subtitle: what the network holds and does, and how to read the drawing."""
    units = sum(prod(column.shape) for column in columns)
    holds = f"{costs.parameters:,} parameters, {units:,} units, {num_classes:,} classes"
    work = f"{costs.multiply_adds / 1e6:,.1f} million multiply-adds an image"
    crossing = any(column.reads_both for column in columns)
    of = " of a tower" if columns[0].num_towers > 1 else ""
    lines = "; orange lines: what a tower reads of the other" if crossing else ""
    return f"{holds}; {work}", f"height: side of the maps; width: number of maps{of}{lines}"


def table(columns: Sequence[Column], side: int) -> dict[str, list[str]]:
    """Return the rows of the table below the drawing, the image's column first, by their heads."""
    rows: dict[str, tuple[str, Callable[[Column], str]]] = {
        "": ("image", lambda column: column.name),
        "maps, units": ("3", _width),
        "side": (str(side), lambda column: str(column.shape[1]) if len(column.shape) > 1 else ""),
        "kernel/stride": ("", lambda column: column.kernel),
        "norm": ("", lambda column: column.norms[0] if column.norms else ""),
        "then": ("", lambda column: column.norms[1] if len(column.norms) > 1 else ""),
        "pool": ("", lambda column: column.pool),
        "side after": ("", lambda column: str(column.pooled or "")),
        "reads": ("", lambda column: "both" if column.reads_both else ""),
        "parameters": ("", lambda column: _short(column.num_parameters)),
    }
    cells = {head: [first, *map(cell, columns)] for head, (first, cell) in rows.items()}
    return {head: row for head, row in cells.items() if any(row)}


def _width(column: Column) -> str:
    share = f"{column.shape[0] // column.num_towers:,}"
    return share if column.num_towers == 1 else f"{column.num_towers} {style.CROSS} {share}"


def _short(number: int) -> str:
    """Return a count in at most six characters: 34.9 k, 37.8 M."""
    for factor, unit in ((1e6, " M"), (1e3, " k")):
        if number >= factor:
            return f"{number / factor:.3g}{unit}"
    return str(number)


def _draw_blocks(
    page: Axes, columns: Sequence[Column], middles: Sequence[float], side: int, num_towers: int
) -> None:
    """Draw the blocks from left to right, and lines from what each reads."""
    centre = TOP + num_towers * TOWER / 2
    before = [_block("image", (3, side, side), 1, side, middles[0], centre)]
    _draw_block(page, before[0])
    for column, middle in zip(columns, middles[1:], strict=True):
        num = column.num_towers
        tops = [centre + (index - (num - 1) / 2) * TOWER for index in range(num)]
        kind = "fc" if len(column.shape) == 1 else "local" if "local" in column.name else "conv"
        blocks = [_block(kind, column.shape, num, side, middle, top) for top in tops]
        for index, block in enumerate(blocks):
            for other, source in enumerate(before):
                is_own = other == index or 1 in (len(before), len(blocks))
                if is_own or column.reads_both:
                    _connect(page, source, block, is_own=is_own)
        for block in blocks:
            _draw_block(page, block)
        before = blocks
    for index in range(num_towers if num_towers > 1 else 0):
        y = centre + (index - (num_towers - 1) / 2) * TOWER
        page.text(style.MARGIN, y, f"tower {index + 1}", color=style.QUIET, va="center")


def _block(
    kind: str, shape: Sequence[int], num: int, side: int, middle: float, centre: float
) -> Block:
    """Return the block of one tower's part of a layer, its middle at a place of the page."""
    share = shape[0] / num
    height, width = min(UNITS * sqrt(share), LARGEST), THICK
    if len(shape) > 1:
        height, width = LARGEST * sqrt(shape[1] / side), min(MAPS * sqrt(share), 0.46)
    return Block(middle - width / 2, centre, width, max(height, 0.1), kind)


def _draw_block(page: Axes, block: Block) -> None:
    """Draw the three faces of a block that are seen."""
    left, right, back = block.left, block.left + block.width, block.back
    top, bottom = block.middle - block.height / 2, block.middle + block.height / 2
    front, upper, side = FILLS[block.kind]
    faces = {
        front: [(left, top), (right, top), (right, bottom), (left, bottom)],
        upper: [(left, top), (left + back, top - back), (right + back, top - back), (right, top)],
        side: [
            *((right, top), (right + back, top - back)),
            *((right + back, bottom - back), (right, bottom)),
        ],
    }
    for fill, corners in faces.items():
        page.add_patch(Polygon(corners, fc=fill, ec=style.QUIET, lw=0.6, joinstyle="round"))


def _connect(page: Axes, source: Block, block: Block, *, is_own: bool) -> None:
    """Draw a line from one block to the next, below both."""
    look: dict[str, Any] = {"color": style.LINE, "lw": 1.0}
    if not is_own:
        look = {"color": style.VERMILLION, "lw": 1.0}
    right = source.left + source.width + source.back / 2
    page.plot([right, block.left], [source.middle, block.middle], zorder=0.5, **look)


def _draw_table(
    figure: Figure, page: Axes, rows: dict[str, list[str]], middles: Sequence[float], top: float
) -> None:
    room = middles[1] - middles[0] - 0.04
    for number, (head, cells) in enumerate(rows.items()):
        y = top + number * ROW
        look: dict[str, Any] = {"size": style.SMALL, "va": "center_baseline"}
        page.text(style.MARGIN, y, head, color=style.QUIET, **look)
        weight = "bold" if not head else "normal"
        for middle, cell in zip(middles, cells, strict=True):
            text = style.shorten(figure, cell, room, style.SMALL, weight)
            colour = style.VERMILLION if head == "reads" else style.INK
            page.text(middle, y, text, ha="center", weight=weight, color=colour, **look)
