"""Checks what the manifest of prepared images says against itself, before a stage trusts it."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from alexrep.errors import ManifestError, mismatch
from alexrep.manifest import Manifest

CLASSES = "classes.json"
ADVICE = "bring back the one of before, or remove it and run alexrep preprocess again"


class _Quarantined(BaseModel):
    """An image in quarantine."""

    model_config = ConfigDict(strict=True, extra="forbid")

    split: str
    name: str
    why: str


class _Details(BaseModel):
    """What later stages read of the details; newer versions may write more."""

    model_config = ConfigDict(strict=True)

    edition: str
    side: int = Field(ge=1)
    geometry: str
    classes: str
    num_classes: int = Field(ge=1)
    units: list[str]
    quarantine: list[_Quarantined]
    reasons: dict[str, dict[str, int]]


def require_consistent(record: Manifest, path: Path) -> None:
    """Compare units, files, sizes, counts, verdicts and quarantine of a manifest with each other.

    Args:
        record: The manifest of a finished preprocess.
        path: Where it lies, for the message.

    Raises:
        ManifestError: If they contradict each other; the first contradiction is named.
    """
    try:
        details = _Details.model_validate(record.details)
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"])
        message = mismatch(path, f"what preprocess writes at details.{where}", "another", ADVICE)
        raise ManifestError(message) from None
    for what, wanted, found in _pairs(record, details):
        if wanted != found:
            message = mismatch(path, f"{what} {_brief(wanted)}", _brief(found), ADVICE)
            raise ManifestError(message)


def _pairs(record: Manifest, details: _Details) -> Iterator[tuple[str, object, object]]:
    """Yield what must be equal: what it is, and both values."""
    lists = [f"{unit}.jsonl" for unit in details.units]
    yield "outputs", sorted({CLASSES, *lists}), sorted(record.outputs)
    yield "each unit once, of", len(details.units), len(set(details.units))
    yield f"digest of {CLASSES}", record.outputs[CLASSES], details.classes
    for name in ("side", "geometry", "edition"):
        yield name, record.settings.get(name), getattr(details, name)
    kept = [f"quarantine/{image.split}/{image.name}" for image in details.quarantine]
    if record.sizes:
        tars = [f"{unit}.tar" for unit in details.units]
        yield "sizes of", sorted({CLASSES, *lists, *tars, *kept}), sorted(record.sizes)
    yield "counts", _counts(details), {key: num for key, num in record.counts.items() if num}
    quarantined = Counter(f"{image.split} quarantined" for image in details.quarantine)
    counted = {key: num for key, num in record.counts.items() if key.endswith(" quarantined")}
    yield "quarantine of", counted, dict(quarantined)


def _counts(details: _Details) -> dict[str, int]:
    """Return the counts that the reasons of all verdicts add up to."""
    counts: Counter[str] = Counter()
    for split, reasons in details.reasons.items():
        for reason, num in reasons.items():
            counts[f"{split} images"] += num
            counts[f"{split} {reason.split(':', 1)[0]}"] += num
    return dict(counts)


def _brief(value: object) -> str:
    """Return the start of a value as text."""
    text = str(value)
    return text if len(text) <= 100 else f"{text[:97]}..."
