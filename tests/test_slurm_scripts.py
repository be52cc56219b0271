"""The batch scripts, run outside Slurm with an alexrep that only writes down its call."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

SLURM = Path(__file__).resolve().parent.parent / "slurm"
JOBS = ("preprocess", "pack", "train", "eval")
SCRIPTS = sorted(path for path in SLURM.iterdir() if path.suffix in (".sh", ".slurm"))

Script = Callable[..., subprocess.CompletedProcess[str]]


def put(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/bash\n{text}\n")
    path.chmod(0o755)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a working folder with raw/, data/ and bin/alexrep, first on PATH."""
    for name in ("raw", "data", "bin", "runs/alexnet-2012"):
        (tmp_path / name).mkdir(parents=True)
    put(tmp_path / "bin/alexrep", 'echo "alexrep $*" >> calls; exit "${EXIT:-0}"')
    for name in ("RAW", "DATA", "RUN", "RECIPE", "ALEXREP_ENV", "SLURM_JOB_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    return tmp_path


@pytest.fixture
def script(place: Path) -> Script:
    """Return a function that runs a script of slurm/ in `place`."""

    def run(name: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        command = ["bash", str(SLURM / name), *arguments]
        return subprocess.run(
            command,
            cwd=place,
            env=os.environ | variables,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def calls(place: Path) -> list[str]:
    return (place / "calls").read_text().splitlines()


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_bash_can_read_it(path: Path) -> None:
    subprocess.run(["bash", "-n", str(path)], check=True)


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
def test_shellcheck_finds_nothing() -> None:
    others = [SLURM.parent / name for name in ("install.sh", ".ci/run")]
    command = ["shellcheck", *map(str, SCRIPTS), *map(str, others)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("preprocess", "alexrep preprocess raw data"),
        ("train", "alexrep train data --run runs/alexnet-2012 --recipe alexnet-2012"),
        ("eval", "alexrep eval runs/alexnet-2012 --data data --ten-crop"),
    ],
)
def test_the_defaults_call_alexrep(name: str, call: str, script: Script, place: Path) -> None:
    assert script(f"{name}.slurm").returncode == 0
    assert calls(place) == [call]


def test_pack_makes_the_statistics_first(script: Script, place: Path) -> None:
    assert script("pack.slurm").returncode == 0
    assert calls(place) == ["alexrep mean data", "alexrep pca data", "alexrep pack data"]


def test_variables_and_options_reach_alexrep(script: Script, place: Path) -> None:
    (place / "d d").mkdir()
    script("train.slurm", "--epochs", "2", DATA="d d", RUN="r", RECIPE="x/small.toml")
    script("train.slurm", RECIPE="x/small.toml")
    script("preprocess.slurm", "--partial", RAW="d d", DATA="new")
    assert calls(place) == [
        "alexrep train d d --run r --recipe x/small.toml --epochs 2",
        "alexrep train data --run runs/small --recipe x/small.toml",
        "alexrep preprocess d d new --partial",
    ]


@pytest.mark.parametrize(
    ("name", "variable"),
    [("preprocess", "RAW"), ("pack", "DATA"), ("train", "DATA"), ("eval", "DATA"), ("eval", "RUN")],
)
def test_what_is_missing_is_one_line(name: str, variable: str, script: Script, place: Path) -> None:
    result = script(f"{name}.slurm", **{variable: "nowhere"})
    assert result.returncode == 2
    assert result.stderr.startswith(f"{name}.slurm: nowhere: expected the folder of ")
    assert result.stderr.endswith(f"found none; set {variable}\n")
    assert not (place / "calls").exists()


@pytest.mark.parametrize("name", JOBS)
def test_a_missing_environment_is_one_line(name: str, script: Script, place: Path) -> None:
    named = script(f"{name}.slurm", ALEXREP_ENV="nowhere")
    assert (named.returncode, named.stderr.count("\n")) == (2, 1)
    (place / "bin/alexrep").unlink()
    found = script(f"{name}.slurm", PATH="/usr/bin:/bin")
    assert (found.returncode, found.stderr.count("\n")) == (2, 1)
    assert "alexrep: expected on PATH, found nothing" in found.stderr


@pytest.mark.parametrize("environment", ["", "my-venv", "modules.sh"])
def test_the_environment_is_a_venv_or_a_file(environment: str, script: Script, place: Path) -> None:
    activate = {"": ".venv/bin/activate", "my-venv": "my-venv/bin/activate"}
    file = place / activate.get(environment, environment)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("echo sourced >> calls\n")
    assert script("preprocess.slurm", ALEXREP_ENV=environment).returncode == 0
    assert calls(place) == ["sourced", "alexrep preprocess raw data"]


@pytest.mark.parametrize(("code", "left"), [("0", 0), ("3", 0), ("1", 1), ("75", 75)])
def test_a_quarantine_is_success(code: str, left: int, script: Script) -> None:
    assert script("preprocess.slurm", EXIT=code).returncode == left
    assert script("pack.slurm", EXIT=code).returncode == left


def test_the_preamble_is_the_same_in_every_job() -> None:
    parts = [(SLURM / f"{name}.slurm").read_text().split("\nstop() {")[1] for name in JOBS]
    ends = "where it is installed"
    preambles = {
        part.split(ends)[0].replace(name, "") for name, part in zip(JOBS, parts, strict=True)
    }
    assert len(preambles) == 1


def train_and_signal(
    place: Path, number: signal.Signals, job_id: str = "7"
) -> subprocess.CompletedProcess[str]:
    """Run train.slurm with stubs of srun and scontrol; signal it as Slurm would."""
    put(place / "bin/srun", '[[ $1 == --cpus-per-task=4 ]] && shift && exec "$@"')
    put(place / "bin/scontrol", 'echo "scontrol $*" >> calls')
    save = "trap 'echo {0} >> calls; saved=1' {0}; "
    wait = "touch ready; until [[ $saved ]]; do sleep 0.05; done; sleep 0.2; exit 75"
    put(place / "bin/alexrep", save.format("USR2") + save.format("TERM") + wait)
    job = os.environ | {"SLURM_JOB_ID": job_id, "SLURM_CPUS_PER_TASK": "4"}
    command = ["bash", str(SLURM / "train.slurm")]
    with subprocess.Popen(
        command, cwd=place, env=job, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as shell:
        while not (place / "ready").exists():
            time.sleep(0.02)
        if number == signal.SIGTERM and job_id:
            os.killpg(shell.pid, number)
        else:
            shell.send_signal(number)
        _, errors = shell.communicate(timeout=20)
    return subprocess.CompletedProcess(command, shell.returncode, None, errors)


def test_a_warned_training_requeues_itself(place: Path) -> None:
    assert train_and_signal(place, signal.SIGUSR2).returncode == 75
    assert calls(place) == ["USR2", "scontrol requeue 7"]


@pytest.mark.parametrize("job_id", ["7", ""])
def test_a_cancelled_training_gets_one_signal_and_no_further_turn(job_id: str, place: Path) -> None:
    assert train_and_signal(place, signal.SIGTERM, job_id).returncode == 75
    assert calls(place) == ["TERM"]


def test_a_training_is_requeued_a_bounded_number_of_times(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_RESTART_COUNT", "20")
    result = train_and_signal(place, signal.SIGUSR2)
    assert calls(place) == ["USR2"]
    assert "requeued 20 times" in result.stderr


def test_pipeline_chains_the_jobs(script: Script, place: Path) -> None:
    put(place / "bin/sbatch", 'echo "$* $RUN" >> calls; wc -l < calls')
    result = script("pipeline.sh", "--partial", RECIPE="demo")
    after = "--kill-on-invalid-dep=yes"
    assert result.stdout.splitlines() == ["preprocess 1", "pack 2", "train 3", "eval 4"]
    assert calls(place) == [
        f"--parsable {SLURM}/preprocess.slurm --partial runs/demo",
        f"--parsable --dependency=afterok:1 {after} {SLURM}/pack.slurm runs/demo",
        f"--parsable --dependency=afterok:2 {after} {SLURM}/train.slurm runs/demo",
        f"--parsable --dependency=afterok:3 {after} {SLURM}/eval.slurm runs/demo",
    ]


def test_pipeline_dry_run_submits_nothing(script: Script, place: Path) -> None:
    put(place / "bin/sbatch", "touch calls")
    lines = script("pipeline.sh", "--dry-run").stdout.splitlines()
    assert [line.split("/")[-1] for line in lines] == [f"{name}.slurm" for name in JOBS]
    assert "afterok:<pack>" in lines[2]
    assert not (place / "calls").exists()


@pytest.mark.parametrize(
    ("arguments", "variables"), [(["--fast"], {}), ([], {"RAW": "nowhere"}), ([], {"PATH": "few"})]
)
def test_pipeline_stops_with_one_line(
    arguments: list[str], variables: dict[str, str], script: Script, place: Path
) -> None:
    (place / "few").mkdir()
    for tool in ("bash", "basename", "dirname"):
        (place / "few" / tool).symlink_to(str(shutil.which(tool)))
    result = script("pipeline.sh", *arguments, **variables)
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)
    assert result.stdout == ""


def test_pipeline_helps(script: Script) -> None:
    result = script("pipeline.sh", "--help")
    assert result.returncode == 0
    for name in ("RAW", "DATA", "RECIPE", "RUN", "ALEXREP_ENV", "--dry-run", "Example:"):
        assert name in result.stdout
