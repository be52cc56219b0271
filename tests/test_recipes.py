"""Recipes: what is refused and how, bases, settings on top, TOML round trip."""

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from alexrep.config import overrides, recipes
from alexrep.config.curves import Step
from alexrep.config.model import AlexNetModel, CifarModel
from alexrep.config.optimiser import Momentum2012Rule
from alexrep.config.recipe import OWN, Recipe, Start
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
    recipe = recipes.load("alexnet-2012")
    assert recipe.model == AlexNetModel(side=224, width=1, std_factor=1)
    assert (recipe.feed.batch_size, recipe.feed.order, recipe.feed.draws) == (
        128,
        "fixed",
        "group32",
    )
    assert recipe.optimiser == Momentum2012Rule(momentum=0.9, weight_decay=0.0005)
    assert (recipe.noise.scale, recipe.noise.divide) == (0.1, True)
    first = recipe.schedule.changes[0]
    assert (first.weights, first.biases, recipe.schedule.epochs) == (0.01, 0.02, 91)


def test_every_shipped_recipe_is_valid_and_goes_by_its_name() -> None:
    assert {"alexnet-2012", "demo"} <= set(recipes.names())
    assert recipes.names() == sorted(recipes.names())
    assert [recipes.load(name).name for name in recipes.names()] == recipes.names()


def test_a_recipe_holds_only_its_differences_from_its_base() -> None:
    base, demo = recipes.load("alexnet-2012"), recipes.load("demo")
    changed = {line.partition(":")[0] for line in recipes.difference(base, demo)}
    assert {"model.side", "model.width", "feed.order", "schedule.epochs"} <= changed
    assert not {"model.name", "noise.scale", "optimiser.momentum"} & changed


def test_an_unknown_recipe_is_told_what_lists_all() -> None:
    message = (
        r"recipe 'nope': expected a recipe that ships with alexrep, or a \.toml file, "
        r"found no such recipe; alexrep recipes lists them all$"
    )
    with pytest.raises(ConfigError, match=message):
        recipes.load("nope")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("alexnet-2102", "alexnet-2012"),
        ("dmeo", "demo"),
        ("cifar10_80sec", "cifar10-80sec"),
        ("alexnet", "alexnet-2012 or "),
    ],
)
def test_a_misspelt_recipe_is_asked_about(name: str, meant: str) -> None:
    with pytest.raises(ConfigError, match=rf"found no such recipe; did you mean {meant}"):
        recipes.load(name)


def test_a_name_does_not_climb_out_of_the_recipes() -> None:
    with pytest.raises(ConfigError, match="found no such recipe"):
        recipes.load("../recipes/demo")


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (
            "feed.batchsize=64",
            r"demo: feed\.batchsize: expected a key of feed, found 'batchsize'; did you mean b",
        ),
        (
            "speed=1",
            r"demo: speed: expected a key of the recipe, found 'speed'; did you mean seed\?",
        ),
        ("model.depth=8", r"a key of model, found 'depth'; keys: name, side, width, std_factor, "),
        ("optimiser.betas=8", r"a key of optimiser, found 'betas'; keys: name, weight_decay, "),
        (
            "batch_size=8",
            r"a key of the recipe, found 'batch_size'; did you mean feed\.batch_size\?",
        ),
        ("momentum=0.8", r"found 'momentum'; did you mean optimiser\.momentum\?"),
        ("feeds.batch_size=8", r"feeds: expected a key of the recipe, .* did you mean feed\?"),
        (
            "schedule.stop={metric='val_loss', wait=3}",
            r"stop\.wait: expected a key of schedule\.stop",
        ),
        (
            "schedule.weights={kind='step', start=0.1, factor=0.1, evry=2}",
            r"weights\.evry: expected a key of schedule\.weights, .* did you mean every\?",
        ),
        (
            "schedule.weights={kind='stp', start=0.1}",
            r"weights\.kind: expected one of cosine, .*found 'stp'; did you mean step\?",
        ),
        (
            "schedule.weights={start=0.1}",
            r"weights\.kind: expected a value, found none; add the key",
        ),
        (
            "model.name=alexnt",
            r"model\.name: expected one of alexnet, .*, found 'alexnt'; did you mean alexnet\?",
        ),
        ("optimiser.name=lion", r"name: expected one of adam, adamw, .*, found 'lion'; choose one"),
        (
            "schedule.changes=[{epoch=0, weights=0.1, biases=0.1, rate=1}]",
            r"schedule\.changes\.0\.rate: expected a key of schedule\.changes\.0, .*keys: epoch, ",
        ),
        ("feed.batch_size=many", r"feed\.batch_size: expected a valid integer, found 'many'; mend"),
        ("feed.batch_size=64.5", r"feed\.batch_size: expected a valid integer.*, found 64\.5"),
        ("feed.batch_size=true", r"feed\.batch_size: expected a valid integer, found True"),
        ("feed.reflect=1", r"feed\.reflect: expected a valid boolean, found 1"),
        ("feed.reflect=yes", r"feed\.reflect: expected a valid boolean, found 'yes'"),
        ('model.width="1.0"', r"model\.width: expected a valid number, found '1\.0'"),
        ("model=5", r"demo: model: expected a table, found 5"),
        ("feed=[1]", r"demo: feed: expected a table, found \[1\]"),
        ("optimiser.layer_decays=1", r"optimiser\.layer_decays: expected a table, found 1"),
        ("model.without=conv3", r"model\.without: expected a list, found 'conv3'"),
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
    fields = recipes.load("demo", (setting,)).model_dump()
    values = {**fields, **fields["feed"], **fields["noise"]}
    assert values[key] == value
    assert type(values[key]) is type(value)


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
    own = {"weights": "3", "momentum": 0.3, "weight_decay": 0.3}
    short = {name: own.get(name, 3) for name in overrides.SHORT}
    chosen = recipes.load("demo", overrides.joined(short, ()))
    changed = {line.partition(":")[0] for line in recipes.difference(recipes.load("demo"), chosen)}
    assert changed >= set(overrides.SHORT.values())
    assert chosen.start == Start(weights="3")


def test_a_file_is_a_recipe(tmp_path: Path) -> None:
    recipe = recipes.load(written(tmp_path, SHORTEST))
    assert (recipe.name, recipe.schedule.epochs, recipe.feed.batch_size) == ("own", 1, 128)


def test_a_file_may_stand_on_a_shipped_recipe(tmp_path: Path) -> None:
    text = 'base = "demo"\nname = "own"\n[feed]\nbatch_size = 5\n'
    own, demo = recipes.load(written(tmp_path, text)), recipes.load("demo")
    changed = ["feed.batch_size: 32 -> 5", 'name: "demo" -> "own"']
    lines = recipes.difference(demo, own)
    assert [line for line in lines if not line.startswith(OWN)] == changed


def test_bases_are_files_beside_the_file_that_names_them(tmp_path: Path) -> None:
    written(tmp_path, SHORTEST + "[feed]\nbatch_size = 6\nreflect = false\n", "deep/first.toml")
    written(tmp_path, 'base = "first.toml"\n[feed]\nbatch_size = 7\n', "deep/second.toml")
    recipe = recipes.load(written(tmp_path, 'base = "deep/second.toml"\nseed = 9\n'))
    assert (recipe.seed, recipe.feed.batch_size, recipe.feed.reflect) == (9, 7, False)


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


@pytest.mark.parametrize(
    ("base", "found"),
    [
        ("5", "found 5; alexrep recipes lists them all"),
        (
            '"alexnet-2021"',
            r"found 'alexnet-2021'; did you mean .*alexnet-2012\b.*\? alexrep recipes lists .*",
        ),
        ('["demo"]', r"found \['demo'\]; .*"),
        ('"other.toml"', "found no file {folder}/other.toml; .*"),
    ],
)
def test_an_unknown_base_is_named(tmp_path: Path, base: str, found: str) -> None:
    name = written(tmp_path, f"base = {base}")
    wanted = r"base: expected a recipe that ships with alexrep, or a \.toml file, "
    with pytest.raises(ConfigError, match=f"^{name}: {wanted}{found.format(folder=tmp_path)}$"):
        recipes.load(name)


def test_a_missing_file_is_told_what_lists_the_names(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"a recipe file, found .*No such file.*recipes lists them all"
    ):
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
    recipe = recipes.load(name, ("seed=12345678901234567", "noise.scale=0.1234567890123"))
    path = tmp_path / "recipe.toml"
    path.write_text(recipes.dump(recipe))
    assert recipes.read(path) == recipe
    assert recipes.load(str(path)) == recipe
    assert recipes.dump(recipes.read(path)) == path.read_text()


def test_a_dumped_recipe_is_resolved() -> None:
    table = tomllib.loads(recipes.dump(recipes.load("demo")))
    assert "base" not in table
    assert set(table) == set(Recipe.model_fields) - {"start"}  # which is none
    assert table["optimiser"]["weight_decay"] == 0.0005


@given(st.integers(0, (1 << 63) - 1), st.floats(0, 10), st.text().filter(str.isprintable))
def test_values_survive_the_way_to_toml_and_back(seed: int, scale: float, text: str) -> None:
    table = recipes.load("demo").model_dump(mode="json", exclude_none=True)
    table |= {"seed": seed, "source": text, "noise": {"scale": scale}}
    recipe = recipes.parse(table, "made")
    again = recipes.parse(tomllib.loads(recipes.dump(recipe)), "dumped")
    assert again == recipe
    assert (again.seed, again.source, again.noise.scale) == (seed, text, scale)


def test_a_recipe_is_frozen() -> None:
    recipe = recipes.load("demo")
    with pytest.raises(ValidationError, match="frozen"):
        recipe.seed = 2
    with pytest.raises(ValidationError, match="frozen"):
        recipe.feed.batch_size = 2


def test_equal_recipes_have_no_difference() -> None:
    assert recipes.difference(recipes.load("demo"), recipes.load("demo")) == []


def test_what_a_base_says_of_its_own_runs_is_not_said_of_what_stands_on_it(tmp_path: Path) -> None:
    own = recipes.load(written(tmp_path, 'base = "demo"\nname = "own"\n'))
    assert (own.expected, own.time, own.command) == ("", "", "")
    assert own.source == recipes.load("demo").source
    text = 'base = "demo"\nname = "own"\nexpected = "less"\n'
    assert recipes.load(written(tmp_path, text)).expected == "less"


PLATEAU = '{ kind = "plateau", start = 0.1, factor = 0.1, patience = 3 }'
STEP = '{ kind = "step", start = 0.1, factor = 0.5, every = 2 }'


def curves(curve: str) -> str:
    return f"weights = {curve}\nbiases = {curve}\n"


def test_a_curve_of_another_kind_takes_the_place_of_the_bases(tmp_path: Path) -> None:
    head = 'name = "own"\nsource = "ours"\n[schedule]\nepochs = 3\n'
    written(tmp_path, head + curves(PLATEAU), "first.toml")
    recipe = recipes.load(written(tmp_path, f'base = "first.toml"\n[schedule]\n{curves(STEP)}'))
    assert recipe.schedule.weights == Step(kind="step", start=0.1, factor=0.5, every=2)


def test_a_curve_of_the_same_kind_changes_what_it_names(tmp_path: Path) -> None:
    head = 'name = "own"\nsource = "ours"\n[schedule]\nepochs = 3\n'
    written(tmp_path, head + curves(STEP), "first.toml")
    text = 'base = "first.toml"\n[schedule]\nweights = { every = 5 }\n'
    weights = recipes.load(written(tmp_path, text)).schedule.weights
    assert weights == Step(kind="step", start=0.1, factor=0.5, every=5)


@pytest.mark.parametrize("head", ["[model]\nname = 'alexnet'\n", ""])
def test_a_network_of_another_name_takes_the_place_of_the_bases(tmp_path: Path, head: str) -> None:
    own = f"{SHORTEST}[model]\nside = 100\nnum_towers = 1\n".replace(
        "[model]\n", head or "[model]\n"
    )
    written(tmp_path, own, "first.toml")
    text = 'base = "first.toml"\n[model]\nname = "cifar10-80sec"\n'
    assert recipes.load(written(tmp_path, text)).model == CifarModel(name="cifar10-80sec", side=32)


def test_a_table_that_repeats_the_usual_name_is_merged(tmp_path: Path) -> None:
    written(tmp_path, f"{SHORTEST}[model]\nside = 100\n", "first.toml")
    text = 'base = "first.toml"\n[model]\nname = "alexnet"\nwidth = 0.5\n'
    assert recipes.load(written(tmp_path, text)).model == AlexNetModel(side=100, width=0.5)


@pytest.mark.parametrize("order", [1, -1])
def test_another_network_by_a_setting_keeps_what_other_settings_say(order: int) -> None:
    settings = ("model.width=0.5", "model.name=cifar10-80sec")[::order]
    model = recipes.load("demo", settings).model
    assert model == CifarModel(name="cifar10-80sec", width=0.5)


def test_another_curve_by_settings() -> None:
    given = [f"schedule.{which}.{field}" for which in ("weights", "biases") for field in FIELDS]
    curve = recipes.load("alexnet-paper", tuple(given)).schedule.weights
    assert curve == Step(kind="step", start=0.1, factor=0.5, every=2)


FIELDS = ("kind=step", "start=0.1", "factor=0.5", "every=2")


def test_a_table_without_a_name_is_of_the_first_kind(tmp_path: Path) -> None:
    recipe = recipes.load(written(tmp_path, f"{SHORTEST}[model]\nside = 100\n[optimiser]\n"))
    assert (recipe.model, recipe.optimiser) == (AlexNetModel(side=100), Momentum2012Rule())


@pytest.mark.parametrize("value", ["none", "'none'"])
def test_an_optional_field_is_unset_by_a_setting(value: str) -> None:
    assert recipes.load("cifar10-figure1").schedule.stop is not None
    assert recipes.load("cifar10-figure1", (f"schedule.stop={value}",)).schedule.stop is None


def test_an_optional_field_is_unset_in_a_file(tmp_path: Path) -> None:
    text = """
base = "cifar10-figure1"
checkpoints = { every_steps = "none" }
[schedule]
stop = "none"
changes = [{ epoch = 0, weights = 0.1, biases = 0.1, noise = "none" }]
"""
    recipe = recipes.load(written(tmp_path, text))
    assert (recipe.schedule.stop, recipe.checkpoints.every_steps) == (None, None)
    assert recipe.schedule.changes[0].noise is None


def test_none_is_a_value_where_a_field_has_that_one() -> None:
    model = recipes.load("demo", ("model.norm=none", "model.dropout=none")).model
    assert model == recipes.load("demo").model.model_copy(
        update={"norm": "none", "dropout": "none"}
    )


def test_none_is_no_value_of_a_field_that_needs_one() -> None:
    with pytest.raises(ConfigError, match=r"schedule\.epochs: expected a valid integer"):
        recipes.load("demo", ("schedule.epochs=none",))


OLD = """
name = "cifar10-80sec"
side = 32
width = 1.0
std_factor = 1.0
num_towers = 2
initialisation = "code"
activation = "tanh"
conv1_order = "lrn-pool-relu"
norm = "code"
norm_scope = "tower"
conv2_norm = true
conv2_within_map = true
pool = "3/2"
without = []
doubled = []
dropout = "mask"
"""


def test_a_small_net_as_the_first_version_wrote_it_is_read(tmp_path: Path) -> None:
    recipe = recipes.load(written(tmp_path, f"{SHORTEST}[model]\n{OLD}"))
    assert recipe.model == CifarModel(name="cifar10-80sec", activation="tanh")


def test_what_older_plans_lack_is_worth_its_default() -> None:
    recipe = recipes.load("cifar10-80sec")
    fields, defaults = recipes.fields(recipe), recipes.defaults(recipe)
    assert fields["optimiser.name"] == "momentum-2012"
    assert fields["optimiser.layer_decays.fc4"] == 0.03
    assert (defaults["optimiser.name"], defaults["model.pool"]) == ("momentum-2012", "3/2")
    assert defaults["model.without"] == []
    assert "schedule.epochs" not in defaults
