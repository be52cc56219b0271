"""The true counts of ILSVRC-2012: 1,000 synsets, 50,000 shuffled val names; tiny images."""

import io
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import simplejpeg
from numpy.typing import NDArray
from scipy.io import savemat
from typer.testing import CliRunner

from alexrep.shards.read import open_split
from alexrep.stages import app

NUM_SYNSETS, NUM_INNER, NUM_VAL, NUM_OF_SYNSET = 1000, 860, 50_000, 3
NUM_COLOURS = 200
"""Number of distinct pictures; a class has the picture of its index modulo this number."""
FULL_TAR_BYTES = 138e9 + 6.3e9 + 13e9
"""Approximate size of the train, val and test tars of ILSVRC-2012, in bytes."""
FULL_HEADERS = 1_000 + 50_000 + 100_000
"""Headers in their outer indices: a synset's tar is one member."""


def colour(index: int) -> tuple[int, int, int]:
    """Return the colour of a class's pictures; colours are at least 40 grey levels apart."""
    number = index % NUM_COLOURS
    return 20 + 40 * (number % 6), 20 + 40 * (number // 6 % 6), 20 + 40 * (number // 36)


def index_of(picture: NDArray[np.uint8]) -> int:
    """Return the class index modulo NUM_COLOURS, from the colour of a picture."""
    red, green, blue = ((picture.mean(axis=(0, 1)) - 20) / 40).round().astype(int).tolist()
    return int(red + 6 * green + 36 * blue)


@dataclass(frozen=True)
class Truth:
    """The devkit's ids and labels, independent of how alexrep reads them."""

    wnid_of_id: dict[int, str]
    val_ids: list[int]

    def index(self, wnid: str) -> int:
        """Return the class index: the rank among the sorted wnids."""
        return sorted(self.wnid_of_id.values()).index(wnid)


def real_truth(folder: Path) -> Truth:
    """Read the ids and the ground truth of ILSVRC-2012."""
    lines = (folder / "map_clsloc.txt").read_text().splitlines()
    wnid_of_id = {int(number): wnid for wnid, number, _ in map(str.split, lines)}
    (ids,) = folder.glob("ILSVRC2012_validation_ground_truth*.txt")
    return Truth(wnid_of_id, [int(line) for line in ids.read_text().split()])


def drawn_truth() -> Truth:
    """Make up ids in another order than the wnids, and 50 val images of each."""
    rng = np.random.default_rng(3)
    wnids = [f"n{number:08d}" for number in sorted(rng.choice(10**7, NUM_SYNSETS, replace=False))]
    ids = rng.permutation(np.arange(1, NUM_SYNSETS + 1)).tolist()
    val = rng.permutation(np.repeat(np.arange(1, NUM_SYNSETS + 1), NUM_VAL // NUM_SYNSETS))
    return Truth(dict(zip(ids, wnids, strict=True)), val.tolist())


def meta(truth: Truth) -> bytes:
    """Make meta.mat: the leaves in order of their ids, then the inner nodes."""
    fields = ["ILSVRC2012_ID", "WNID", "words", "gloss", "num_children", "children"]
    fields += ["wordnet_height", "num_train_images"]
    synsets = np.empty((NUM_SYNSETS + NUM_INNER, 1), [(name, object) for name in fields])
    for number, wnid in truth.wnid_of_id.items():
        words = f"thing {number}, stuff"
        leaf = (number, wnid, words, "a thing", 0, (), number % 5, NUM_OF_SYNSET)
        synsets[number - 1, 0] = leaf
    for number in range(NUM_SYNSETS + 1, NUM_SYNSETS + NUM_INNER + 1):
        children = (number - 1000, number - 999)
        inner = (number, f"n9{number:07d}", "things", "inner", 2, children, 6, 0)
        synsets[number - 1, 0] = inner
    stream = io.BytesIO()
    # Some type stubs accept paths only.
    savemat(cast(Any, stream), {"synsets": synsets})
    return stream.getvalue()


def pictures() -> list[bytes]:
    """Draw the picture of each colour, neither square nor of the prepared side."""
    plain = (np.full((36, 44, 3), colour(number), np.uint8) for number in range(NUM_COLOURS))
    return [simplejpeg.encode_jpeg(image, 90, "RGB", "420") for image in plain]


def write_raw(raw: Path, truth: Truth, make_tar: Callable[..., bytes]) -> None:
    """Write train, val and devkit in the form of ILSVRC-2012."""
    rng, drawn = np.random.default_rng(4), pictures()
    rank = {wnid: index for index, wnid in enumerate(sorted(truth.wnid_of_id.values()))}
    synsets = {}
    for number in rng.permutation(list(truth.wnid_of_id)).tolist():
        wnid = truth.wnid_of_id[number]
        content = drawn[rank[wnid] % NUM_COLOURS]
        own = {f"{wnid}_{7 + 11 * k}.JPEG": content for k in range(NUM_OF_SYNSET)}
        synsets[f"{wnid}.tar"] = make_tar(own)
    val = {}
    for line in rng.permutation(NUM_VAL).tolist():
        wnid = truth.wnid_of_id[truth.val_ids[line]]
        val[f"ILSVRC2012_val_{line + 1:08d}.JPEG"] = drawn[rank[wnid] % NUM_COLOURS]
    lines = "".join(f"{number}\n" for number in truth.val_ids).encode()
    folder = "ILSVRC2012_devkit_t12/data"
    devkit = {
        f"{folder}/meta.mat": meta(truth),
        f"{folder}/ILSVRC2012_validation_ground_truth.txt": lines,
    }
    raw.mkdir()
    (raw / "ILSVRC2012_img_train.tar").write_bytes(make_tar(synsets))
    (raw / "ILSVRC2012_img_val.tar").write_bytes(make_tar(val))
    (raw / "ILSVRC2012_devkit_t12.tar.gz").write_bytes(make_tar(devkit, "w:gz"))


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    code: int
    output: str
    seconds: float
    peak_mb: float
    """Largest resident memory of one of its processes."""


MEASURED = """
import json, os, subprocess, sys, time
start = time.perf_counter()
with open(sys.argv[1], "w") as output:
    process = subprocess.Popen(sys.argv[2:], stdout=output, stderr=output)
    _, status, used = os.wait4(process.pid, 0)
seconds = time.perf_counter() - start
print(json.dumps([os.waitstatus_to_exitcode(status), seconds, used.ru_maxrss / 1024]))
"""
"""An intermediate process, as a parent's peak memory counts for the child it forks."""


def alexrep(folder: Path, *words: str | Path) -> Ended:
    """Run a command as its own process."""
    command = [sys.executable, "-m", "alexrep.stages", *map(str, words)]
    between = [sys.executable, "-I", "-S", "-c", MEASURED, str(folder / "output")]
    measured = subprocess.run([*between, *command], check=True, stdout=subprocess.PIPE)
    code, seconds, peak_mb = json.loads(measured.stdout)
    return Ended(code, (folder / "output").read_text(), seconds, peak_mb)


@dataclass(frozen=True)
class Made:
    """The edition and the outputs of all stages."""

    raw: Path
    data: Path
    truth: Truth
    stages: dict[str, Ended]


@pytest.fixture(scope="module")
def truth() -> Truth:
    """Return the real ids and ground truth if real data is present, else made-up ones."""
    folder = os.environ.get("ALEXREP_TEST_DATA")
    return real_truth(Path(folder) / "devkits/ilsvrc2012") if folder else drawn_truth()


@pytest.fixture(scope="module")
def made(
    truth: Truth, make_tar: Callable[..., bytes], tmp_path_factory: pytest.TempPathFactory
) -> Made:
    """Return the edition after all stages of data preparation."""
    folder = tmp_path_factory.mktemp("scale")
    raw, data = folder / "raw", folder / "data"
    write_raw(raw, truth, make_tar)
    lines: dict[str, list[str | Path]] = {
        "preprocess": [raw, data, "--partial", "--side", "32"],
        "mean": [data],
        "pca": [data],
        "pack": [data],
        "verify": [data],
    }
    stages = {stage: alexrep(folder, stage, *line) for stage, line in lines.items()}
    return Made(raw, data, truth, stages)


def verdicts(data: Path, split: str) -> Iterator[dict[str, Any]]:
    for record in sorted((data / "images" / split).glob("*.jsonl")):
        yield from map(json.loads, record.read_text().splitlines())


@pytest.mark.slow
def test_every_stage_ends_well_in_little_memory(made: Made) -> None:
    for stage, ended in made.stages.items():
        print(f"\n{stage}: {ended.seconds:.1f} s, at most {ended.peak_mb:.0f} MB", end="")
    print(f"\nall: {sum(ended.seconds for ended in made.stages.values()):.1f} s")
    for stage, ended in made.stages.items():
        assert ended.code == 0, ended.output
        assert ended.peak_mb < 600, stage
    assert "digest and count of images, mean, pca, shards agrees" in made.stages["verify"].output


def read_by(function: Callable[[], object]) -> tuple[int, float]:
    """Return the bytes that a call reads, from cache or disk, and its seconds."""
    counter = re.compile(r"rchar: (\d+)")
    counters = Path("/proc/self/io")
    before, start = counter.findall(counters.read_text()), time.perf_counter()
    function()
    seconds, after = time.perf_counter() - start, counter.findall(counters.read_text())
    return int(after[0]) - int(before[0]), seconds


def rerun(raw: Path, data: Path, side: int) -> tuple[int, float]:
    """Run a finished preprocess again; return the bytes it reads and its seconds."""
    words = ["preprocess", str(raw), str(data), "--partial", "--side", str(side)]

    def again() -> None:
        result = CliRunner().invoke(app, words, prog_name="alexrep")
        assert result.exit_code in (0, 3)
        assert "nothing to do" in result.stdout

    again()
    return read_by(again)


@pytest.mark.slow
def test_a_rerun_reads_indices_only(made: Made) -> None:
    tar_bytes = sum(path.stat().st_size for path in made.raw.glob("*.tar"))
    num_read, seconds = rerun(made.raw, made.data, 32)
    headers = NUM_SYNSETS + NUM_VAL
    assert num_read < 512 * headers + 4e6
    full = num_read * FULL_HEADERS / headers
    print(
        f"\nrerun: {num_read / 1e6:.1f} of {tar_bytes / 1e6:.1f} MB read in {seconds:.1f} s"
        f"\nif it goes by the headers of the outer tars alone, as the code does, then of the"
        f" {FULL_TAR_BYTES / 1e9:.0f} GB of ILSVRC-2012 with its test split {full / 1e6:.0f} MB"
        f" ({FULL_HEADERS:,} headers), in {seconds * FULL_HEADERS / headers:.0f} s where a read"
        " is as fast as here, from the page cache"
    )


@pytest.mark.slow
def test_a_rerun_on_real_images_reads_indices_only(real_data: Path, tmp_path: Path) -> None:
    raw = real_data / "ilsvrc2012-dogs"
    assert alexrep(tmp_path, "preprocess", raw, tmp_path / "data", "--partial").code == 0
    tar_bytes = sum(path.stat().st_size for path in raw.glob("*.tar"))
    num_read, seconds = rerun(raw, tmp_path / "data", 256)
    print(f"\nrerun: {num_read / 1e6:.2f} of {tar_bytes / 1e6:.1f} MB read in {seconds:.2f} s")
    assert num_read < tar_bytes / 100


@pytest.mark.slow
def test_without_partial_the_counts_of_the_edition_are_refused(made: Made, tmp_path: Path) -> None:
    ended = alexrep(tmp_path, "preprocess", made.raw, tmp_path / "data", "--side", "32")
    assert ended.code == 1
    *remarks, line = ended.output.splitlines()
    assert "expected 1,281,167 train images, found 3,000; " in line
    assert line.endswith("--partial")
    assert not any("Traceback" in remark for remark in remarks)
    assert not (tmp_path / "data/images").exists()


@pytest.mark.slow
def test_the_counts_are_those_of_the_tars(made: Made) -> None:
    counts = json.loads((made.data / "images/manifest.json").read_text())["counts"]
    assert counts == {
        "train images": NUM_SYNSETS * NUM_OF_SYNSET,
        "train ok": NUM_SYNSETS * NUM_OF_SYNSET,
        "val images": NUM_VAL,
        "val ok": NUM_VAL,
    }


@pytest.mark.slow
def test_the_class_table_ranks_the_wnids_and_keeps_the_ids(made: Made) -> None:
    table = json.loads((made.data / "images/classes.json").read_text())
    assert [row["index"] for row in table] == list(range(NUM_SYNSETS))
    assert [row["wnid"] for row in table] == sorted(made.truth.wnid_of_id.values())
    assert {row["id"]: row["wnid"] for row in table} == made.truth.wnid_of_id
    assert sum(row["id"] == row["index"] + 1 for row in table) < NUM_SYNSETS / 100


@pytest.mark.slow
def test_every_val_image_has_the_label_of_its_line(made: Made) -> None:
    rank = {wnid: index for index, wnid in enumerate(sorted(made.truth.wnid_of_id.values()))}
    wanted = {
        f"ILSVRC2012_val_{line:08d}.JPEG": rank[made.truth.wnid_of_id[number]]
        for line, number in enumerate(made.truth.val_ids, start=1)
    }
    assert {verdict["name"]: verdict["label"] for verdict in verdicts(made.data, "val")} == wanted


@pytest.mark.slow
def test_every_train_image_has_the_label_of_its_synset(made: Made) -> None:
    rows = list(verdicts(made.data, "train"))
    rank = {wnid: index for index, wnid in enumerate(sorted(made.truth.wnid_of_id.values()))}
    assert all(row["label"] == rank[row["name"].split("_")[0]] for row in rows)


@pytest.mark.slow
@pytest.mark.parametrize("split", ["train", "val"])
def test_packed_labels_are_those_of_the_pictures(made: Made, split: str) -> None:
    packed = open_split(made.data, split)
    for index in np.random.default_rng(5).permutation(len(packed))[:3000].tolist():
        picture = simplejpeg.decode_jpeg(packed.read(index), "RGB")
        assert picture.shape == (32, 32, 3)
        assert index_of(picture) == packed.labels[index] % NUM_COLOURS, packed.names[index]
    packed.close()


@pytest.mark.slow
def test_the_mean_image_is_that_of_the_pictures(made: Made) -> None:
    mean = np.load(made.data / "mean.npy")
    wanted = np.mean([colour(index) for index in range(NUM_SYNSETS)], axis=0)
    np.testing.assert_allclose(mean.mean(axis=(0, 1)), wanted, atol=1)
