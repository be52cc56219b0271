"""The card of an exported network: what it is, as a hub and its readers want to see it."""

import json
from collections.abc import Mapping
from importlib import resources
from typing import Any

from jinja2 import Environment, StrictUndefined

from alexrep.errors import examples
from alexrep.ilsvrc.classes import ClassTable
from alexrep.runs.exported import CONFIG, ONNX, Exported

EDITIONS = {
    "ilsvrc2010": "ImageNet ILSVRC-2010",
    "ilsvrc2012": "ImageNet ILSVRC-2012",
    "tiny": "Tiny ImageNet",
    "demo": "alexrep's demo, handwritten digits on photographs",
    "folder": "a set of class folders",
}
"""Data sets by the names that alexrep has for them."""
DATASETS = {"ilsvrc2012": "imagenet-1k", "tiny": "tiny-imagenet"}
"""What hubs call those that they have."""


def render(config: Exported) -> str:
    """Write the card as Markdown below a header of YAML."""
    text = (resources.files(__package__) / "card.md.jinja").read_text(encoding="utf-8")
    environment = Environment(
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=StrictUndefined,
    )
    return environment.from_string(text).render(
        **config.model_dump(mode="json"),
        has_onnx=ONNX in config.files,
        dataset=DATASETS.get(config.edition or ""),
        editions=EDITIONS,
        examples=_names(config.class_table(CONFIG)),
        quoted=json.dumps,
        error=_error,
    )


def _names(table: ClassTable) -> str:
    return examples(table.short_names(), most=10)


def _error(result: Mapping[str, Any], top: int) -> str:
    """Write an error in percent, and its interval where it is known."""
    error, interval = result[f"top{top}_error"], result[f"top{top}_interval"]
    ends = " to ".join(f"{100 * end:.2f}" for end in interval or ())
    return f"{100 * error:.2f} %" + (f" ({ends})" if interval else "")
