"""The blocks of a tar of prepared images are those that tarfile writes."""

import io
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alexrep.prepare import tar_blocks

NAMES = st.one_of(
    st.from_regex(r"n[0-9]{8}_[0-9]{1,5}\.JPEG", fullmatch=True),
    st.text(min_size=1, max_size=110).filter(lambda name: "\0" not in name),
    st.sampled_from(["a" * 100, "a" * 101, "caf\u00e9.jpg", "\udcff.jpg", "a/b.jpg"]),
)


def by_tarfile(files: list[tuple[str, bytes]]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", errors="surrogateescape") as tar:
        for name, content in files:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return stream.getvalue()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(NAMES, st.binary(max_size=1100)), max_size=4))
def test_a_tar_is_that_of_tarfile(files: list[tuple[str, bytes]]) -> None:
    stream = io.BytesIO()
    tar = tar_blocks.Writer(stream)
    offsets = [tar.append(name, content) for name, content in files]
    tar.close()
    written = stream.getvalue()
    assert written == by_tarfile(files)
    assert all(
        written[at:].startswith(content) for at, (_, content) in zip(offsets, files, strict=True)
    )


@pytest.mark.parametrize("size", [0, 511, 8**11 - 1, 8**11])
def test_a_header_holds_any_size(size: int) -> None:
    info = tarfile.TarInfo("n01440764_18.JPEG")
    info.size = size
    assert tar_blocks.header(info.name, size) == info.tobuf()
