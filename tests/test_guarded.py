"""What may crash, hang or take all memory is tried in a process of its own."""

import os
import signal
from pathlib import Path

import pytest

from alexrep import guarded
from alexrep.errors import AlexrepError


def test_what_ends_well_has_no_fault() -> None:
    assert guarded.call("json:loads", b"[1]") == ([1], None)


def test_an_exception_is_left_to_the_caller() -> None:
    value, found = guarded.call("json:loads", b"[")
    assert value is None
    assert str(found).startswith("JSONDecodeError('Expecting value")
    assert guarded.fault("os:listdir", "/nowhere") is None


def test_files_where_the_user_stands_are_no_modules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit(3)")
    monkeypatch.chdir(tmp_path)
    assert guarded.call("json:loads", b"[1]") == ([1], None)


def crash() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def hang() -> None:
    while True:
        pass


def grow() -> None:
    bytearray(1 << 40)


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def leave() -> None:
    os._exit(1)


@pytest.mark.parametrize(("name", "found"), [("kill", "SIGKILL"), ("leave", "1")])
def test_a_process_that_is_killed_says_nothing_of_the_bytes(
    monkeypatch: pytest.MonkeyPatch, name: str, found: str
) -> None:
    monkeypatch.setenv("PYTHONPATH", os.path.dirname(__file__))
    with pytest.raises(AlexrepError, match=f"a result, found one that ended with {found}; look"):
        guarded.fault(f"test_guarded:{name}")


@pytest.mark.parametrize(
    ("name", "said"),
    [("crash", "crashes or never ends"), ("hang", "crashes or never"), ("grow", "has no memory")],
)
def test_a_crash_a_loop_and_a_lack_of_memory_are_told(
    monkeypatch: pytest.MonkeyPatch, name: str, said: str
) -> None:
    monkeypatch.setattr(guarded, "SECONDS", 2)
    monkeypatch.setenv("PYTHONPATH", os.path.dirname(__file__))
    assert said in str(guarded.fault(f"test_guarded:{name}"))
