"""Tars whose headers would fill the memory, and disks that fail while a tar is read."""

import errno
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from alexrep.errors import DataError
from alexrep.ilsvrc import archives

MakeTar = Callable[..., bytes]


def test_a_header_of_gigabytes_in_a_hole_is_refused_unread(tmp_path: Path) -> None:
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, 7 << 30
    path = tmp_path / "a.tar"
    with path.open("wb") as stream:
        stream.write(info.tobuf(tarfile.GNU_FORMAT))
        stream.truncate(info.size + 4096)
    with pytest.raises(
        DataError, match=r"a\.tar: expected a tar, found a header of 7,[0-9,]+ bytes"
    ):
        archives.members(path)


def test_headers_without_end_are_refused(tmp_path: Path) -> None:
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 2
    path = tmp_path / "a.tar"
    block = info.tobuf(tarfile.GNU_FORMAT) + b"x".ljust(tarfile.BLOCKSIZE, b"\0")
    path.write_bytes(block * 3000)
    with pytest.raises(DataError, match=r"a\.tar: expected a tar, found"):
        archives.members(path)


@pytest.mark.parametrize("number", [errno.EIO, errno.EMFILE])
def test_an_error_of_the_system_is_no_fault_of_the_tar(
    tmp_path: Path, make_tar: MakeTar, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    (tmp_path / "a.tar").write_bytes(make_tar({"a.jpg": b"1"}))

    def fail(*_: object) -> bytes:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "pread", fail)
    with pytest.raises(OSError, match=r"a\.tar") as raised:
        archives.members(tmp_path / "a.tar")
    assert raised.value.errno == number
