"""The site: built without a warning, whole, and asking nothing of the network."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("furo", reason="Sphinx and furo are not installed: ./install.sh docs")
pytest.importorskip("myst_nb", reason="MyST is not installed: ./install.sh docs")

ROOT = Path(__file__).resolve().parent.parent

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site, warnings as errors."""
    out = tmp_path_factory.mktemp("site")
    words = [
        "-q",
        "-E",
        "-W",
        "-D",
        "nb_execution_mode=off",
        "--keep-going",
        "-b",
        "html",
        "-c",
        str(ROOT / "docs"),
    ]
    command = [sys.executable, "-m", "sphinx", *words, str(ROOT), str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return out


def test_every_page_and_notebook_is_on_the_site(site: Path) -> None:
    pages = [*(ROOT / "docs").glob("*.md"), *(ROOT / "notebooks").glob("*.ipynb")]
    index = (site / "docs/index.html").read_text(encoding="utf-8")
    for page in pages:
        path = page.relative_to(ROOT).with_suffix(".html")
        assert (site / path).exists()
        assert page.stem == "index" or f"{path.stem}.html" in index, "in no toctree"


def test_links_lead_to_files_and_nothing_is_fetched_from_elsewhere(site: Path) -> None:
    for page in [path for path in site.rglob("*.html") if "_downloads" not in path.parts]:
        text = page.read_text(encoding="utf-8")
        fetched = re.findall(r'<(?:script|img|iframe)[^>]* src="([^"]+)"', text)
        fetched += re.findall(r'<link [^>]*rel="stylesheet"[^>]* href="([^"]+)"', text)
        # Formulas, which notebooks alone have, are set by MathJax; without it their source is read.
        if "notebooks" in page.parts:
            fetched = [source for source in fetched if "/mathjax@" not in source]
        assert not [source for source in fetched if source.startswith(("http", "//"))], page
        for link in re.findall(r'<a [^>]*href="([^"#?]+)', text):
            if not link.startswith(("http", "mailto")):
                assert (page.parent / link).exists(), f"{page}: {link}"
