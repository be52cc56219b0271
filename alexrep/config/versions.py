"""New versions of recipes, as files of one's own: NAME-v01.toml, NAME-v02.toml and so on."""

import re
import tomllib
from pathlib import Path
from typing import Any

import tomli_w

from alexrep import files
from alexrep.config import recipes
from alexrep.config.recipe import OWN
from alexrep.errors import ConfigError, mismatch

MOST = 99


def make(base: str, name: str, folder: Path) -> Path:
    """Write the next version of a recipe to a new file.

    Args:
        base: A recipe that ships with alexrep, of which the file holds the differences; or a
            file, whose fields are copied.
        name: Name of the versions, without a number.
        folder: Where their files are.

    Returns:
        The file.

    Raises:
        ConfigError: If the base is no recipe, or the name none for a file.
    """
    if not re.fullmatch(r"[\w.-]+", name):
        advice = "choose another"
        raise ConfigError(mismatch("NAME", "letters, digits, . _ and -", repr(name), advice))
    recipes.load(base)
    number = _newest(name, folder) + 1
    while number <= MOST:
        path = folder / f"{name}-v{number:02}.toml"
        try:
            with files.named(path), path.open("x", encoding="utf-8") as file:
                file.write(_text(base, path))
        except FileExistsError:  # another start was faster
            number += 1
            continue
        return path
    raise ConfigError(mismatch(name, f"a number up to {MOST}", "none free", "choose another name"))


def _newest(name: str, folder: Path) -> int:
    pattern = re.compile(rf"{re.escape(name)}-v(\d\d)\.toml")
    matches = (pattern.fullmatch(path.name) for path in folder.iterdir())
    return max((int(match[1]) for match in matches if match), default=0)


def _text(base: str, path: Path) -> str:
    table: dict[str, Any] = {"base": base}
    if base not in recipes.names():
        table = tomllib.loads(files.read_text(Path(base)))
        above = str(table.get("base", ""))
        if above.endswith(".toml"):
            table["base"] = str((Path(base).parent / above).resolve())
    rest = {key: value for key, value in table.items() if key not in (*OWN, "name")}
    return tomli_w.dumps({"name": path.stem, **rest})
