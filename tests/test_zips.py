"""Members of zips, read in place."""

import zipfile
from pathlib import Path

import pytest

from alexrep.errors import DataError
from alexrep.ilsvrc import zips


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("a.txt", b"first")
        made.writestr("b.txt", b"second " * 100, zipfile.ZIP_DEFLATED)
    return path


def test_members_are_read_as_they_were_written(archive: Path) -> None:
    listed = zips.members(archive)
    assert [(one.path, zips.read(archive, one)) for one in listed] == [
        ("a.txt", b"first"),
        ("b.txt", b"second " * 100),
    ]


def test_a_zip_that_lost_its_beginning_is_one_line(archive: Path) -> None:
    archive.write_bytes(archive.read_bytes()[20:])
    with pytest.raises(DataError, match=r"a\.zip: expected a zip, found .* at byte -20 of "):
        zips.members(archive)
