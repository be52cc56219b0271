"""Recipes: what they refuse and name, bases, settings laid over them, TOML and back."""

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from alexrep.config import recipes
from alexrep.config.recipe import Recipe
from alexrep.errors import ConfigError

SHORTEST = """
name = "own"
source = "ours"
expected = "nothing"
[schedule]
epochs = 1
changes = [{ epoch = 0, weights = 0.01, biases = 0.02 }]
"""


def written(folder: Path, text: str, name: str = "own.toml") -> str:
    """Write a recipe file and return its name."""
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    return str(folder / name)


def test_the_numbers_of_2012() -> None:
    found = recipes.load("alexnet-2012")
    assert (found.model.side, found.model.width, found.model.std_factor) == (224, 1, 1)
    assert (found.feed.batch_size, found.feed.order, found.feed.draws) == (128, "fixed", "group32")
    assert (found.optimiser.momentum, found.optimiser.weight_decay) == (0.9, 0.0005)
    assert (found.noise.scale, found.noise.divide) == (0.1, True)
    first = found.schedule.changes[0]
    assert (first.weights, first.biases, found.schedule.epochs) == (0.01, 0.02, 91)


def test_every_shipped_recipe_is_valid_and_goes_by_its_name() -> None:
    assert {"alexnet-2012", "demo"} <= set(recipes.names())
    assert recipes.names() == sorted(recipes.names())
    assert [recipes.load(name).name for name in recipes.names()] == recipes.names()


def test_a_recipe_holds_only_its_differences_from_its_base() -> None:
    base, demo = recipes.load("alexnet-2012"), recipes.load("demo")
    changed = {line.partition(":")[0] for line in recipes.difference(base, demo)}
    assert {"model.side", "model.width", "feed.order", "schedule.epochs"} <= changed
    assert not {"model.name", "noise.scale", "optimiser.momentum"} & changed


def test_an_unknown_recipe_lists_the_names() -> None:
    message = (
        r"recipe 'nope': expected one of .*alexnet-2012.*demo.*, found no such recipe; or name"
    )
    with pytest.raises(ConfigError, match=message):
        recipes.load("nope")


def test_a_name_does_not_climb_out_of_the_recipes() -> None:
    with pytest.raises(ConfigError, match="found no such recipe"):
        recipes.load("../recipes/demo")


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (
            "feed.batchsize=64",
            r"demo: feed\.batchsize: expected a known key, found 64; known here: batch_size, ",
        ),
        (
            "speed=1",
            r"demo: speed: expected a known key, found 1; known here: checkpoints, ",
        ),
        ("model.depth=8", r"known here: activation, conv1_order, "),
        (
            "schedule.changes=[{epoch=0, weights=0.1, biases=0.1, rate=1}]",
            r"schedule\.changes\.0\.rate: .* known here: biases, epoch, ",
        ),
        ("feed.batch_size=many", r"feed\.batch_size: expected a valid integer, found 'many'; mend"),
        ("feed.batch_size=64.5", r"feed\.batch_size: expected a valid integer.*, found 64\.5"),
        ("feed.batch_size=true", r"feed\.batch_size: expected a valid integer, found True"),
        ("feed.reflect=1", r"feed\.reflect: expected a valid boolean, found 1"),
        ("feed.reflect=yes", r"feed\.reflect: expected a valid boolean, found 'yes'"),
        ('model.width="1.0"', r"model\.width: expected a valid number, found '1\.0'"),
        ("model=5", r"demo: model: expected .*, found 5"),
        ("feed.batch_size=0", r"feed\.batch_size: expected greater than or equal to 1, found 0"),
        ("model.width=0", r"model\.width: expected greater than 0, found 0"),
        ("model.side=7", r"model\.side: expected greater than or equal to 8, found 7"),
        ("optimiser.momentum=1.0", r"optimiser\.momentum: expected less than 1, found 1"),
        ("noise.scale=nan", r"noise\.scale: expected a finite number, found nan"),
        ("noise.scale=inf", r"noise\.scale: expected .*, found inf"),
        ("seed=-1", r"seed: expected greater than or equal to 0, found -1"),
        (f"seed={1 << 63}", r"seed: expected less than 9223372036854775808"),
        ("feed.order=random", r"feed\.order: expected 'shuffled' or 'fixed', found 'random'"),
        ("feed.draws=group32", r"feed: expected draws = 'group32' needs order = 'fixed', found"),
        ("schedule.changes=[]", r"schedule: expected the first change must be at epoch 0"),
    ],
)
def test_a_wrong_setting_is_named_with_its_key(setting: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        recipes.load("demo", (setting,))


@pytest.mark.parametrize(
    "changes",
    [
        "[{epoch=1, weights=0.1, biases=0.1}]",
        "[{epoch=0, weights=0.1}]",
        "[{epoch=0, biases=0.1}]",
        "[{epoch=0, weights=0.1, biases=0.1, layers=['conv1']}]",
    ],
)
def test_a_schedule_starts_at_epoch_0_with_both_rates(changes: str) -> None:
    with pytest.raises(ConfigError, match="the first change must be at epoch 0 and set weights"):
        recipes.load("demo", (f"schedule.changes={changes}",))


def test_a_schedule_rises() -> None:
    text = "[{epoch=0, weights=0.1, biases=0.1}, {epoch=5}, {epoch=4}]"
    with pytest.raises(ConfigError, match="changes must be in order of their epochs"):
        recipes.load("demo", (f"schedule.changes={text}",))


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    name = written(tmp_path, SHORTEST.replace('source = "ours"', ""))
    with pytest.raises(ConfigError, match=r"own\.toml: source: expected a value, found none; add"):
        recipes.load(name)


@pytest.mark.parametrize(
    ("setting", "key", "value"),
    [
        ("seed=7", "seed", 7),
        (" seed = 7 ", "seed", 7),
        ("feed.order=fixed", "order", "fixed"),
        ("feed.order='fixed'", "order", "fixed"),
        ("feed.reflect=false", "reflect", False),
        ("noise.scale=1e-3", "scale", 1e-3),
        ("noise.scale=1", "scale", 1.0),
        ("source=a=b, c", "source", "a=b, c"),
        ("expected=", "expected", ""),
        ("name=2012-01-01", "name", "2012-01-01"),
    ],
)
def test_a_setting_is_toml_or_text(setting: str, key: str, value: object) -> None:
    found = recipes.load("demo", (setting,)).model_dump()
    held = {**found, **found["feed"], **found["noise"]}
    assert held[key] == value
    assert type(held[key]) is type(value)


def test_the_last_of_two_settings_stands() -> None:
    assert recipes.load("demo", ("seed=3", "seed=4")).seed == 4


def test_a_setting_does_not_reach_the_next_load() -> None:
    recipes.load("demo", ("model.side=100", "feed.batch_size=3"))
    assert recipes.load("demo").model.side == 112
    assert recipes.load("demo").feed.batch_size == 32


@pytest.mark.parametrize("setting", ["seed", "", "=5", " = 5"])
def test_a_setting_without_path_or_value_is_refused(setting: str) -> None:
    with pytest.raises(ConfigError, match=r"--set .*: expected path=value, found .*; as in feed"):
        recipes.load("demo", (setting,))


@pytest.mark.parametrize("setting", ["seed.more=1", "schedule.changes.0.weights=0.1"])
def test_a_setting_below_a_value_is_refused(setting: str) -> None:
    with pytest.raises(ConfigError, match="expected a key of the recipe, found"):
        recipes.load("demo", (setting,))


def test_the_short_names_are_keys_of_the_recipe() -> None:
    settings = tuple(f"{path}=3" for path in recipes.SHORT.values())
    assert len(recipes.difference(recipes.load("demo"), recipes.load("demo", settings))) == 3


def test_a_file_is_a_recipe(tmp_path: Path) -> None:
    found = recipes.load(written(tmp_path, SHORTEST))
    assert (found.name, found.schedule.epochs, found.feed.batch_size) == ("own", 1, 128)


def test_a_file_may_stand_on_a_shipped_recipe(tmp_path: Path) -> None:
    text = 'base = "demo"\nname = "own"\n[feed]\nbatch_size = 5\n'
    own, demo = recipes.load(written(tmp_path, text)), recipes.load("demo")
    changed = ["feed.batch_size: 32 -> 5", "name: 'demo' -> 'own'"]
    assert recipes.difference(demo, own) == changed


def test_bases_are_files_beside_the_file_that_names_them(tmp_path: Path) -> None:
    written(tmp_path, SHORTEST + "[feed]\nbatch_size = 6\nreflect = false\n", "deep/first.toml")
    written(tmp_path, 'base = "first.toml"\n[feed]\nbatch_size = 7\n', "deep/second.toml")
    found = recipes.load(written(tmp_path, 'base = "deep/second.toml"\nseed = 9\n'))
    assert (found.seed, found.feed.batch_size, found.feed.reflect) == (9, 7, False)


@pytest.mark.parametrize(
    "base", ["own.toml", "./own.toml", "{folder}/own.toml", "../{name}/own.toml"]
)
def test_a_recipe_that_is_its_own_base_is_refused(tmp_path: Path, base: str) -> None:
    base = base.format(folder=tmp_path, name=tmp_path.name)
    name = written(tmp_path, f'base = "{base}"')
    with pytest.raises(
        ConfigError, match=r"expected a base that ends, found .*own.toml -> .*remove"
    ):
        recipes.load(name)


def test_a_circle_of_two_is_refused(tmp_path: Path) -> None:
    written(tmp_path, 'base = "own.toml"', "other.toml")
    with pytest.raises(
        ConfigError, match=r"own\.toml -> .*other\.toml -> .*own\.toml; remove the c"
    ):
        recipes.load(written(tmp_path, 'base = "other.toml"'))


def test_an_unknown_base_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="recipe '5': expected one of"):
        recipes.load(written(tmp_path, "base = 5"))


def test_a_missing_file_lists_the_names(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"a recipe file, found .*No such file.*one of: .*demo"):
        recipes.load(str(tmp_path / "none.toml"))


@pytest.mark.parametrize("content", [b"name = ", b"\xff\xfe", b"seed = 1\nseed = 2"])
def test_a_file_that_is_no_toml_is_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "own.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"own\.toml: expected .*; "):
        recipes.load(str(path))
    with pytest.raises(ConfigError, match=r"own\.toml: expected .*; "):
        recipes.read(path)


def test_a_resolved_file_that_is_missing_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"recipe\.toml: expected "):
        recipes.read(tmp_path / "recipe.toml")


@pytest.mark.parametrize("name", recipes.names())
def test_a_dumped_recipe_reads_back_equal(name: str, tmp_path: Path) -> None:
    found = recipes.load(name, ("seed=12345678901234567", "noise.scale=0.1234567890123"))
    path = tmp_path / "recipe.toml"
    path.write_text(recipes.dump(found))
    assert recipes.read(path) == found
    assert recipes.load(str(path)) == found
    assert recipes.dump(recipes.read(path)) == path.read_text()


def test_a_dumped_recipe_is_resolved() -> None:
    table = tomllib.loads(recipes.dump(recipes.load("demo")))
    assert "base" not in table
    assert set(table) == set(Recipe.model_fields)
    assert table["optimiser"]["weight_decay"] == 0.0005


@given(st.integers(0, (1 << 63) - 1), st.floats(0, 10), st.text().filter(str.isprintable))
def test_values_survive_the_way_to_toml_and_back(seed: int, scale: float, text: str) -> None:
    table = recipes.load("demo").model_dump(mode="json", exclude_none=True)
    table |= {"seed": seed, "source": text, "noise": {"scale": scale}}
    found = recipes.parse(table, "made")
    again = recipes.parse(tomllib.loads(recipes.dump(found)), "dumped")
    assert again == found
    assert (again.seed, again.source, again.noise.scale) == (seed, text, scale)


def test_a_recipe_is_frozen() -> None:
    found = recipes.load("demo")
    with pytest.raises(ValidationError, match="frozen"):
        found.seed = 2
    with pytest.raises(ValidationError, match="frozen"):
        found.feed.batch_size = 2


def test_equal_recipes_have_no_difference() -> None:
    assert recipes.difference(recipes.load("demo"), recipes.load("demo")) == []
