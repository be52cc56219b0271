"""Tests of the run's log."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from log_page import require_schema, schema

from alexrep.errors import AlexrepError, DataError
from alexrep.runs import log

ROOT = Path(__file__).parent.parent


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "log.jsonl"


@pytest.fixture
def opened(path: Path) -> Iterator[log.Log]:
    with closing(log.Log(path)) as opened:
        yield opened


def test_rows_come_back_as_they_were_appended(opened: log.Log, path: Path) -> None:
    rows: list[log.Row] = [{"kind": "step", "loss": 2.301}, {"kind": "epoch", "train_loss": None}]
    for row in rows:
        opened.append(row)
    assert log.read(path) == rows


def test_a_row_keeps_the_order_of_its_keys(opened: log.Log, path: Path) -> None:
    opened.append({"kind": "step", "epoch": 0, "a": 1})
    assert path.read_text() == '{"kind": "step", "epoch": 0, "a": 1}\n'


def test_a_second_opening_appends(opened: log.Log, path: Path) -> None:
    opened.append({"n": 1})
    with closing(log.Log(path)) as second:
        second.append({"n": 2})
    assert log.read(path) == [{"n": 1}, {"n": 2}]


def test_a_number_that_is_not_finite_is_refused_and_writes_nothing(
    opened: log.Log, path: Path
) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        opened.append({"loss": float("nan")})
    assert path.read_bytes() == b""


def test_an_unfinished_last_line_is_left_out(path: Path, opened: log.Log) -> None:
    path.write_bytes(b'{"n": 1}\n{"n": 2')
    assert log.read(path) == [{"n": 1}]


def test_opening_removes_an_unfinished_last_line(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'{"n": 1}\n{"n": 2')
    with closing(log.Log(path)) as opened:
        opened.append({"n": 3})
    assert log.read(path) == [{"n": 1}, {"n": 3}]


def test_cutting_at_a_recorded_size_drops_what_came_after(opened: log.Log, path: Path) -> None:
    opened.append({"n": 1})
    size = opened.tell()
    opened.append({"n": 2})
    log.cut(path, size)
    assert log.read(path) == [{"n": 1}]


def test_the_recorded_size_counts_what_stood_before_the_opening(path: Path) -> None:
    for _ in range(2):
        with closing(log.Log(path)) as opened:
            opened.append({"n": 1})
            size = opened.tell()
    assert size == path.stat().st_size == 2 * len(b'{"n": 1}\n')


def test_after_a_cut_rows_come_from_who_opens_it_then_alone(opened: log.Log, path: Path) -> None:
    opened.append({"n": 1})
    log.cut(path, opened.tell())
    with closing(log.Log(path)) as second:
        second.append({"n": 2})
        opened.append({"n": 2})  # by a process that was suspended while another took over its run
        second.append({"n": 3})
    assert log.read(path) == [{"n": 1}, {"n": 2}, {"n": 3}]


def test_a_cut_that_is_no_longer_ours_changes_nothing(opened: log.Log, path: Path) -> None:
    def lost() -> None:
        raise AlexrepError("taken over")

    opened.append({"n": 1})
    with pytest.raises(AlexrepError, match="taken over"):
        log.cut(path, 0, lost)
    assert log.read(path) == [{"n": 1}]
    assert [file.name for file in path.parent.iterdir()] == ["log.jsonl"]


def test_a_log_shorter_than_recorded_is_an_error(path: Path, opened: log.Log) -> None:
    opened.append({"n": 1})
    with pytest.raises(DataError, match=r"at least 1,000 bytes, found 9;"):
        log.cut(path, 1000)


def test_a_missing_log_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="found none; run alexrep train first"):
        log.read(tmp_path / "log.jsonl")


@pytest.mark.parametrize("line", [b"{", b"", b"[1]", b"7", b'{"loss": NaN}', b'{"a": "\xff"}'])
def test_a_line_that_is_not_a_json_object_is_named(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'{"n": 1}\n' + line + b'\n{"n": 2}\n')
    with pytest.raises(DataError, match=r"log\.jsonl line 2: expected"):
        log.read(path)


def test_a_shipped_log_is_as_the_page_says() -> None:
    rows = log.read(ROOT / "docs/runs/cifar10-80sec/log.jsonl")
    assert {row["kind"] for row in rows} == {"step", "epoch"} <= schema().keys()
    require_schema(rows)


def test_what_the_page_does_not_know_is_found() -> None:
    rows = log.read(ROOT / "docs/runs/cifar10-80sec/log.jsonl")[:2]
    spoils: tuple[log.Row, ...] = ({"more": 1}, {"step": "one"}, {"memory_bytes": None})
    for spoilt in spoils:
        with pytest.raises((AssertionError, KeyError)):
            require_schema([rows[0] | spoilt])
