"""The batch scripts, run outside Slurm with an alexrep that only records its call."""

import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from waiting import PATIENCE_S, wait_until

SLURM = Path(__file__).resolve().parent.parent / "slurm"
JOBS = ("preprocess", "mean", "pca", "pack", "train", "eval")
WAITED = JOBS[:4] + JOBS[5:]
"""Jobs that need nothing but an end; train may also be queued again."""
SCRIPTS = sorted(path for path in SLURM.iterdir() if path.suffix in (".sh", ".slurm"))

Script = Callable[..., subprocess.CompletedProcess[str]]

pytestmark = pytest.mark.slow


def put(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/bash\n{text}\n")
    path.chmod(0o755)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a working folder with raw/, data/ and bin/alexrep, first on PATH."""
    for name in ("raw", "data", "bin", "runs/alexnet-2012"):
        (tmp_path / name).mkdir(parents=True)
    put(tmp_path / "bin/alexrep", 'echo "alexrep $*" >> calls; exit "${EXIT:-0}"')
    for name in ("RAW", "DATA", "RUN", "RECIPE", "ALEXREP_ENV", "SLURM_JOB_ID", "GPUS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    return tmp_path


@pytest.fixture
def script(folder: Path) -> Script:
    """Return a function that runs a script of slurm/ in `folder`."""

    def run(name: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        command = ["bash", str(SLURM / name), *arguments]
        return subprocess.run(
            command,
            cwd=folder,
            env=os.environ | variables,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def calls(folder: Path) -> list[str]:
    return (folder / "calls").read_text().splitlines()


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
        ("preprocess", "alexrep preprocess raw data --side 256 --workers 4"),
        ("mean", "alexrep mean data --workers 4"),
        ("pca", "alexrep pca data --workers 4"),
        ("pack", "alexrep pack data --workers 4"),
        ("train", "alexrep train data --run runs/alexnet-2012 --recipe alexnet-2012"),
        ("eval", "alexrep eval runs/alexnet-2012 --data data --split val --ten-crop"),
    ],
)
def test_the_defaults_call_alexrep(name: str, call: str, script: Script, folder: Path) -> None:
    assert script(f"{name}.slurm", SLURM_CPUS_PER_TASK="4").returncode == 0
    assert calls(folder) == [call]


def test_without_a_gpu_the_device_is_the_cpu(script: Script, folder: Path) -> None:
    for name in ("train", "eval"):
        assert script(f"{name}.slurm", "--device", "cpu", GPUS="2").returncode == 0
        assert script(f"{name}.slurm", GPUS="0").returncode == 0
    with_gpu, train, _, evaluate = calls(folder)
    assert with_gpu == train
    assert evaluate.endswith("--ten-crop --device cpu")


def test_variables_and_options_reach_alexrep(script: Script, folder: Path) -> None:
    (folder / "d d").mkdir()
    script("train.slurm", "--epochs", "2", DATA="d d", RUN="r", RECIPE="x/small.toml")
    script("train.slurm", RECIPE="x/small.toml")
    own = {"SIDE": "32", "SLURM_CPUS_PER_TASK": "2"}
    script("preprocess.slurm", "--partial", RAW="d d", DATA="new", **own)
    assert calls(folder) == [
        "alexrep train d d --run r --recipe x/small.toml --epochs 2",
        "alexrep train data --run runs/small --recipe x/small.toml",
        "alexrep preprocess d d new --side 32 --workers 2 --partial",
    ]


@pytest.mark.parametrize(
    ("name", "variable"),
    [("preprocess", "RAW"), ("eval", "RUN"), *((name, "DATA") for name in JOBS[1:])],
)
def test_what_is_missing_is_one_line(
    name: str, variable: str, script: Script, folder: Path
) -> None:
    result = script(f"{name}.slurm", **{variable: "nowhere"})
    assert result.returncode == 2
    assert result.stderr.startswith(f"{name}.slurm: nowhere: expected the folder of ")
    assert result.stderr.endswith(f"found none; set {variable}\n")
    assert not (folder / "calls").exists()


def test_train_asks_slurm_for_a_warning_and_for_another_turn() -> None:
    lines = (SLURM / "train.slurm").read_text().splitlines()
    options = {line.removeprefix("#SBATCH ") for line in lines if line.startswith("#SBATCH ")}
    # B: to the script alone; USR2, as NCCL and others take USR1; 3 minutes, to save in.
    assert {"--requeue", "--open-mode=append", "--signal=B:USR2@180"} <= options


@pytest.mark.parametrize("name", JOBS)
def test_a_missing_environment_is_one_line(name: str, script: Script, folder: Path) -> None:
    named = script(f"{name}.slurm", ALEXREP_ENV="nowhere")
    assert (named.returncode, named.stderr.count("\n")) == (2, 1)
    (folder / "bin/alexrep").unlink()
    result = script(f"{name}.slurm", PATH="/usr/bin:/bin")
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)
    assert "alexrep: expected on PATH, found nothing" in result.stderr


@pytest.mark.parametrize("environment", ["", "my-venv", "modules.sh"])
def test_the_environment_is_a_venv_or_a_file(
    environment: str, script: Script, folder: Path
) -> None:
    activate = {"": ".venv/bin/activate", "my-venv": "my-venv/bin/activate"}
    file = folder / activate.get(environment, environment)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("echo sourced >> calls\n")
    assert script("mean.slurm", ALEXREP_ENV=environment, SLURM_CPUS_PER_TASK="1").returncode == 0
    assert calls(folder) == ["sourced", "alexrep mean data --workers 1"]


@pytest.mark.parametrize(("code", "left"), [("0", 0), ("3", 0), ("1", 1), ("75", 75)])
def test_a_quarantine_is_success(code: str, left: int, script: Script) -> None:
    for name in WAITED:
        assert script(f"{name}.slurm", EXIT=code).returncode == left


def test_what_becomes_of_the_exit_code_is_said(script: Script) -> None:
    output = script("pack.slurm", EXIT="3").stdout
    assert output.startswith("pack.slurm: exit code 3 (done, with quarantined images) is 0 for")
    task = {"SLURM_ARRAY_TASK_ID": "2", "SLURM_ARRAY_JOB_ID": "7", "SLURMD_NODENAME": "n1"}
    output = script("preprocess.slurm", EXIT="1", **task).stderr
    assert output.startswith(
        "preprocess.slurm: task 2 of job 7 on n1: exited with 1; the jobs that"
    )
    output = script("train.slurm", EXIT="1", SLURMD_NODENAME="n1").stderr
    assert output.startswith("train.slurm: job none on n1: exited with 1; the jobs that")


def test_the_preamble_is_the_same_in_every_job() -> None:
    parts = [(SLURM / f"{name}.slurm").read_text().split("\nstop() {")[1] for name in JOBS]
    ends = "where it is installed"
    preambles = {
        part.split(ends)[0].replace(name, "") for name, part in zip(JOBS, parts, strict=True)
    }
    assert len(preambles) == 1


RUNNING = "JobId=7 JobState=RUNNING PreemptTime=None"
PREEMPTED = "JobId=7 JobState=RUNNING PreemptTime=2026-11-21T12:13:56"
CANCELLED = "JobId=7 JobState=COMPLETING PreemptTime=None"


def train_and_signal(
    folder: Path, number: signal.Signals, job: str = RUNNING, code: int = 75
) -> subprocess.CompletedProcess[str]:
    """Run train.slurm with stubs of srun and scontrol; signal it as Slurm would.

    Args:
        folder: Working folder.
        number: USR2 goes to the script, TERM to the step; without a job, to the script too.
        job: What Slurm says of the job; empty for none.
        code: Exit code of the training after the signal.
    """
    put(folder / "bin/srun", 'while [[ $1 == -* ]]; do shift; done; exec "$@"')
    show = f'[[ $* == *show* ]] && echo "{job}" || echo "scontrol $*" >> calls'
    put(folder / "bin/scontrol", show)
    save = "trap 'echo {0} >> calls; saved=1' {0}; "
    wait = f"echo $$ > at; mv at ready; until [[ $saved ]]; do sleep 0.05; done; exit {code}"
    put(folder / "bin/alexrep", save.format("USR2") + save.format("TERM") + wait)
    environment = os.environ | ({"SLURM_JOB_ID": "7"} if job else {})
    command = ["bash", str(SLURM / "train.slurm")]
    with subprocess.Popen(
        command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True
    ) as shell:
        wait_until((folder / "ready").exists, "the training")
        to_step = number == signal.SIGTERM and job
        os.kill(int((folder / "ready").read_text()) if to_step else shell.pid, number)
        if job == CANCELLED:
            shell.send_signal(number)
        _, errors = shell.communicate(timeout=PATIENCE_S)
    return subprocess.CompletedProcess(command, shell.returncode, None, errors)


def test_a_warned_training_requeues_itself(folder: Path) -> None:
    assert train_and_signal(folder, signal.SIGUSR2).returncode == 75
    assert calls(folder) == ["USR2", "scontrol requeue 7"]


def test_a_preempted_training_requeues_itself(folder: Path) -> None:
    assert train_and_signal(folder, signal.SIGTERM, PREEMPTED).returncode == 75
    assert calls(folder) == ["TERM", "scontrol requeue 7"]


@pytest.mark.parametrize("job", [CANCELLED, RUNNING, ""])
def test_a_cancelled_training_gets_one_signal_and_no_further_turn(job: str, folder: Path) -> None:
    assert train_and_signal(folder, signal.SIGTERM, job).returncode == 75
    assert calls(folder) == ["TERM"]


def test_a_training_that_is_cancelled_after_its_warning_is_over(folder: Path) -> None:
    train_and_signal(folder, signal.SIGUSR2, CANCELLED)
    assert "scontrol requeue 7" not in calls(folder)


@pytest.mark.parametrize(("code", "turns"), [(0, 0), (1, 0), (140, 1), (137, 0)])
def test_only_a_saved_or_unbegun_training_is_requeued(code: int, turns: int, folder: Path) -> None:
    result = train_and_signal(folder, signal.SIGUSR2, code=code)
    assert result.returncode == code
    assert calls(folder).count("scontrol requeue 7") == turns
    assert (f"exited with {code};" in result.stderr) == (code in {1, 137})


def test_a_training_is_requeued_a_bounded_number_of_times(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_RESTART_COUNT", "20")
    result = train_and_signal(folder, signal.SIGUSR2)
    assert calls(folder) == ["USR2"]
    assert "requeued 20 times" in result.stderr


def test_tasks_may_end_one_after_the_other(script: Script, folder: Path) -> None:
    put(folder / "bin/srun", 'echo "srun $*" >> calls')
    script("train.slurm", SLURM_JOB_ID="7", SLURM_CPUS_PER_TASK="4")
    expected = "srun --cpus-per-task=4 --kill-on-bad-exit=0 --wait=60 alexrep train"
    assert calls(folder)[0].startswith(expected)


def test_pipeline_chains_the_jobs(script: Script, folder: Path) -> None:
    put(folder / "bin/sbatch", 'echo "$* $RUN" >> calls; wc -l < calls')
    result = script("pipeline.sh", "--partial", RECIPE="demo")
    numbers = enumerate(JOBS, 1)
    assert result.stdout.splitlines() == [f"{name} {number}" for number, name in numbers]
    first, *others = calls(folder)
    assert first == f"--parsable --array=0-7 {SLURM}/preprocess.slurm --partial runs/demo"
    for number, call in enumerate(others, 1):
        after = f"--parsable --dependency=afterok:{number} --kill-on-invalid-dep=yes "
        assert call == f"{after}{SLURM}/{JOBS[number]}.slurm runs/demo"


def test_pipeline_asks_for_what_it_is_told(script: Script, folder: Path) -> None:
    put(folder / "bin/sbatch", 'echo "$*" >> calls; echo 1')
    script("pipeline.sh", GPUS="4", NODES="2", PARTS="40", CPUS="3")
    requested = [call.split(f" {SLURM}")[0].split(" ")[1:] for call in calls(folder)]
    assert requested[0] == ["--cpus-per-task=3", "--array=0-39"]
    assert requested[4][2:] == ["--cpus-per-task=3", "--ntasks=4", "--nodes=2"]
    (folder / "calls").unlink()
    script("pipeline.sh", GPUS="0")
    assert ["--gpus-per-task=0" in call for call in calls(folder)] == [False] * 4 + [True] * 2


@pytest.mark.parametrize("variable", ["PARTS", "GPUS", "NODES", "CPUS"])
def test_pipeline_refuses_what_is_no_number(variable: str, script: Script, folder: Path) -> None:
    result = script("pipeline.sh", **{variable: "many"})
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)
    assert result.stderr.startswith(f"pipeline.sh: {variable}: expected a number")


def test_pipeline_dry_run_submits_nothing(script: Script, folder: Path) -> None:
    put(folder / "bin/sbatch", "touch calls")
    lines = script("pipeline.sh", "--dry-run").stdout.splitlines()
    assert [line.split("/")[-1] for line in lines] == [f"{name}.slurm" for name in JOBS]
    assert "afterok:<pack>" in lines[4]
    assert not (folder / "calls").exists()


def test_pipeline_dry_run_needs_no_tars(script: Script, folder: Path) -> None:
    with_tars, without = (
        script("pipeline.sh", "--dry-run"),
        script("pipeline.sh", "--dry-run", RAW="x"),
    )
    assert (without.returncode, without.stdout) == (0, with_tars.stdout)
    assert with_tars.stderr == ""
    message = "pipeline.sh: x: no such folder yet, which is needed to submit; set RAW\n"
    assert without.stderr == message


@pytest.mark.parametrize(
    ("arguments", "variables"), [(["--fast"], {}), ([], {"RAW": "nowhere"}), ([], {"PATH": "few"})]
)
def test_pipeline_stops_with_one_line(
    arguments: list[str], variables: dict[str, str], script: Script, folder: Path
) -> None:
    (folder / "few").mkdir()
    for tool in ("bash", "basename", "dirname"):
        (folder / "few" / tool).symlink_to(str(shutil.which(tool)))
    result = script("pipeline.sh", *arguments, **variables)
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)
    assert result.stdout == ""


def test_pipeline_helps(script: Script) -> None:
    result = script("pipeline.sh", "--help")
    assert result.returncode == 0
    for name in ("RAW", "DATA", "SIDE", "PARTS", "RECIPE", "RUN", "GPUS", "NODES", "CPUS"):
        assert f"\n  {name} " in result.stdout
    for name in ("ALEXREP_ENV", "--dry-run", "--partial", "Example:"):
        assert name in result.stdout
