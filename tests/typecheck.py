"""Run mypy on a tree laid out as installed: stages and plots linked below alexrep.

Type checkers do not know the mapping of pyproject.toml, so they get a temporary tree
in which alexrep/stages and alexrep/plots are links.

    python tests/typecheck.py [OPTIONS OF MYPY]
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MAPPED = ("stages", "plots")
CHECKED = ("alexrep", "tests", "benchmarks")


def link(tree: Path) -> list[str]:
    """Link the sources into `tree` in their import layout; return the paths to check."""
    package = tree / "alexrep"
    package.mkdir()
    for entry in (ROOT / "alexrep").iterdir():
        (package / entry.name).symlink_to(entry)
    for name in MAPPED:
        (package / name).symlink_to(ROOT / name)
    others = [name for name in CHECKED[1:] if any((ROOT / name).glob("*.py"))]
    for name in others:
        (tree / name).symlink_to(ROOT / name)
    return ["alexrep", *others]


def main(options: list[str]) -> int:
    """Check the tree; return mypy's exit code."""
    with tempfile.TemporaryDirectory() as folder:
        checked = link(Path(folder))
        settings = ["--config-file", str(ROOT / "pyproject.toml")]
        cache = ["--cache-dir", str(ROOT / ".mypy_cache")]
        command = [sys.executable, "-m", "mypy", *settings, *cache, *options, *checked]
        # Paths are relative to the tree, so that the next run finds the cache.
        environment = os.environ | {"PYTHONPATH": ""}
        return subprocess.run(command, cwd=folder, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
