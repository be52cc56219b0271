"""Reads members of zips in place."""

import os
import struct
import zipfile
import zlib
from pathlib import Path

from alexrep.errors import DataError, mismatch
from alexrep.files import named
from alexrep.ilsvrc.member import Member, refuse_hostile
from alexrep.system import require_sound_disk

_HEADER = struct.Struct("<4s4xH16xHH")
"""Of a local header: signature, method, lengths of name and extra; its sizes may be 0."""
_CHUNK = 1 << 20
FAULTS = (
    *(zipfile.BadZipFile, OSError, ValueError, struct.error, NotImplementedError),
    IndexError,  # of a member without a name
)
"""What reading the table of a damaged zip can raise."""


def members(archive: Path) -> list[Member]:
    """List the files of a zip, which its end has a table of; folders are skipped.

    Raises:
        DataError: If it is no zip or is truncated, or a member is encrypted, or compressed
            otherwise than by deflate, or has a path that leaves its folder.
    """
    try:
        with zipfile.ZipFile(archive) as table:
            end = archive.stat().st_size
            return [_member(archive, info, end) for info in table.infolist() if not info.is_dir()]
    except FAULTS as error:
        require_sound_disk(error, archive)
        raise DataError(mismatch(archive, "a zip", error, "download it again")) from None


def _member(archive: Path, info: zipfile.ZipInfo, end: int) -> Member:
    refuse_hostile(archive, info.filename)
    if not 0 <= info.header_offset < end:
        found = f"{info.filename!a} at byte {info.header_offset}"
        raise zipfile.BadZipFile(f"{found} of {end}")
    found = "an encrypted one" if info.flag_bits & 1 else f"method {info.compress_type}"
    if info.flag_bits & 1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        where, advice = f"{archive}: {info.filename!a}", "unpack the zip and name the folder"
        raise DataError(mismatch(where, "a member stored or deflated", found, advice))
    return Member(info.filename, info.header_offset, info.file_size, 0, info.CRC)


def read(archive: Path, member: Member) -> bytes:
    """Read one member; what is cut short has fewer bytes than the member's size.

    Raises:
        DataError: If its local header or its compressed bytes are damaged.
    """
    where, advice = f"{archive}: {member.path}", "download it again"
    with named(archive), archive.open("rb", buffering=0) as stream:
        descriptor = stream.fileno()
        header = os.pread(descriptor, _HEADER.size, member.offset)
        if len(header) < _HEADER.size or not header.startswith(b"PK\x03\x04"):
            raise DataError(mismatch(where, "the header of a member", "other bytes", advice))
        _, method, name_length, extra_length = _HEADER.unpack(header)
        start = member.offset + _HEADER.size + name_length + extra_length
        if method == zipfile.ZIP_STORED:
            return os.pread(descriptor, member.size, start)
        try:
            return _inflate(descriptor, start, member.size)
        except zlib.error as error:
            raise DataError(mismatch(where, "a deflated member", error, advice)) from None


def _inflate(descriptor: int, start: int, size: int) -> bytes:
    """Decompress at most one byte more than a member's size."""
    inflate, content = zlib.decompressobj(-zlib.MAX_WBITS), bytearray()
    while not inflate.eof and len(content) <= size:
        packed = inflate.unconsumed_tail
        if not packed:
            packed = os.pread(descriptor, min(_CHUNK, size + _CHUNK // 16), start)
            start += len(packed)
        if not packed:
            break
        content += inflate.decompress(packed, size + 1 - len(content))
    return bytes(content)
