"""Writes a trained network as other programs read it: weights, layers, rule of input, card.

`runs/exported.py` has the format, and reads it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from pydantic import JsonValue
from torch import Tensor

from alexrep import __version__, files
from alexrep.config import departures
from alexrep.config.recipe import Recipe
from alexrep.errors import DataError, examples, mismatch
from alexrep.evaluation import text
from alexrep.evaluation.evaluate import probabilities
from alexrep.feed.constants import UNCHANGED
from alexrep.pixels import rescale
from alexrep.runs import description, exported, results, trained
from alexrep.runs.exported import CARD, CONFIG, MEAN, NETWORK, ONNX, WEIGHTS, Exported, InputRule
from alexrep.runs.folder import RunFolder
from alexrep.runs.trained import Trained
from alexrep.weights import calls, card, onnx_file

SHOWN = (
    *("split", "views", "labels", "average", "wnids", "num_images", "num_quarantined"),
    *("loss", "top1_error", "top5_error", "top1_interval", "top5_interval"),
)
"""Fields of a result that `config.json` keeps."""
PROGRAM = f"alexrep {__version__}"
TOLERANCE = 1e-5
"""Largest difference between the run's probabilities and those of what is written."""


@dataclass(frozen=True)
class Export:
    """What is to be written."""

    trained: Trained
    config: Exported
    """Without digests of files."""
    with_onnx: bool


def survey(run: RunFolder, which: str, license_id: str | None, with_onnx: bool) -> Export:
    """Gather what makes the export of a run's checkpoint.

    Args:
        run: The run.
        which: "last" or "best".
        license_id: License of the weights, as a hub names it.
        with_onnx: Whether to write `model.onnx`, too.

    Raises:
        DataError: If it is no run, the checkpoint is missing or damaged, a weight is not finite,
            or a result is damaged.
    """
    if run.is_exported:
        wanted, advice = "a run", "name the run that it was exported from"
        raise DataError(mismatch(run.path, wanted, "an exported network", advice))
    recipe, network = run.read_recipe(), trained.load(run.checkpoint(which))
    images = run.read_data()
    _require_finite(network)
    config = Exported(
        program=PROGRAM,
        name=recipe.name,
        license=license_id,
        edition=images.get("edition"),
        checkpoint=which,
        epoch=network.epoch,
        mid_epoch_step=network.mid_epoch_step,
        weights=network.weights,
        num_parameters=sum(parameter.numel() for parameter in network.model().parameters()),
        recipe=json.loads(_published(recipe).model_dump_json(exclude_none=True)),
        departures=[
            *departures.of(recipe),
            *description.departures_of_images(run),
            *departures.OF_THE_PROGRAM,
        ],
        classes=_rows(network),
        input=_input_rule(network, images),
        errors=_errors(run, network),
    )
    return Export(network, config, with_onnx)


def find(export: Export, out: Path) -> Exported | None:
    """Return what was exported to `out` before, if it is the same and whole; None if out is free.

    Raises:
        DataError: If `out` holds anything else, or what was exported has changed since.
    """
    if not out.is_symlink() and not out.exists():
        return None
    if not out.is_dir():
        raise DataError(mismatch(out, "a folder, or nothing yet", "a file", "name another"))
    if not any(out.iterdir()):
        return None
    advice = "remove it, or name another folder"
    if not RunFolder(out).is_exported:
        inside = sorted(path.name for path in out.iterdir())
        found = f"{inside[0]} and {len(inside) - 1} more" if len(inside) > 1 else inside[0]
        raise DataError(mismatch(out, "an empty folder, or none", found, "name another folder"))
    there = exported.read(out)
    exported.verify(out, there)
    plain = there.model_copy(update={"files": {}, "digest": "", "program": export.config.program})
    differing = _differing(export, plain, ONNX in there.files)
    if differing:
        wanted = "the export of these weights and results"
        found = f"one with other {examples(differing)}"
        raise DataError(mismatch(out, wanted, found, advice))
    return there


def _differing(export: Export, there: Exported, has_onnx: bool) -> list[str]:
    """Name what differs in the export that is there from the one that is to be made."""
    ours, theirs = export.config.model_dump(), there.model_dump()
    names = {key: key for key in ours if ours[key] != theirs[key]}
    if "weights" in names:
        names["weights"] = f"weights (of {results.moment(there.epoch, there.mid_epoch_step)})"
    if "errors" in names:
        mine, others = ours["errors"], theirs["errors"]
        scored = sorted(mine.keys() | others.keys())
        which = [name for name in scored if mine.get(name) != others.get(name)]
        names["errors"] = f"errors ({', '.join(which)})"
    if "license" in names:
        names["license"] = f"license ({there.license or 'none'})"
    if has_onnx != export.with_onnx:
        names["files"] = f"files ({'with' if has_onnx else 'without'} {ONNX})"
    return list(names.values())


def write(export: Export, out: Path) -> Exported:
    """Write the folder, whole or not at all, after computing with what is in it.

    Returns:
        What it is, with the digests of its files.

    Raises:
        DataError: If the network cannot be written so, or what is written differs from it.
        OSError: If the disk is full, or the folder has come into being meanwhile.
    """
    program, names = calls.trace(export.trained), [WEIGHTS, MEAN, NETWORK]
    with files.whole_folder(out) as part:
        # In memory first: save_file would not say of a full disk what the system says.
        weights = safetensors.torch.save(_state(export.trained), {"format": "pt"})
        (part / WEIGHTS).write_bytes(weights)
        np.save(part / MEAN, export.trained.content["inputs"]["mean"].float().numpy())
        (part / NETWORK).write_text(calls.text(calls.calls(program)), encoding="utf-8")
        if export.with_onnx:
            onnx_file.write(program, part / ONNX, export.config)
            names.append(ONNX)
        _check(export, part)
        config = export.config.sealed({name: files.sha256_file(part / name) for name in names})
        (part / CARD).write_text(card.render(config), encoding="utf-8")
        files.write_json(part / CONFIG, config.model_dump(mode="json"))
    return config


@torch.no_grad()
def _check(export: Export, folder: Path) -> None:
    """Refuse what does not give the run's own probabilities."""
    network = export.trained
    pixels = np.random.default_rng(1).integers(0, 256, (3, network.side, network.side, 3), np.uint8)
    images = torch.from_numpy(pixels)
    expected = probabilities(network.model().eval(), images, "centre", network.inputs())
    computed = {NETWORK: calls.run(folder, images)}
    if export.with_onnx:
        computed[ONNX] = torch.from_numpy(onnx_file.run(folder / ONNX, pixels))
    for name, out in computed.items():
        difference = float((out - expected).abs().max())
        if not difference <= TOLERANCE:
            wanted = f"the run's probabilities within {TOLERANCE:g}"
            found, advice = f"a difference of {difference:g}", "update PyTorch, or report it"
            raise DataError(mismatch(name, wanted, found, advice))


def _require_finite(network: Trained) -> None:
    for name, tensor in network.content["state_dict"].items():
        if not bool(torch.isfinite(tensor).all()):
            found, advice = f"others in {name}", "name another checkpoint, or train another run"
            raise DataError(mismatch(network.path, "finite weights", found, advice))


def _published(recipe: Recipe) -> Recipe:
    """Return a recipe without the path of the weights that it started from."""
    if recipe.start is None:
        return recipe
    return recipe.model_copy(update={"start": recipe.start.model_copy(update={"weights": ""})})


def _rows(network: Trained) -> list[dict[str, object]]:
    """Return the class table with the words that are shown."""
    table = network.classes
    rows = zip(table.rows(), table.synsets, strict=True)
    return [row | {"words": synset.shown_words} for row, synset in rows]


def _input_rule(network: Trained, images: Mapping[str, Any]) -> InputRule:
    red, green, blue = network.content["inputs"]["mean"].double().mean(dim=(0, 1)).tolist()
    return InputRule(
        prepared_side=network.side,
        geometry=network.geometry,
        quality=images.get("quality"),
        resampling=images.get("filter") or rescale.FILTER,
        side=network.recipe.model.side,
        mean=network.recipe.feed.mean,
        mean_colour=(red, green, blue),
        channels=network.recipe.feed.channels,
        scale=1 if network.factors == UNCHANGED else network.factors,
    )


def _errors(run: RunFolder, network: Trained) -> dict[str, dict[str, JsonValue]]:
    """Return the errors of these weights, and of no others."""
    kept = {
        name: {"scored": text.views_of(result)} | {key: getattr(result, key) for key in SHOWN}
        for name, result in results.read_all(run.path).items()
        if result.weights == network.weights and result.top1_error is not None
    }
    plain: dict[str, dict[str, JsonValue]] = json.loads(files.to_json(kept))
    return plain


def _state(network: Trained) -> dict[str, Tensor]:
    """Return the weights that eval computes with, as the format wants them."""
    state = network.model().state_dict()
    return {name: tensor.detach().contiguous() for name, tensor in state.items()}
