"""The environment that a run records."""

import json
from importlib import metadata

import PIL
import pytest

from alexrep.errors import DataError
from alexrep.runs import environment


def pretend(monkeypatch: pytest.MonkeyPatch, live: str, installed: dict[str, str]) -> None:
    """Pretend that PIL says it is `live` and that only `installed` is."""

    def version(name: str) -> str:
        if name not in installed:
            raise metadata.PackageNotFoundError(name)
        return installed[name]

    monkeypatch.setattr(metadata, "version", version)
    monkeypatch.setattr(PIL, "__version__", live)


def test_the_environment_is_plain_data_and_holds_no_host_name() -> None:
    facts = environment.describe()
    assert json.loads(json.dumps(facts)) == facts
    assert not {"host", "hostname", "node", "time"} & set(facts)


@pytest.mark.parametrize("name", environment.FLAVOURS)
def test_the_one_pillow_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, "12.1", {name: "12.1"})
    assert environment.pillow_flavour() == (name, "12.1")


def test_two_pillows_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, "13.0", {"pillow": "13.0", "pillow-simd": "12.1"})
    with pytest.raises(DataError, match=r"found pillow 13\.0 and pillow-simd 12\.1"):
        environment.pillow_flavour()


def test_files_of_another_pillow_than_the_installed_one_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pretend(monkeypatch, "13.0", {"pillow-simd": "12.1"})
    with pytest.raises(DataError, match=r"PIL 13\.0: expected one of"):
        environment.pillow_flavour()


def test_no_pillow_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, "13.0", {})
    with pytest.raises(DataError, match="found neither"):
        environment.pillow_flavour()
