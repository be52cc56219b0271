"""Rank and world size, from the environment alone."""

import pytest
import torch

from alexrep.compute import devices
from alexrep.compute.rank import ProcessRank, first_node, own_towers
from alexrep.errors import ConfigError

TORCHRUN = {
    "RANK": "5",
    "WORLD_SIZE": "8",
    "LOCAL_RANK": "1",
    "MASTER_ADDR": "10.0.0.1",
    "MASTER_PORT": "29500",
}
SLURM = {
    "SLURM_JOB_ID": "1234",
    "SLURM_STEP_ID": "0",
    "SLURM_PROCID": "3",
    "SLURM_LOCALID": "1",
    "SLURM_STEP_NUM_TASKS": "4",
    "SLURM_NTASKS": "4",
    "SLURM_STEP_NODELIST": "gpu[03-04]",
}


def test_without_variables_there_is_one_process() -> None:
    assert ProcessRank.of({}) == ProcessRank(0, 1, 0, "")


def test_torchruns_variables_are_read() -> None:
    assert ProcessRank.of(TORCHRUN) == ProcessRank(5, 8, 1, "10.0.0.1:29500")


def test_one_process_of_torchrun_needs_no_meeting() -> None:
    assert ProcessRank.of({"RANK": "0", "WORLD_SIZE": "1"}) == ProcessRank()


def test_a_slurm_step_is_read() -> None:
    assert ProcessRank.of(SLURM) == ProcessRank(3, 4, 1, "gpu03:20638")


def test_torchrun_within_slurm_goes_first() -> None:
    assert ProcessRank.of(SLURM | TORCHRUN) == ProcessRank.of(TORCHRUN)


def test_a_batch_script_is_one_process_whatever_its_job_asked_for() -> None:
    step = {"SLURM_STEP_ID", "SLURM_STEP_NUM_TASKS", "SLURM_STEP_NODELIST"}
    batch = {key: value for key, value in SLURM.items() if key not in step}
    assert ProcessRank.of(batch | {"SLURM_NODELIST": "gpu[03-04]"}) == ProcessRank()


def test_a_shell_within_a_job_is_one_process_whatever_its_job_asked_for() -> None:
    """The step that salloc starts has one task and an id near 2^32."""
    shell = {"SLURM_STEP_ID": str(2**32 - 6), "SLURM_STEP_NUM_TASKS": "1", "SLURM_PROCID": "0"}
    assert (
        ProcessRank.of(SLURM | {"SLURM_NTASKS": "4", "SLURM_JOB_NAME": "interactive"} | shell)
        == ProcessRank()
    )


def test_two_jobs_on_a_node_meet_at_two_ports() -> None:
    jobs = {ProcessRank.of(SLURM | {"SLURM_JOB_ID": str(job)}).address for job in range(1000, 2000)}
    assert len(jobs) == 1000


@pytest.mark.parametrize("missing", ["MASTER_ADDR", "MASTER_PORT"])
def test_an_incomplete_environment_is_named(missing: str) -> None:
    left = {key: value for key, value in TORCHRUN.items() if key != missing}
    with pytest.raises(ConfigError, match=f"environment: expected a rank, found .*{missing}"):
        ProcessRank.of(left)


def test_a_rank_beyond_the_size_is_refused() -> None:
    with pytest.raises(ConfigError, match="expected 0 to 7, found 8"):
        ProcessRank.of(TORCHRUN | {"RANK": "8"})


@pytest.mark.parametrize(
    ("nodes", "first"),
    [
        ("one", "one"),
        ("one,two", "one"),
        ("gpu[03-05,7],login1", "gpu03"),
        ("gpu[7]", "gpu7"),
        ("r[1-2]n[08,10-12]-ib", "r1n08-ib"),
    ],
)
def test_the_first_node_of_slurms_list(nodes: str, first: str) -> None:
    assert first_node(nodes) == first


def test_each_process_gets_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    process = ProcessRank.of(TORCHRUN | {"LOCAL_RANK": "3"})
    assert str(process.device(torch.device("cuda"))) == "cuda:3"
    assert str(process.device(torch.device("cuda", 1))) == "cuda:1"
    assert str(process.device(torch.device("cpu"))) == "cpu"
    assert str(ProcessRank().device(torch.device("cuda"))) == "cuda"


def test_a_process_that_sees_its_own_gpu_only_takes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    process = ProcessRank.of(TORCHRUN | {"LOCAL_RANK": "3"})
    assert str(process.device(torch.device("cuda"))) == "cuda:0"


@pytest.mark.parametrize(
    ("towers", "local", "own"),
    [
        (("cuda:0", "cuda:1"), 0, ("cuda:0", "cuda:1")),
        (("cuda:0", "cuda:1"), 3, ("cuda:6", "cuda:7")),
        (("cuda:0", "cpu"), 1, ("cuda:1", "cpu")),
        (("cpu", "cpu"), 2, ("cpu", "cpu")),
        ((), 1, ()),
    ],
)
def test_each_process_has_devices_of_its_own_for_its_towers(
    towers: tuple[str, ...], local: int, own: tuple[str, ...]
) -> None:
    assert own_towers(towers, local) == own


@pytest.mark.parametrize(
    ("num_gpus", "said"),
    [
        (0, "expected a GPU that PyTorch can use, for cuda:2, found none on this machine; take"),
        (2, "expected cuda:2, found cuda:0 to cuda:1; choose one of these, or auto"),
    ],
)
def test_a_device_that_is_not_there_is_told_from_those_that_are(
    num_gpus: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: num_gpus)
    with pytest.raises(ConfigError, match=f"--device: {said}"):
        devices.pick("cuda:2")
