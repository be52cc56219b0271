"""The shared style: labels that keep apart, numbers, and how a figure is shown and saved."""

import io
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from PIL import Image

from alexrep.plots import panels, style


def test_labels_that_have_room_stay_where_they_are() -> None:
    assert style.spread([0.5, 0.1, 0.9], 0.1, 0, 1) == [0.5, 0.1, 0.9]


def test_labels_in_one_place_move_apart_about_it() -> None:
    assert style.spread([0.5, 0.5, 0.5], 0.1, 0, 1) == pytest.approx([0.4, 0.5, 0.6])
    assert style.spread([0.0, 0.0], 0.1, 0, 1) == pytest.approx([0.0, 0.1])
    assert style.spread([1.0, 0.99], 0.1, 0, 1) == pytest.approx([1.0, 0.9])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_labels_never_overlap_and_keep_their_order(places: list[float]) -> None:
    moved = style.spread(places, 0.05, 0, 1)
    order = sorted(range(len(places)), key=lambda index: places[index])
    steps = [later - earlier for earlier, later in pairwise(moved[index] for index in order)]
    assert all(step >= 0.05 - 1e-9 for step in steps)
    assert min(moved) >= -1e-9
    assert max(moved) <= 1 + 1e-9


@pytest.mark.parametrize(
    ("number", "text"), [(-0.001, "0.00"), (0.0, "0.00"), (0.5, "+0.50"), (-0.5, "\u22120.50")]
)
def test_a_zero_has_no_sign(number: float, text: str) -> None:
    assert style.signed(number, ".2f") == text


@pytest.mark.parametrize(
    ("rate", "text"),
    [(0.01, "0.01"), (0.00031, "3.1e-4"), (1e-5, "1e-5"), (0.0, "0"), (0.001584893, "0.00158")],
)
def test_rates_are_short(rate: float, text: str) -> None:
    assert panels.rate(rate) == text


def test_a_figure_is_shown_in_a_notebook_as_it_is_saved(tmp_path: Path) -> None:
    with style.canvas(2) as figure:
        style.title(figure, "A title", "and a subtitle")
    shown = figure._repr_png_()
    assert style.save(figure, tmp_path / "a.png").read_bytes() == shown
    assert Image.open(io.BytesIO(shown)).size == (1200, 300)


def test_a_format_that_is_not_known_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="out: expected a file of png or svg"):
        style.save(Figure(), tmp_path / "a.jpg")
