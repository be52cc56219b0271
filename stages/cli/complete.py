"""What the shell completes: recipes, settings, and values of options that are names.

Each function takes what has been typed so far of a word, and returns the words that may come.
"""

from collections.abc import Callable, Iterable


def recipes(incomplete: str) -> list[str]:
    """Complete the name of a recipe that ships with alexrep; files are the shell's."""
    from alexrep.config import recipes as config

    return _beginning(incomplete, config.names())


def settings(incomplete: str) -> list[str]:
    """Complete the path of a field, or its value where there are few."""
    from alexrep.config import explain

    path, equals, value = incomplete.partition("=")
    fields = [field for field in explain.fields() if "[]" not in field.path]
    if not equals:
        return _beginning(path, [f"{field.path}=" for field in fields])
    choices = [choice for field in fields if field.path == path for choice in field.choices]
    return [f"{path}={choice}" for choice in _beginning(value, choices)]


def pictures(incomplete: str) -> list[str]:
    """Complete the name of a picture of a run."""
    from alexrep.plots import gallery

    return _beginning(incomplete, gallery.FIGURES)


def wnids(incomplete: str) -> list[str]:
    """Complete the last of some wnids with commas: those of ILSVRC-2012; files are the shell's."""
    from alexrep.ilsvrc import synsets

    before, comma, last = incomplete.rpartition(",")
    found = _beginning(last, synsets.words_of_wnid()) if last else []
    return [before + comma + wnid for wnid in found]


def one_of(*words: str) -> Callable[[str], list[str]]:
    """Return what completes one of some words."""

    def complete(incomplete: str) -> list[str]:
        return _beginning(incomplete, words)

    return complete


splits = one_of("train", "val", "test")


def _beginning(incomplete: str, words: Iterable[str]) -> list[str]:
    return [word for word in dict.fromkeys(words) if word.startswith(incomplete)]
