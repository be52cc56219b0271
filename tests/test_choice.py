"""Which form of a computation runs, and what is said about it."""

import pytest
import torch

from alexrep.compute import precision
from alexrep.config.recipe import Compute
from alexrep.kernels import choice

CPU = torch.device("cpu")
ONE = torch.ones(1)


@pytest.fixture
def counts_as_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the CPU count as a GPU, with no kernels known and none tried."""
    monkeypatch.setattr(choice, "lacking", lambda device: None)
    monkeypatch.setattr(choice, "TRIALS", {})
    choice.fault.cache_clear()


@pytest.fixture(autouse=True)
def _forget() -> None:
    choice.fault.cache_clear()


def test_without_a_gpu_everything_has_its_plain_form() -> None:
    with choice.allowed("auto"):
        assert not any(choice.is_fused(name, ONE) for name in choice.TRIALS)
    assert choice.fused("auto", CPU) == []
    assert choice.explained("auto", CPU) == "plain forms: no GPU"
    assert choice.explained("plain", CPU) == "plain forms, as the recipe says"


def test_a_run_allows_kernels_until_its_end() -> None:
    seen: list[str] = []
    with precision.settled(Compute()):
        seen.append(choice._Present.setting)
        with precision.settled(Compute(kernels="plain")):
            seen.append(choice._Present.setting)
        seen.append(choice._Present.setting)
    assert [*seen, choice._Present.setting] == ["auto", "plain", "auto", "plain"]


@pytest.mark.usefixtures("counts_as_gpu")
def test_a_kernel_that_fails_its_trial_is_left_and_named() -> None:
    def wrong(device: torch.device) -> list[tuple[torch.Tensor, torch.Tensor]]:
        return [(ONE, ONE), (ONE, ONE + 1e-3)]

    def broken(device: torch.device) -> list[tuple[torch.Tensor, torch.Tensor]]:
        raise RuntimeError("no C compiler\nmore")

    choice.register("a wrong one", wrong)
    choice.register("a broken one", broken)
    choice.register("a right one", lambda device: [(ONE, ONE + 1e-7)])
    assert choice.fused("auto", CPU) == ["a right one"]
    text = choice.explained("auto", CPU)
    assert text.startswith("fused: a right one; a broken one in its plain form: no C compiler; ")
    assert "a wrong one in its plain form: Tensor-likes are not close" in text


@pytest.mark.usefixtures("counts_as_gpu")
def test_a_trial_computes_in_eval_too_and_with_gradients() -> None:
    def trial(device: torch.device) -> list[tuple[torch.Tensor, torch.Tensor]]:
        weight = torch.ones(2, requires_grad=True)
        assert not choice.is_fused("tried", weight)
        return [(torch.autograd.grad(weight.square().sum(), weight)[0], weight + 1)]

    choice.register("tried", trial)
    with torch.inference_mode():
        assert choice.fault("tried", CPU) is None


def test_whole_numbers_and_masks_must_be_the_same() -> None:
    choice.require_equal(torch.tensor([True]), torch.tensor([True]))
    with pytest.raises(AssertionError):
        choice.require_equal(torch.tensor([3]), torch.tensor([4]))


def test_nothing_to_compare_is_equal() -> None:
    choice.require_equal(torch.zeros(2), torch.zeros(2))
