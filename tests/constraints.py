"""Print the installed version of everything that the package and its tests need, as constraints.

    make constraints

Versions only, without addresses and local parts: pip takes them with PIP_CONSTRAINT.
"""

import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

PYPROJECT = Path(__file__).parent.parent / "pyproject.toml"
PILLOWS = {"pillow", "pillow-simd"}
"""One folder, two distributions: install.sh chooses, and pillow-simd's version is no pillow's."""


def wanted() -> list[Requirement]:
    """Return what pyproject.toml asks for, with the extras that the tests use."""
    project = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    lines = [*project["dependencies"], *extras["test"]]
    lines += [line for name in ("docs", "export", "parquet") for line in extras[name]]
    found = [Requirement(line) for line in lines]
    return [need for need in found if need.name != project["name"]]


def closure(needs: list[Requirement]) -> Iterator[str]:
    """Yield the names of all distributions that these need, and these themselves."""
    seen: set[tuple[str, str]] = set()
    while needs:
        need = needs.pop()
        name = str(canonicalize_name(need.name))
        for extra in ("", *sorted(need.extras)):
            if (name, extra) in seen:
                continue
            seen.add((name, extra))
            try:
                lines = metadata.requires(name) or ()
            except metadata.PackageNotFoundError:
                print(f"{name}: not installed, left out", file=sys.stderr)
                continue
            yield name
            for line in lines:
                below = Requirement(line)
                if below.marker is None or below.marker.evaluate({"extra": extra}):
                    needs.append(below)


def constraints() -> list[str]:
    """Return a line for each, such as "numpy==2.4.0", in alphabetical order."""
    names = {name for name in closure(wanted()) if name not in PILLOWS}
    versions = {name: Version(metadata.version(name)).public for name in names}
    return [f"{name}=={versions[name]}" for name in sorted(names)]


if __name__ == "__main__":
    python = ".".join(map(str, sys.version_info[:3]))
    print(f"# The versions that the tests ran on, with Python {python}; made by make constraints.")
    print("\n".join(constraints()))
