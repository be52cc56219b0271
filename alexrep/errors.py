"""The exceptions that alexrep raises for a user's mistake, and their exit codes.

AlexrepError            1   an expected error
    ConfigError         2   a recipe, a field of one, or an option is wrong
    ManifestError       1   a stage's output is missing, unfinished, or of other settings
    DataError           1   a file is not what it should be
        DigestError     4   a check of digests or counts failed
    Interrupted        75   a first signal stopped the work, which can be resumed

Every message reads `<path or name>: expected <what>, found <what>; <what to do>`.
"""

import difflib


class AlexrepError(Exception):
    """An expected error: printed as one line, without a traceback."""

    exit_code = 1


class ConfigError(AlexrepError):
    """A recipe, a field of one, or an option is wrong."""

    exit_code = 2


class ManifestError(AlexrepError):
    """A stage's output is missing, unfinished, or was made with other settings."""


class DataError(AlexrepError):
    """A file is not what it should be."""


class DigestError(DataError):
    """A digest or a count does not agree with its record."""

    exit_code = 4


class Interrupted(AlexrepError):
    """A first signal stopped the work; the same command resumes it."""

    exit_code = 75


def mismatch(where: object, expected: object, found: object, advice: str) -> str:
    """Return the one-line message of an expected error."""
    return f"{where}: expected {expected}, found {found}; {advice}"


def suggestion(found: str, known: list[str], likeness: float = 0.7) -> str:
    """Ask whether one of the names that `found` begins, or is most like, was meant; "" if none is.

    Of those that it begins, the first is that which most others are variants of.
    """
    known = list(dict.fromkeys(known))
    near = sorted(
        (name for name in known if name.startswith(found)),
        key=lambda name: -sum(other.startswith(name) for other in known),
    )[:3]
    near = near or difflib.get_close_matches(found, known, cutoff=likeness)
    return f"did you mean {' or '.join(near)}?" if near else ""


def examples(names: list[str], most: int = 3) -> str:
    """Return at most `most` of `names`, and the count of the rest."""
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + rest
