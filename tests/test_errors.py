"""The exceptions, their exit codes, and the one form of their messages."""

import inspect

import pytest

from alexrep import errors
from alexrep.errors import examples, mismatch, suggestion

CODES = {
    errors.AlexrepError: 1,
    errors.ConfigError: 2,
    errors.ManifestError: 1,
    errors.DataError: 1,
    errors.DigestError: 4,
    errors.Interrupted: 75,
}


@pytest.mark.parametrize(("kind", "code"), CODES.items())
def test_exit_codes(kind: type[errors.AlexrepError], code: int) -> None:
    assert kind.exit_code == code


def test_every_exception_is_an_alexrep_error_and_stands_in_the_drawing() -> None:
    kinds = [kind for _, kind in inspect.getmembers(errors, inspect.isclass)]
    assert set(kinds) == set(CODES)
    assert all(issubclass(kind, errors.AlexrepError) for kind in kinds)
    assert all(kind.__name__ in str(errors.__doc__) for kind in kinds)


def test_a_message_says_where_what_was_expected_what_was_found_and_what_to_do() -> None:
    assert mismatch("DATA", "3 images", 2, "look") == "DATA: expected 3 images, found 2; look"


@pytest.mark.parametrize(
    ("names", "text"),
    [
        ([], ""),
        (["a"], "a"),
        (["a", "b", "c"], "a, b, c"),
        (["a", "b", "c", "d", "e"], "a, b, c and 2 more"),
    ],
)
def test_three_examples_and_the_count_of_the_rest(names: list[str], text: str) -> None:
    assert examples(names) == text


@pytest.mark.parametrize(
    ("found", "text"),
    [
        ("batchsize", "did you mean batch_size?"),
        ("drws", "did you mean draws?"),
        ("sides", "did you mean side or sizes?"),
        ("batch", "did you mean batch_size?"),
        ("colour", ""),
    ],
)
def test_a_near_name_is_asked_about(found: str, text: str) -> None:
    assert suggestion(found, ["batch_size", "draws", "side", "sizes"]) == text


def test_of_the_names_begun_the_one_with_most_variants_comes_first() -> None:
    names = ["net-09", "net-10", "net-10-b", "net-12-b", "net-12-c", "net-12", "net-paper"]
    assert suggestion("layer9", ["layer4", "layer4"]) == "did you mean layer4?"
    assert suggestion("net", names) == "did you mean net-12 or net-10 or net-09?"
