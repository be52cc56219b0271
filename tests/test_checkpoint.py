"""Checkpoints: what is saved comes back; what is damaged or foreign is one line."""

import random
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from alexrep.errors import DataError
from alexrep.files import PARTIAL
from alexrep.runs import checkpoint
from alexrep.runs.folder import RunFolder

STATE = {"towers.0.conv1.weight": torch.arange(24.0).reshape(2, 3, 4), "fc8.bias": torch.ones(3)}
CONTENT = {"state_dict": STATE, "epoch": 3, "config": {"seed": 1, "rates": [0.1, None, "x"]}}


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "last.pt"
    checkpoint.save(path, CONTENT)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        checkpoint.load(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: expected ")
    assert message.isprintable()
    return message


def same(first: Any, second: Any) -> bool:  # noqa: ANN401 (plain data of any kind)
    if isinstance(first, Tensor):
        return first.dtype == second.dtype and torch.equal(first, second)
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same(first[key], second[key]) for key in first)
    return bool(first == second)


def test_what_is_saved_comes_back(saved: Path) -> None:
    assert same(checkpoint.load(saved), {"format_version": 2, **CONTENT})


def test_saving_makes_the_folder_and_leaves_no_partial_file(tmp_path: Path) -> None:
    path = tmp_path / "run" / "checkpoints" / "last.pt"
    for _ in range(2):
        checkpoint.save(path, CONTENT)
    assert [file.name for file in path.parent.iterdir()] == ["last.pt"]
    assert not path.with_name(path.name + PARTIAL).exists()


def test_a_failed_saving_leaves_the_old_checkpoint(saved: Path) -> None:
    before = saved.read_bytes()
    with pytest.raises(AttributeError):
        checkpoint.save(saved, {"a function": lambda: None})
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]


def test_plain_torch_reads_it_with_weights_only(saved: Path) -> None:
    assert torch.load(saved, weights_only=True)["epoch"] == 3


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16, torch.int64])
def test_every_precision_comes_back(tmp_path: Path, dtype: torch.dtype) -> None:
    tensor = torch.tensor([1.5, -2.0, 3.0]).to(dtype)
    checkpoint.save(tmp_path / "x.pt", {"t": tensor})
    assert same(checkpoint.load(tmp_path / "x.pt")["t"], tensor)


def test_numbers_that_are_not_finite_come_back(tmp_path: Path) -> None:
    tensor = torch.tensor([torch.nan, torch.inf, -torch.inf, -0.0])
    checkpoint.save(tmp_path / "x.pt", {"state_dict": {"t": tensor}, "best": float("inf")})
    content = checkpoint.load(tmp_path / "x.pt")
    assert content["best"] == float("inf")
    digests = [checkpoint.weights_digest(state) for state in ({"t": tensor}, content["state_dict"])]
    assert digests[0] == digests[1]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert "expected a checkpoint, found no file; name a run" in refusal(tmp_path / "last.pt")
    assert "found no file" in refusal(tmp_path)


@pytest.mark.parametrize("version", [1, 3, 7])
def test_another_format_is_refused_by_its_number(tmp_path: Path, version: int) -> None:
    torch.save({"format_version": version, "state_dict": STATE}, tmp_path / "x.pt")
    line = refusal(tmp_path / "x.pt")
    assert f"expected format 2, found format {version}; use the version of alexrep" in line


@pytest.mark.parametrize("wrap", ["module.{}", "_orig_mod.{}", "module._orig_mod.module.{}"])
def test_what_wrappers_put_before_names_is_removed(tmp_path: Path, wrap: str) -> None:
    content = CONTENT | {"state_dict": {wrap.format(name): STATE[name] for name in STATE}}
    torch.save({"format_version": 2, **content}, tmp_path / "foreign.pt")
    assert same(checkpoint.load(tmp_path / "foreign.pt")["state_dict"], STATE)
    checkpoint.save(tmp_path / "ours.pt", content)
    assert torch.load(tmp_path / "ours.pt", weights_only=True)["state_dict"].keys() == STATE.keys()


@pytest.mark.parametrize(
    ("name", "bare"),
    [
        ("module.conv1.weight", "conv1.weight"),
        ("towers.0._orig_mod.conv1.weight", "towers.0.conv1.weight"),
        ("towers.module.weight", "towers.module.weight"),
        ("module", "module"),
        ("modules.weight", "modules.weight"),
    ],
)
def test_names_of_ours_stay(name: str, bare: str) -> None:
    assert checkpoint.bare_name(name) == bare


@pytest.mark.parametrize(
    ("which", "wanted", "unfit"),
    [("last", "--checkpoint best", "--checkpoint last"), ("best", "--checkpoint last", "train")],
)
def test_the_advice_about_a_damaged_one_is_another(
    tmp_path: Path, which: str, wanted: str, unfit: str
) -> None:
    path = tmp_path / f"{which}.pt"
    path.write_bytes(b"PK")
    advice = refusal(path).rpartition(";")[2]
    assert wanted in advice
    assert unfit not in advice


def test_a_table_of_an_archive_that_ends_within_a_field_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    with zipfile.ZipFile(path, "w") as made:
        entry = zipfile.ZipInfo("a")
        entry.extra = struct.pack("<HHH", 1, 2, 0)
        made.writestr(entry, b"x")
    content = bytearray(path.read_bytes())
    entry_at = content.rindex(b"PK\1\2")
    content[entry_at + 24 : entry_at + 28] = b"\xff" * 4  # its size stands in the extra field
    path.write_bytes(content)
    assert "expected a whole checkpoint" in refusal(path)


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    """Return a run folder with a kept, a previous and a last checkpoint."""
    folder = RunFolder(tmp_path / "run")
    paths = (folder.epoch_checkpoint(10), folder.checkpoint("previous"), folder.checkpoint("last"))
    for step, path in enumerate(paths):
        checkpoint.save(path, CONTENT | {"step": step})
    return folder


def test_a_folder_without_checkpoints_has_no_newest(tmp_path: Path) -> None:
    assert checkpoint.newest(RunFolder(tmp_path)) is None


@pytest.mark.parametrize("seed", range(50))
def test_the_newest_whole_one_is_found_and_each_damaged_one_named(
    folder: RunFolder, seed: int
) -> None:
    rng = random.Random(seed)
    for num_spoilt, path in enumerate(folder.resumable()[:2], start=1):
        content = bytearray(path.read_bytes())
        if rng.random() < 0.5:
            del content[rng.randrange(len(content)) :]
        else:
            # Bytes between the entries of a zip are never read: change bytes of the pickle.
            offset = content.index(b"state_dict") + rng.randrange(20)
            content[offset] ^= rng.randrange(1, 256)
        path.write_bytes(content)
        newest = checkpoint.newest(folder)
        assert newest is not None
        assert newest.content["step"] == 2 - num_spoilt
        assert len(newest.faults) == num_spoilt
        assert newest.faults[0].startswith(f"{folder.checkpoint('last')}: expected ")


def test_without_a_whole_one_the_newest_is_named(folder: RunFolder) -> None:
    for path in folder.resumable():
        path.write_bytes(b"")
    wanted = (
        r"checkpoints: expected a whole checkpoint, found 3 damaged: .*last\.pt: expected a who"
    )
    with pytest.raises(DataError, match=wanted):
        checkpoint.newest(folder)


def test_one_of_another_format_is_not_passed_over(folder: RunFolder) -> None:
    torch.save({"format_version": 3}, folder.checkpoint("last"))
    with pytest.raises(DataError, match="expected format 2, found format 3"):
        checkpoint.newest(folder)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.7, 0.99])
def test_a_file_cut_short_is_refused(saved: Path, share: float) -> None:
    content = saved.read_bytes()
    saved.write_bytes(content[: int(share * len(content))])
    assert "expected a whole checkpoint, found " in refusal(saved)


def test_a_changed_bit_of_the_weights_is_refused(saved: Path) -> None:
    content = bytearray(saved.read_bytes())
    offset = content.index(np.arange(24, dtype=np.float32).tobytes())
    content[offset + 7] ^= 1
    saved.write_bytes(content)
    assert "expected a whole checkpoint, found another crc32 of " in refusal(saved)


@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.randoms(use_true_random=False))
def test_any_changed_bit_is_refused_or_harmless(saved: Path, rng: random.Random) -> None:
    whole = saved.read_bytes()
    content = bytearray(whole)
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    saved.write_bytes(content)
    try:
        assert same(checkpoint.load(saved), {"format_version": 2, **CONTENT})
    except DataError as error:
        assert str(error).isprintable()  # noqa: PT017 (either outcome will do)
    finally:
        saved.write_bytes(whole)


def save_module(path: Path) -> None:
    torch.save(nn.Linear(2, 2), path)


def save_arrays(path: Path) -> None:
    with path.open("wb") as stream:
        np.savez(stream, a=np.ones(3))


@pytest.mark.parametrize(
    ("write", "found"),
    [
        (lambda path: path.write_text("format_version = 1\n"), "a file of another kind"),
        (lambda path: path.write_bytes(b""), "a file of another kind"),
        (save_arrays, "expected a whole checkpoint"),
        (save_module, "expected plain data, found other objects"),
        (lambda path: torch.save(STATE, path), "expected a checkpoint of alexrep"),
        (lambda path: torch.save(torch.ones(3), path), "expected a checkpoint of alexrep"),
        (lambda path: torch.save([1], path), "expected a checkpoint of alexrep"),
        (
            lambda path: torch.save({"format_version": torch.ones(2)}, path),
            "expected a checkpoint of alexrep",
        ),
    ],
    ids=["text", "empty", "arrays", "module", "weights", "tensor", "list", "odd version"],
)
def test_a_foreign_file_is_refused(
    tmp_path: Path, write: Callable[[Path], object], found: str
) -> None:
    path = tmp_path / "last.pt"
    write(path)
    assert found in refusal(path)


def test_the_digest_does_not_depend_on_the_order_of_the_keys() -> None:
    turned = dict(reversed(STATE.items()))
    assert checkpoint.weights_digest(turned) == checkpoint.weights_digest(STATE)


def test_the_digest_does_not_depend_on_the_layout_in_memory() -> None:
    tensor = torch.arange(120.0).reshape(2, 3, 4, 5)
    other = tensor.contiguous(memory_format=torch.channels_last)
    assert other.stride() != tensor.stride()
    assert checkpoint.weights_digest({"t": other}) == checkpoint.weights_digest({"t": tensor})


def test_the_digest_changes_with_one_bit() -> None:
    state = {name: tensor.clone() for name, tensor in STATE.items()}
    state["fc8.bias"].view(torch.int32)[1] ^= 1
    assert checkpoint.weights_digest(state) != checkpoint.weights_digest(STATE)


@pytest.mark.parametrize(
    "other",
    [
        {"b": torch.zeros(4)},
        {"a": torch.zeros(2, 2)},
        {"a": torch.zeros(4, dtype=torch.int32)},
        {"a": -torch.zeros(4)},
        {"a": torch.zeros(4), "b": torch.zeros(0)},
    ],
    ids=["name", "shape", "dtype", "sign of zero", "one more"],
)
def test_the_digest_is_of_names_shapes_types_and_bits(other: dict[str, Tensor]) -> None:
    plain = checkpoint.weights_digest({"a": torch.zeros(4)})
    assert checkpoint.weights_digest(other) != plain


def test_the_digest_takes_scalars_and_half_precision() -> None:
    state = {"a": torch.tensor(3), "b": torch.ones(3, dtype=torch.bfloat16), "c": torch.zeros(0)}
    assert len(checkpoint.weights_digest(state)) == 64


def test_a_checkpoint_that_is_replaced_while_it_is_read_comes_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, test_it = tmp_path / "last.pt", zipfile.ZipFile.testzip
    checkpoint.save(path, {"state_dict": STATE, "epoch": 1})

    def replace_it(archive: zipfile.ZipFile) -> str | None:
        checkpoint.save(path, {"state_dict": STATE, "epoch": 2})
        spoilt: str | None = test_it(archive)
        return spoilt

    monkeypatch.setattr(zipfile.ZipFile, "testzip", replace_it)
    assert checkpoint.load(path)["epoch"] == 1


def test_what_is_no_checkpoint_and_what_was_cut_short_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    path.write_text("# README\n")
    with pytest.raises(DataError, match="expected a whole checkpoint, found a file of another ki"):
        checkpoint.load(path)
    path.write_bytes(checkpoint.pack({"state_dict": {}})[:-30])
    with pytest.raises(DataError, match="expected a whole checkpoint, found one that was cut sh"):
        checkpoint.load(path)
