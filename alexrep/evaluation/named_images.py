"""The images that someone names: files, folders of them, standard input."""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from alexrep.errors import ConfigError, mismatch
from alexrep.ilsvrc.folders import SUFFIXES
from alexrep.pixels.decode import UndecodableError

STDIN = "-"
"""Name of the image that is read from standard input."""
MAX_BYTES = 1 << 30
"""Largest file that is read, in bytes; the largest images that are decoded have fewer."""


@dataclass(frozen=True)
class NamedImage:
    """An image by its name, read when it is needed."""

    name: str
    """Path of the file, or what the image is to be called."""
    content: bytes | BinaryIO | None = None
    """Its bytes, or what they are read from, once; None: the file of that name."""

    def read(self) -> bytes:
        """Return the bytes of the file.

        Raises:
            UndecodableError: If the file cannot be read, or is too large for an image.
        """
        if isinstance(self.content, bytes):
            return self.content
        try:
            if self.content is not None:
                return _read(self.content)
            with Path(self.name).open("rb") as stream:
                return _read(stream)
        except OSError as error:
            raise UndecodableError((error.strerror or str(error)).lower()) from None
        except ValueError as error:  # a null byte in the path
            raise UndecodableError(str(error)) from None


def _read(stream: BinaryIO) -> bytes:
    content = stream.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise UndecodableError(f"over {MAX_BYTES:,} bytes")
    return content


class Search:
    """The images among names of files, folders and standard input, in order."""

    def __init__(self, names: Sequence[str], stdin: BinaryIO) -> None:
        """Take the names; nothing is opened.

        Args:
            names: Files, which are images whatever their names; folders, below which every
                file is one whose name ends as an image's does; `-` for standard input.
            stdin: Where standard input is read from.

        Raises:
            ConfigError: If a name is a URL.
        """
        self.names, self._stdin = names, stdin
        self.num_passed_over = 0
        """Files in folders that are hidden, or no images by their names."""
        for name in names:
            if re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", name):
                advice = "download it, then name the file"
                raise ConfigError(mismatch("IMAGE", "a file, a folder or -", name, advice))

    def __iter__(self) -> Iterator[NamedImage]:
        """Yield the images; those in folders in the order of their paths, links not followed."""
        for name in self.names:
            if name == STDIN:
                yield NamedImage(name, self._stdin)
            elif Path(name).is_dir():
                yield from self._below(name)
            else:
                yield NamedImage(name)

    def _below(self, top: str) -> Iterator[NamedImage]:
        refused: list[OSError] = []
        for folder, inner, files in os.walk(top, onerror=refused.append):
            inner[:] = sorted(name for name in inner if not name.startswith("."))
            # Reading a folder that may not be listed says why.
            yield from (NamedImage(str(error.filename)) for error in refused)
            refused.clear()
            for name in sorted(files):
                if name.lower().endswith(SUFFIXES) and not name.startswith("."):
                    yield NamedImage(str(Path(folder, name)))
                else:
                    self.num_passed_over += 1
        yield from (NamedImage(str(error.filename)) for error in refused)
