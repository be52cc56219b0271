"""Every field of a recipe is explained."""

import json

import pytest
from typer.testing import CliRunner

from alexrep.config import explain, recipes
from alexrep.config.recipe import Recipe
from alexrep.config.strict import Strict
from alexrep.stages import app

FIELDS = explain.fields()
BY_PATH = {(field.path, field.of[:1]): field for field in FIELDS}


def alexrep(*words: str) -> str:
    result = CliRunner().invoke(app, ["recipes", *words], prog_name="alexrep")
    assert result.exit_code == 0, result.output
    return result.stdout


def test_every_field_has_a_text_and_a_type() -> None:
    assert [field.path for field in FIELDS if not field.text or not field.allowed] == []


def test_types_ranges_and_defaults_are_those_of_the_classes() -> None:
    batch = BY_PATH["feed.batch_size", ()]
    assert (batch.allowed, batch.default) == ("whole number, from 1 to 1,048,576", 128)
    epochs = BY_PATH["schedule.epochs", ()]
    assert (epochs.is_required, epochs.default) == (True, None)
    assert BY_PATH["limits.steps", ()].allowed == "whole number, from 1, or none"
    assert BY_PATH["optimiser.momentum", ("momentum-2012",)].allowed == "number, from 0 below 1"
    assert BY_PATH["model.without", ("alexnet",)].allowed.startswith("list of 'conv3' or 'conv4'")
    size, stride = "whole number, from 1 to 11", "whole number, from 1 to 8"
    assert BY_PATH["model.conv1", ("alexnet",)].allowed == f"list of a {size}, then a {stride}"
    assert BY_PATH["model.padding", ("alexnet",)].allowed.startswith(
        "table of whole number, from 0"
    )


def test_a_field_of_several_curves_names_them() -> None:
    patience = BY_PATH["schedule.weights.patience", ("plateau",)]
    assert patience.of == ("plateau",)
    (kind,) = (field for field in FIELDS if field.path == "schedule.weights.kind")
    assert kind.choices == (
        *("geometric", "step", "milestones", "exponential", "plateau", "cosine", "listed"),
    )
    assert set(kind.of) == set(kind.choices)


@pytest.mark.parametrize("name", recipes.names())
def test_the_fields_of_a_recipe_are_all_there_with_their_values(name: str) -> None:
    recipe = recipes.load(name)
    explained = explain.of_recipe(recipe)
    assert len({field.path for field, _ in explained}) == len(explained)
    assert {field.path: value for field, value in explained} == leaves(recipe)


def leaves(group: Strict, prefix: str = "") -> dict[str, object]:
    """Return the fields of a recipe that are no groups, as JSON; absent groups are left out."""
    found: dict[str, object] = {}
    values = json.loads(group.model_dump_json())
    for name in type(group).model_fields:
        value = getattr(group, name)
        if isinstance(value, Strict):
            found |= leaves(value, f"{prefix}{name}.")
        elif value is not None or name not in ("start", "stop", "warmup", "weights", "biases"):
            found[prefix + name] = values[name]
    return found


def test_the_list_has_every_recipe() -> None:
    lines = alexrep().splitlines()
    assert lines[0].split() == ["recipe", "side", "epochs", "source"]
    assert [line.split()[0] for line in lines[1:]] == recipes.names()
    listed = json.loads(alexrep("--json"))
    assert [recipe["name"] for recipe in listed] == recipes.names()
    assert listed[0]["source"] == recipes.load(recipes.names()[0]).source


def test_a_recipe_is_printed_with_its_values() -> None:
    text = alexrep("alexnet-2012")
    assert "\nfeed.batch_size = 128\n" in text
    assert "\nschedule.changes =\n    { epoch = 0, weights = 0.01, biases = 0.02 }\n" in text
    assert "section 5" not in text.split("prepared_side")[1]


def test_fields_are_explained_below_their_values() -> None:
    text = " ".join(alexrep("alexnet-2012", "--fields").split())
    assert "feed.batch_size = 128 Whole number, from 1 to 1,048,576. Images in a tr" in text
    assert "cifar10" not in text


def test_all_fields_are_explained_without_a_recipe() -> None:
    text = alexrep("--fields")
    assert "\nschedule.epochs: required\n" in text
    assert "\nnoise.scale: default 0.1\n" in text
    assert max(map(len, text.splitlines())) <= 130
    explained = json.loads(alexrep("--fields", "--json"))
    assert {field["path"] for field in explained} >= {"seed", "model.name", "compute.ema"}


def test_the_values_of_a_recipe_are_json_too() -> None:
    fields = json.loads(alexrep("demo", "--json"))
    values = {field["path"]: field["value"] for field in fields}
    assert values["name"] == "demo"
    assert values["schedule.changes"][0]["epoch"] == 0


def test_an_unknown_recipe_is_refused_with_one_that_is_near() -> None:
    result = CliRunner().invoke(app, ["recipes", "alexnet-2021"], prog_name="alexrep")
    assert result.exit_code == 2
    assert "did you mean alexnet-201" in result.stderr


def test_the_class_of_recipes_is_what_is_explained() -> None:
    groups = {field.path.partition(".")[0].removesuffix("[]") for field in FIELDS}
    assert groups == set(Recipe.model_fields)
