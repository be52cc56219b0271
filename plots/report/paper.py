"""The errors of the paper, and which result of a run stands beside which of them."""

from dataclasses import dataclass

from alexrep.runs.results import Result


@dataclass(frozen=True)
class Published:
    """A row of the paper's tables; errors in percent, None where the paper gives none."""

    model: str
    top1: float | None
    """Top-1 error on the table's images."""
    top5: float | None
    """Top-5 error on the table's images."""
    top5_test: float | None = None
    """Top-5 error on the test set, whose labels are not public."""
    views: str = ""
    """Views averaged, if results of a run may be compared with this row."""
    num_networks: int = 1
    """Networks whose probabilities are averaged."""


@dataclass(frozen=True)
class Table:
    """One of the paper's tables of errors on ILSVRC."""

    number: int
    images: str
    edition: str
    split: str
    num_images: int
    rows: tuple[Published, ...]

    def holds(self, result: Result, edition: str | None) -> bool:
        """Tell whether a result is of this table's images, labels and classes, of all of them."""
        is_split = (edition, result.split) == (self.edition, self.split)
        is_whole = result.num_images == self.num_images and not result.num_unlabelled
        return is_split and is_whole and not (result.labels or result.wnids or result.original)

    def row_for(self, views: str, num_networks: int = 1) -> Published | None:
        """Return the row that a network's error with these views is to be compared with."""
        rows = [row for row in self.rows if (row.views, row.num_networks) == (views, num_networks)]
        return rows[0] if rows else None


TABLES = (
    Table(
        number=1,
        images="ILSVRC-2010 test",
        edition="ilsvrc2010",
        split="test",
        num_images=150_000,
        rows=(
            Published("Sparse coding", 47.1, 28.2),
            Published("SIFT + FVs", 45.7, 25.7),
            Published("CNN", 37.5, 17.0, views="ten-crop"),
            Published("CNN, one patch", 39.0, 18.3, views="centre"),
        ),
    ),
    Table(
        number=2,
        images="ILSVRC-2012 val",
        edition="ilsvrc2012",
        split="val",
        num_images=50_000,
        rows=(
            Published("SIFT + FVs", None, None, 26.2),
            Published("1 CNN", 40.7, 18.2, views="ten-crop"),
            Published("5 CNNs", 38.1, 16.4, 16.4, views="ten-crop", num_networks=5),
            Published("1 CNN*", 39.0, 16.6),
            Published("7 CNNs*", 36.7, 15.4, 15.3, views="ten-crop", num_networks=7),
        ),
    ),
)
"""Source: Krizhevsky et al. 2012, tables 1 and 2, and the footnote of section 6 for one patch.

The networks with a star were trained on ImageNet of Fall 2011 first. The paper does not say so,
but the errors of the released source's other networks tell that table 2 is of ten patches.
"""


def table_of(result: Result, edition: str | None) -> Table | None:
    """Return the paper's table that a result belongs into, if there is one."""
    return next((table for table in TABLES if table.holds(result, edition)), None)
