"""How Sphinx makes the site: `make docs`.

The source folder is the repository itself, so that links between pages, code and results are
the same relative paths on the site as in the repository.
"""

from pathlib import Path

import alexrep

ROOT = Path(__file__).resolve().parent.parent
SHOWN = ("docs", "benchmarks", "devkit", "notebooks")
"""Folders with pages; README.md and CHANGELOG.md stand beside them."""

project = "alexrep"
author = "The alexrep authors"
release = alexrep.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "myst_nb",  # pages in Markdown, and notebooks
    "sphinx_design",
]
root_doc = "docs/index"
include_patterns = [
    "README.md",
    "CHANGELOG.md",
    "docs/*.md",
    "docs/*/README.md",
    "docs/runs/*/README.md",
    "devkit/README.md",
    "benchmarks/LOG.md",
    "notebooks/*.ipynb",
]
# Whatever else lies in a clone, data and environments among it, is not searched for pages.
exclude_patterns = [
    entry.name for entry in ROOT.iterdir() if entry.is_dir() and entry.name not in SHOWN
]

myst_enable_extensions = ["colon_fence", "dollarmath", "html_image"]
myst_heading_anchors = 4
# The notebooks hold no outputs: where a demo lies, they are run, and shown with their pictures.
nb_execution_mode = "auto" if (ROOT / "alexrep-demo" / "run" / "results").is_dir() else "off"
nb_execution_excludepatterns = ["lesson.ipynb"]  # it trains for a quarter of an hour
nb_execution_timeout = 600  # seconds a cell
nb_execution_raise_on_error = True

default_role = "literal"  # `name` in a docstring is code
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True

html_theme = "furo"
html_title = f"alexrep {release}"
html_copy_source = False
html_show_sourcelink = False
html_show_copyright = False
