"""Stages started one after the other, wherever the user stands."""

import subprocess
import sys
from pathlib import Path

START = "from alexrep.stages import chain; chain.start('--version')"


def test_a_folder_named_like_the_package_is_not_taken_for_it(tmp_path: Path) -> None:
    (tmp_path / "alexrep").mkdir()
    command = [sys.executable, "-P", "-c", START]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert "torchvision" in ended.stdout
