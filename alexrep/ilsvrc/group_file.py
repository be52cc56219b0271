"""Reads a file of groups: TOML with wnids by the name of the group.

others = "keep"             # or "drop"
drop = ["n02115641"]
[groups]
terriers = ["n02093754", "n02096294"]
"""

import re
import tomllib
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from alexrep import files, system
from alexrep.config.strict import Strict
from alexrep.errors import DataError, mismatch

ADVICE = "see docs/small.md"


class GroupFile(Strict):
    """A file of groups."""

    others: Literal["keep", "drop"] = "keep"
    """What becomes of classes that are in no group: classes of their own, or left out."""
    drop: list[str] = Field(default=[])
    """Wnids of classes that are left out."""
    groups: dict[str, list[str]] = Field(default={})
    """Wnids by the group's name."""


def read(path: Path) -> GroupFile:
    """Read a file of groups.

    Raises:
        DataError: If it is missing or no such file, names a group twice, or gives one a name
            that a folder cannot have.
    """
    text = ""
    try:
        text = files.read_text(path, "utf-8-sig")
        file = GroupFile.model_validate(tomllib.loads(text))
    except OSError as error:
        system.require_sound_disk(error, path)
        advice = "name a file of groups"
        raise DataError(mismatch(path, "a file of groups", error.strerror, advice)) from None
    except ValidationError as error:
        fault = error.errors()[0]
        found = f"{'.'.join(map(str, fault['loc']))}: {fault['msg'].lower()}"
        raise DataError(mismatch(path, "drop, others and groups of wnids", found, ADVICE)) from None
    except ValueError as error:  # of TOML or UTF-8
        raise DataError(_fault(path, text, str(error))) from None
    for name in file.groups:
        if not name or not name.isprintable() or "/" in name or name != name.strip(". "):
            wanted = "names of groups that a folder can have"
            raise DataError(mismatch(path, wanted, repr(name), "name it otherwise"))
    return file


def _fault(path: Path, text: str, error: str) -> str:
    """Return the message for what is no TOML; of a name that stands twice it tells the name."""
    place = re.search(r"overwrite a value \(at (?:line (\d+)|end of document)", error)
    if place is None:
        return mismatch(path, "a TOML file of groups", error, ADVICE)
    lines = text.rstrip().splitlines()
    name = lines[int(place[1] or len(lines)) - 1].partition("=")[0].strip()
    return mismatch(path, "each group once", f"{name} twice", "join the two")
