"""Which recipe and folder the options of `alexrep train` mean."""

import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

import pytest
import recipes as tiny_recipes
from typer.testing import CliRunner

from alexrep.config import recipes
from alexrep.config.model import AlexNetModel
from alexrep.config.rates import rates_at
from alexrep.errors import AlexrepError
from alexrep.runs import checkpoint, fresh, listing, log
from alexrep.runs.folder import RunFolder
from alexrep.stages import app
from alexrep.stages.cli import training
from alexrep.stages.cli.training import Asked, Choice, choose

NOW = datetime(2012, 12, 3, 9, 30, 1)


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.toml"
    path.write_text(tiny_recipes.tiny_recipe(2))
    return path


@pytest.fixture
def ask(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Choice]:
    """Return `choose` in an empty folder, outside of any job, with options of one's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)

    def chosen(
        run: Path | None = None,
        recipe: str | None = None,
        arch: str | None = None,
        mode: str = "auto",
        newest_below: Path | None = None,
        rate: float | None = None,
        settings: tuple[str, ...] = (),
        **short: object,
    ) -> Choice:
        return choose(Asked(data, run, recipe, arch, mode, newest_below, short, rate, settings))

    return chosen


Ask = Callable[..., Choice]


def train(data: Path, *words: object) -> str:
    """Train on the CPU by the command, and return what it says."""
    options = ("-q", "train", data, "--device", "cpu", *words)
    result = CliRunner().invoke(app, [str(word) for word in options], prog_name="alexrep")
    assert result.exit_code == 0, result.output
    return result.output


def test_other_programs_options_are_names_of_fields(ask: Ask) -> None:
    chosen = ask(recipe="demo", momentum=0.8, weight_decay=0.1, print_freq=7).recipe
    rule = chosen.optimiser.model_dump()
    assert (rule["momentum"], rule["weight_decay"], chosen.log.every_steps) == (0.8, 0.1, 7)


@pytest.mark.parametrize("decay", ["--wd", "--weightdecay", "--weight-decay"])
@pytest.mark.parametrize("rate", ["--lr", "--learning-rate"])
def test_the_words_of_other_programs_reach_the_recipe(
    data: Path, monkeypatch: pytest.MonkeyPatch, decay: str, rate: str
) -> None:
    seen: list[tuple[Choice, object]] = []
    monkeypatch.setattr(training, "train", lambda _, choice, *rest: seen.append((choice, rest[3])))
    words = f"-a demo -b 8 {rate} 0.3 {decay} 0.1 --momentum 0.5 -j 3 --epochs 50 --print-freq 9"
    result = CliRunner().invoke(app, ["train", str(data), *words.split()], prog_name="alexrep")
    assert result.exit_code == 0, result.output
    ((choice, workers),) = seen
    chosen = choice.recipe
    rule = chosen.optimiser.model_dump()
    assert (chosen.name, chosen.feed.batch_size, workers) == ("demo", 8, 3)
    assert (rule["weight_decay"], rule["momentum"]) == (0.1, 0.5)
    assert (rates_at(chosen.schedule, 0).weights, chosen.schedule.epochs) == (0.3, 50)
    assert chosen.log.every_steps == 9


def test_a_rate_changes_all_rates_in_proportion(ask: Ask) -> None:
    before = recipes.load("alexnet-2012").schedule
    chosen = ask(recipe="alexnet-2012", rate=0.03).recipe.schedule
    for epoch in (0, 30, 70, 90):
        mine, theirs = rates_at(chosen, epoch), rates_at(before, epoch)
        assert (mine.weights, mine.biases) == pytest.approx((3 * theirs.weights, 3 * theirs.biases))
        assert mine.noise == theirs.noise
        assert mine.of("conv1", "weights") == pytest.approx(3 * theirs.of("conv1", "weights"))


@pytest.mark.parametrize(
    "curve",
    [
        "{kind='step',start=0.1,factor=0.5,every=1,floor=0.03}",
        "{kind='geometric',start=0.1,end=0.01,parts=2}",
        "{kind='listed',rates=[0.1,0.2]}",
        "{kind='cosine',start=0.1,floor=0.01}",
    ],
)
def test_a_rate_changes_curves_in_proportion_with_their_floors(ask: Ask, curve: str) -> None:
    schedule = f"schedule = {{ epochs = 3, changes = [], weights = {curve} }}"
    Path("own.toml").write_text(f'base = "demo"\nname = "own"\n{schedule}')
    before = recipes.load("own.toml").schedule
    after = ask(recipe="own.toml", rate=0.2).recipe.schedule
    for epoch in range(3):
        rate = rates_at(after, epoch)
        assert rate.weights == rate.biases == pytest.approx(2 * rates_at(before, epoch).weights)


@pytest.mark.parametrize("rate", [50.0, 0.0, -1.0])
def test_a_rate_out_of_range_is_one_line(ask: Ask, rate: float) -> None:
    with pytest.raises(
        AlexrepError, match="--lr: expected a rate above 0 that leaves all rates up"
    ):
        ask(recipe="demo", rate=rate)


def test_a_rate_beside_a_setting_of_it_is_refused(ask: Ask) -> None:
    with pytest.raises(AlexrepError, match=r"--set schedule\.weights=.*found --lr 0\.1"):
        ask(recipe="demo", rate=0.1, settings=("schedule.weights={kind='step'}",))


def test_without_a_recipe_one_is_made_for_the_data(ask: Ask) -> None:
    choice = ask()
    chosen = choice.recipe
    # 72 pixels: 7/8 of them are too small for kernels of 11 pixels, 4 apart.
    assert (chosen.name, chosen.prepared_side) == ("alexnet-2012", 72)
    assert chosen.model == AlexNetModel(side=63, conv1=(5, 2))
    assert choice.made == ("prepared_side=72", "model.side=63", "model.conv1=[5, 2]")


def test_a_recipe_of_another_side_is_fitted_to_the_data(ask: Ask) -> None:
    chosen = ask(arch="alexnet-imagenette").recipe  # patches of 112 out of 128
    assert (chosen.prepared_side, chosen.model.side) == (72, 63)


def test_a_recipe_that_is_named_is_not_changed(ask: Ask) -> None:
    assert ask(recipe="demo").recipe == recipes.load("demo")
    with pytest.raises(AlexrepError, match="--recipe: expected one of the two, found --arch a"):
        ask(recipe="demo", arch="a")


def test_a_new_run_has_the_recipes_name_and_the_time(ask: Ask) -> None:
    choice = ask(recipe="demo")
    assert choice.folder(writes=False) == Path("runs/demo")
    assert not Path("runs").exists()
    assert choice.folder(writes=True).name.startswith("demo-20")


def test_starts_in_one_second_get_folders_of_their_own(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: fresh.make(tmp_path / "runs", "demo", NOW), range(40)))
    assert len(set(made)) == 40
    assert (tmp_path / "runs/demo-20121203-093001").is_dir()


def test_several_processes_and_jobs_name_their_run(
    ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    choice = ask(recipe="demo")
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    with pytest.raises(AlexrepError, match="--run: expected the folder of the run, found none"):
        choice.folder(writes=True)
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "must"}, "--resume must: expected the run to go on with, found none"),
        ({"mode": "no.pt"}, "--resume: expected a checkpoint of a run, found no file no.pt"),
        ({"mode": "maybe"}, "--resume: expected auto or never or must or a checkpoint's path"),
        ({"newest_below": Path(), "run": Path("x")}, "--resume-last: expected no other option"),
        ({"newest_below": Path()}, "expected a run with a checkpoint, found none"),
    ],
)
def test_what_cannot_be_gone_on_with_is_one_line(
    ask: Ask, options: dict[str, object], message: str
) -> None:
    with pytest.raises(AlexrepError, match=message):
        ask(recipe="demo", **options)
    assert not Path("runs").exists()


def test_the_newest_run_is_the_one_that_was_saved_last(make_run: Callable[..., RunFolder]) -> None:
    runs = [make_run(name) for name in ("first", "second", "third")]
    make_run("not-begun", errors=())
    for run, time in zip(runs, (10, 30, 20), strict=True):
        for path in run.checkpoints.iterdir():
            os.utime(path, (time, time))
    assert listing.newest(runs[0].path.parent) == runs[1]


@pytest.mark.slow
def test_a_run_goes_on_from_a_checkpoint_in_a_new_folder_with_the_same_bits(
    data: Path, tiny: Path, tmp_path: Path
) -> None:
    run, other = tmp_path / "run", tmp_path / "other"
    train(data, "--run", run, "--recipe", tiny, "--set", "checkpoints.keep_epochs=1")
    first = RunFolder(run).epoch_checkpoints()[1]
    for _ in range(2):  # a second start finds it finished
        train(data, "--resume", first, "--run", other)
    digests = {
        checkpoint.weights_digest(checkpoint.load(RunFolder(path).checkpoint("last"))["state_dict"])
        for path in (run, other)
    }
    assert len(digests) == 1
    epochs = [row["epoch"] for row in log.read(RunFolder(other).log) if row["kind"] == "epoch"]
    assert epochs == [0, 1, 2]
    said = train(data, "--resume", RunFolder(run).checkpoint("last"))
    assert "finished before" in said
    # The newest is found again, and scored without training.
    said = train(data, "--resume-last", tmp_path, "--evaluate")
    assert f"goes on with {other}" in said
    assert "val, centre: top-1 error" in said
    result = CliRunner().invoke(
        app, ["train", str(data), "--resume", str(first)], prog_name="alexrep"
    )
    assert "expected a new folder to go on in, found none; name one with --run" in result.output


@pytest.mark.slow
def test_steps_are_logged_as_often_as_is_asked(data: Path, tiny: Path, tmp_path: Path) -> None:
    train(data, "--run", tmp_path / "run", "--recipe", tiny, "--epochs", 1, "--print-freq", 2)
    lines = (tmp_path / "run/log.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    assert [row["step"] for row in rows if row["kind"] == "step"] == [2, 4]


def test_raw_images_in_place_of_data_get_the_commands_that_prepare_them(tmp_path: Path) -> None:
    (tmp_path / "raw/train/dog").mkdir(parents=True)
    result = CliRunner().invoke(app, ["train", str(tmp_path / "raw")], prog_name="alexrep")
    assert result.exit_code == 1
    wanted = "expected a folder of prepared data, found raw images; run alexrep preprocess "
    assert wanted in result.output
    assert "--edition folder, then alexrep mean" in result.output
