"""Tars read in place: offsets into the outermost file, refused members, damage."""

import io
import random
import string
import tarfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alexrep.errors import DataError
from alexrep.ilsvrc import archives
from alexrep.ilsvrc.member import Member, is_passed_over, refuse_hostile

MakeTar = Callable[..., bytes]

NAMES = st.text(string.ascii_letters + string.digits + "_-. \u00e9\u4e16", min_size=1, max_size=160)
PATHS = st.lists(NAMES.filter(lambda part: part not in {".", ".."}), min_size=1, max_size=3)
ENTRIES = st.lists(st.tuples(PATHS.map("/".join), st.binary(max_size=1500)), max_size=5)
FORMATS = st.sampled_from((tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT))

BLOCK = 512


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def tar_of(*headers: tarfile.TarInfo, content: bytes = b"x") -> bytes:
    """Make a tar of members with the given headers; files all have the same content."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for header in headers:
            header.size = len(content) if header.isreg() else 0
            tar.addfile(header, io.BytesIO(content))
    return stream.getvalue()


def header(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname = kind, target
    return made


def resealed(tar: bytes, **fields: bytes) -> bytes:
    """Change fields of a tar's first header and recompute its checksum."""
    offsets = {"name": 0, "size": 124, "mtime": 136, "kind": 156}
    changed = bytearray(tar)
    for field, value in fields.items():
        changed[offsets[field] : offsets[field] + len(value)] = value
    changed[148:156] = b" " * 8
    changed[148:156] = b"%06o\0 " % sum(changed[:BLOCK])
    return bytes(changed)


@settings(max_examples=60)
@given(ENTRIES, FORMATS)
def test_the_list_is_that_of_tarfile(
    tmp_path_factory: pytest.TempPathFactory, entries: list[tuple[str, bytes]], form: int
) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=form) as tar:
        for number, (name, content) in enumerate(entries):
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(content), number
            try:
                tar.addfile(info, io.BytesIO(content))
            except ValueError:  # ustar has no room for the name
                continue
    path = write(tmp_path_factory.getbasetemp() / "any.tar", stream.getvalue())
    with tarfile.open(path) as tar:
        shown = [m for m in tar if m.isreg() and not is_passed_over(m.name)]
        expected = [(m.name, m.offset_data, m.size, m.mtime) for m in shown]
        contents = [tar.extractfile(m).read() for m in shown]  # type: ignore[union-attr]
    members = archives.members(path)
    assert [(m.path, m.offset, m.size, m.mtime) for m in members] == expected
    assert [archives.read(path, member) for member in members] == contents


def test_offsets_of_a_nested_tar_are_places_in_the_outer_file(
    tmp_path: Path, make_tar: MakeTar
) -> None:
    inner = {"n1_5.JPEG": b"first", "n1_12.JPEG": b"second" * 200}
    outer = {"n0.tar": make_tar({"n0_1.JPEG": b"other"}), "n1.tar": make_tar(inner)}
    path = write(tmp_path / "outer.tar", make_tar(outer))
    nested = archives.members(path)[1]
    members = archives.members(path, nested.offset, nested.size)
    assert {member.path: archives.read(path, member) for member in members} == inner
    raw = path.read_bytes()
    assert all(raw[m.offset : m.offset + m.size] == inner[m.name] for m in members)


def test_a_tar_three_deep_is_read_in_place(tmp_path: Path, make_tar: MakeTar) -> None:
    content = make_tar({"b.tar": make_tar({"c.tar": make_tar({"image": b"here"})})})
    path, start, size = write(tmp_path / "a.tar", content), 0, len(content)
    for _ in range(3):
        (member,) = archives.members(path, start, size)
        start, size = member.offset, member.size
    assert archives.read(path, member) == b"here"


def test_folders_are_passed_over_and_names_are_the_last_part(tmp_path: Path) -> None:
    headers = header("val/", tarfile.DIRTYPE), header("val/ILSVRC2010_val_00000001.JPEG")
    (member,) = archives.members(write(tmp_path / "a.tar", tar_of(*headers)))
    assert (member.path, member.name) == (
        "val/ILSVRC2010_val_00000001.JPEG",
        "ILSVRC2010_val_00000001.JPEG",
    )


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_names_are_whole(tmp_path: Path, form: int) -> None:
    name, stream = "folder/" * 40 + "n01440764_1.JPEG", io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=form) as tar:
        tar.addfile(header(name))
        tar.addfile(header("next"))
    members = archives.members(write(tmp_path / "a.tar", stream.getvalue()))
    assert [member.path for member in members] == [name, "next"]


@pytest.mark.parametrize(
    "name",
    ["../n1_1.JPEG", "val/../../n1_1.JPEG", "/etc/n1_1.JPEG", "val/..", ".", "a\nb", "a\x7fb"],
)
def test_a_name_that_is_no_place_below_is_refused(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / "a.tar", tar_of(header("sound"), header(name)))
    message = (
        r"a\.tar: .*: expected a plain file, found an? (path that leaves its folder|"
        r"unprintable name); download it again"
    )
    with pytest.raises(DataError, match=message) as caught:
        archives.members(path)
    assert repr(name) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_name_that_is_no_utf8_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tar", resealed(tar_of(header("nnnnn")), name=b"n1_\xff5"))
    with pytest.raises(DataError, match=r"expected a plain file, found an unprintable name"):
        archives.members(path)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, b"Z"])
def test_a_link_or_a_device_is_refused_by_name(tmp_path: Path, kind: bytes) -> None:
    headers = header("sound"), header("n1_1.JPEG", kind, "sound")
    path = write(tmp_path / "a.tar", tar_of(*headers))
    message = r"n1_1\.JPEG.*: expected a plain file, found a link or a device; download it again"
    with pytest.raises(DataError, match=message):
        archives.members(path)


def test_a_hard_link_to_what_is_not_before_it_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tar", tar_of(header("n1_1.JPEG", tarfile.LNKTYPE, "later")))
    with pytest.raises(DataError, match=r"n1_1.*found a link to 'later', not before it; pack"):
        archives.members(path)


def test_a_sparse_file_is_refused_by_name(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tar", resealed(tar_of(header("holes")), kind=b"S"))
    with pytest.raises(DataError, match=r"holes.*found a sparse one; pack the tar without --spar"):
        archives.members(path)


@pytest.mark.parametrize("size", [-1, -512, -(2**40)])
def test_a_negative_size_is_refused_at_once(tmp_path: Path, size: int) -> None:
    field = b"\xff" + (256**11 + size).to_bytes(11, "big")
    path = write(tmp_path / "a.tar", resealed(tar_of(header("loop")), size=field))
    with pytest.raises(DataError, match=r"a\.tar.*: expected "):
        archives.members(path)


@pytest.mark.parametrize("time", ["inf", "nan", "1e400"])
def test_a_time_that_is_no_number_is_refused(tmp_path: Path, time: str) -> None:
    made = header("n1_1.JPEG")
    made.pax_headers = {"mtime": time}
    with pytest.raises(DataError, match=r"a\.tar: expected a tar, found"):
        archives.members(write(tmp_path / "a.tar", tar_of(made)))


@pytest.mark.parametrize("content", [b"", b"text", b"text\n" * 1000, b"\xff\xd8\xff" * 1000])
def test_a_file_that_is_no_tar_is_one_line(tmp_path: Path, content: bytes) -> None:
    path = write(tmp_path / "a.tar", content)
    with pytest.raises(
        DataError, match=r"a\.tar: expected a tar, found [^\n]+; download it again$"
    ):
        archives.members(path)


def test_a_missing_tar_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.tar: expected a tar, found .*No such file"):
        archives.members(tmp_path / "a.tar")


def test_a_tar_without_members_has_none(tmp_path: Path, make_tar: MakeTar) -> None:
    assert archives.members(write(tmp_path / "a.tar", make_tar({}))) == []


@pytest.mark.parametrize("cut", [BLOCK + 1, BLOCK + 700, 2 * BLOCK + 700, 4 * BLOCK + 100])
def test_a_tar_that_is_cut_off_is_refused(tmp_path: Path, make_tar: MakeTar, cut: int) -> None:
    content = make_tar({"n1_1.JPEG": bytes(1500), "n1_2.JPEG": bytes(1500)})
    path = write(tmp_path / "a.tar", content[:cut])
    with pytest.raises(DataError, match=r"a\.tar.*expected .*; download it again"):
        archives.members(path)


def test_a_nested_tar_ends_where_it_ends(tmp_path: Path, make_tar: MakeTar) -> None:
    cut = make_tar({"n1_1.JPEG": b"a" * 1500})[: BLOCK + 600]
    path = write(tmp_path / "a.tar", make_tar({"n1.tar": cut, "n2.tar": make_tar({"x": b""})}))
    nested = archives.members(path)[0]
    with pytest.raises(DataError, match=r"'n1_1\.JPEG': expected 1500 bytes, found an end"):
        archives.members(path, nested.offset, nested.size)


@pytest.mark.parametrize("offset", [100, 148, 257])
def test_a_damaged_header_does_not_hide_what_follows(
    tmp_path: Path, make_tar: MakeTar, offset: int
) -> None:
    content = bytearray(make_tar({"n1_1.JPEG": b"a", "n1_2.JPEG": b"b", "n1_3.JPEG": b"c"}))
    content[2 * BLOCK + offset] ^= 1
    path = write(tmp_path / "a.tar", bytes(content))
    with pytest.raises(
        DataError, match=r"a\.tar: expected a header at byte 1024 of the tar, found .*; download"
    ):
        archives.members(path)


def test_zeros_after_the_end_are_no_fault(tmp_path: Path, make_tar: MakeTar) -> None:
    path = write(tmp_path / "a.tar", make_tar({"n1_1.JPEG": b"a"}) + bytes(100_000))
    assert len(archives.members(path)) == 1


def test_random_damage_is_one_line_or_a_list(tmp_path: Path, make_tar: MakeTar) -> None:
    sound, rng = make_tar({"val/a": b"a" * 600, "b" * 150: b"b", "\u00e9": b"c"}), random.Random(1)
    messages = []
    for _ in range(300):
        content = bytearray(sound)
        for _ in range(rng.randrange(1, 8)):
            content[rng.randrange(len(content) // BLOCK) * BLOCK + rng.randrange(345)] = (
                rng.randrange(256)
            )
        if rng.random() < 0.7:
            content = bytearray(resealed(bytes(content)))
        path = write(tmp_path / "a.tar", bytes(content))
        try:
            for member in archives.members(path):
                assert len(archives.read(path, member)) == member.size
        except DataError as error:
            messages.append(str(error))
    assert 100 < len(messages) < 300
    assert not any("\n" in message for message in messages)


def test_a_file_that_shrank_since_it_was_listed_is_one_line(
    tmp_path: Path, make_tar: MakeTar
) -> None:
    path = write(tmp_path / "a.tar", make_tar({"n1_1.JPEG": b"a" * 1000}))
    (member,) = archives.members(path)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(
        DataError, match=r"a\.tar: n1_1\.JPEG: expected 1000 bytes, found 488 bytes"
    ):
        archives.read(path, member)


def test_a_file_below_a_folder_is_a_member(tmp_path: Path) -> None:
    (tmp_path / "n1").mkdir()
    write(tmp_path / "n1" / "1.JPEG", b"here")
    assert archives.read(tmp_path, Member("n1/1.JPEG", 0, 4, 0)) == b"here"


@pytest.mark.parametrize("size", [3, 5])
def test_a_file_of_another_size_than_listed_is_one_line(tmp_path: Path, size: int) -> None:
    write(tmp_path / "1.JPEG", b"here")
    with pytest.raises(DataError, match=rf"1\.JPEG: expected {size} bytes, found 4 bytes; leave"):
        archives.read(tmp_path, Member("1.JPEG", 0, size, 0))


def test_a_file_that_is_gone_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"2\.JPEG: expected a readable file, found No such file"):
        archives.read(tmp_path, Member("2.JPEG", 0, 4, 0))


def test_the_digest_names_paths_places_sizes_and_times(tmp_path: Path, make_tar: MakeTar) -> None:
    entries = {"a": b"1", "b": b"22"}
    later = header("a")
    later.mtime = 5
    tars = [
        make_tar(entries),
        make_tar({"a": b"1"}),
        make_tar({"a": b"1", "c": b"22"}),
        make_tar({"a": b"1", "b": b"2"}),
        make_tar(dict(reversed(entries.items()))),
        tar_of(later),
    ]
    digests = [
        archives.index_digest(archives.members(write(tmp_path / f"{number}.tar", content)))
        for number, content in enumerate(tars)
    ]
    assert len(set(digests)) == len(tars)
    again = archives.members(write(tmp_path / "again.tar", make_tar(entries)))
    assert archives.index_digest(again) == digests[0]


def test_only_headers_are_read(tmp_path: Path, make_tar: MakeTar) -> None:
    path = write(tmp_path / "a.tar", make_tar({f"n1_{k}.JPEG": bytes(50_000) for k in range(40)}))
    before = _bytes_read()
    assert len(archives.members(path)) == 40
    assert _bytes_read() - before < 100_000


def _bytes_read() -> int:
    lines = Path("/proc/self/io").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("rchar")).split()[1])


@settings(max_examples=100)
@given(st.text("a./D_", max_size=6) | st.sampled_from(["__MACOSX", "a/Thumbs.db", "//", "a/."]))
def test_a_name_alone_is_what_pathlib_makes_of_it(path: str) -> None:
    pure = PurePosixPath(path)
    assert Member(path, 0, 0, 0).name == pure.name
    own = {"__MACOSX", "Thumbs.db", "desktop.ini"}
    hidden = [p for p in pure.parts if (p.startswith(".") and p != "..") or p in own]
    assert is_passed_over(path) == bool(hidden)
    leaves = path.startswith("/") or ".." in pure.parts or not pure.name
    try:
        refuse_hostile(Path("a.tar"), path)
    except DataError:
        assert leaves
    else:
        assert not leaves
