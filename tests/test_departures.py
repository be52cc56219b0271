"""Departures from net 145: none for itself, one line for each changed number."""

from typing import Any

import pytest

from alexrep.config import departures, recipes

SPEED = (*("channels_last", "compile", "kernels", "deterministic", "form", "towers", "accumulate"),)
NEUTRAL = (
    *("name", "source", "expected", "time", "command", "seed", "checkpoints.", "log."),
    *(f"compute.{key}" for key in SPEED),
    "compute.batch_statistics",  # net 145 has none
)
"""What may differ between runs of net 145."""

LINES = {
    "model.conv1=[5,2]": "conv1, side and stride: 5, 2; net 145: 11, 4",
    'model.conv1_order="relu-lrn-pool"': "D1 conv1 order: relu-lrn-pool; net 145: lrn-pool-relu",
    "model.conv2_within_map=false": (
        "D2 normalisations of conv2: across maps; net 145: across maps, then within maps"
    ),
    "model.conv2_norm=false": (
        "D2 normalisations of conv2: within maps; net 145: across maps, then within maps"
    ),
    'model.initialisation="paper"': (
        "D3 initial deviations: 0.01; net 145: 0.01, in conv3 to conv5 0.03"
    ),
    'model.norm="paper"': (
        "D4 normalisation: k = 2, alpha = 1e-4; net 145: k = 2, alpha = 1e-4 / 5"
    ),
    'model.norm_scope="joint"': "normalised over: both towers' maps; net 145: one tower's maps",
    "model.std_factor=2": "factor on the initial deviations: 2; net 145: 1",
    'model.pool="2/2"': "pools, side/stride: 2/2; net 145: 3/2",
    'model.activation="tanh"': "activation: tanh; net 145: relu",
    "model.num_towers=1": "towers: 1; net 145: 2",
    "model.width=0.5": "width: 0.5; net 145: 1",
    "model.side=227": "side of the patch: 227; net 145: 224",
    "model.padding={conv2=1,conv5=0}": (
        "zeros around the maps: conv2 1, conv5 0; net 145: 2 in conv2, 1 in conv3 to conv5"
    ),
    "model.kernels={conv2=160}": (
        "kernels of a tower: conv2 160; net 145: 128, 192, 192 and 128 in conv2 to conv5"
    ),
    'model.crossings=["fc6"]': (
        "layers that read both towers: fc6, fc8; net 145: conv3, fc6, fc7, fc8"
    ),
    'model.doubled=["conv5","fc6"]': "layers of double width: conv5, fc6; net 145: none",
    'model.without=["conv3","fc7"]': "layers left out: conv3, fc7; net 145: none",
    'model.dropout="inverted"': "dropout: inverted; net 145: mask",
    'model.name="cifar10-80sec"': "another network: cifar10-80sec; net 145: alexnet",
    "prepared_side=128": "side of the prepared images: 128; net 145: 256",
    'start.weights="runs/other"': "initial weights: another network's; net 145: drawn",
    'start={weights="a",fresh=["fc8"]}': (
        "initial weights: another network's, but drawn in fc8; net 145: drawn"
    ),
    'input.kind="mean-colour"': (
        "input: grey levels less the mean colour, the data's own; "
        "net 145: grey levels less the mean image"
    ),
    'input={kind="mean-std",mean=[0.5,0.4,0.3]}': (
        "input: pixels from 0 to 1 less the mean colour, 0.5, 0.4, 0.3, divided by the data's own; "
        "net 145: grey levels less the mean image"
    ),
    'input={kind="none",range="unit"}': (
        "input: pixels from 0 to 1; net 145: grey levels less the mean image"
    ),
    "feed.batch_size=256": "batch size: 256; net 145: 128",
    'feed.draws="image"': "draws per: image; net 145: group32",
    "feed.reflect=false": "reflections: none; net 145: yes",
    'feed.mean="crop"': "mean image at: crop; net 145: centre",
    'feed.channels="bgr"': "channels: bgr; net 145: rgb",
    "feed.shuffle_labels=true": "labels: permuted; net 145: true",
    "noise.scale=0.2": "colour noise, scale: 0.2; net 145: 0.1",
    "noise.divide=false": "division of noisy patches: none; net 145: by 1 + scale",
    'augmentations=[{kind="patch"},{kind="reflection"},{kind="colour-noise",divide=true}]': (
        "augmentations: patch; reflection 0.5; colour-noise 0.1 (listed); net 145: none"
    ),
    "optimiser.momentum=0.8": "momentum: 0.8; net 145: 0.9",
    "optimiser.weight_decay=0": "weight decay: 0; net 145: 0.0005",
    "optimiser.decay_biases=true": "decay of biases: yes; net 145: none",
    "optimiser.bias_decay=0.1": "decay of biases of their own: 0.1; net 145: 0",
    "optimiser.l1=0.1": "L1 decay: 0.1; net 145: 0",
    "optimiser.clip_norm=5": "longest gradient: 5; net 145: any",
    "optimiser.decay_norms=true": "decay of normalisations: yes; net 145: none",
    "optimiser.layer_decays={fc8=0.1}": "decays of single layers: fc8 0.1; net 145: none",
    "schedule.epochs=90": "epochs: 90; net 145: 91",
    'schedule.stop={metric="val_loss"}': "early stop: val_loss; net 145: none",
    "limits.batches=1": "batches in the training set: 1; net 145: all",
    "limits.steps=10": "steps in an epoch: 10; net 145: all",
    'limits.classes=["n01"]': "classes: n01; net 145: all",
    'compute.precision="bf16"': "precision: bf16; net 145: fp32",
    "compute.ema=0.99": "running average of weights: 0.99; net 145: 0",
}
"""The line printed for each single change."""


def of(*settings: str) -> list[str]:
    return departures.of(recipes.load("alexnet-2012", settings))


def leaves(table: dict[str, Any], prefix: str = "") -> list[str]:
    keys = []
    for key, value in table.items():
        inner = leaves(value, f"{prefix}{key}.") if isinstance(value, dict) and value else []
        keys += inner or [prefix + key]
    return keys


def test_net_145_does_not_depart_from_itself() -> None:
    assert of() == []


@pytest.mark.parametrize("setting", LINES)
def test_one_change_is_one_line(setting: str) -> None:
    assert of(setting) == [LINES[setting]]


def test_a_sixth_convolution_reads_both_towers() -> None:
    assert of("model.conv6=true") == [
        "sixth convolution: yes; net 145: none",
        "layers that read both towers: conv3, conv6, fc6, fc7, fc8; net 145: conv3, fc6, fc7, fc8",
    ]


def test_another_order_brings_other_draws() -> None:
    assert of('feed.order="shuffled"', 'feed.draws="image"') == [
        "order of the images: shuffled; net 145: fixed",
        "draws per: image; net 145: group32",
    ]


def test_the_initialisation_of_caffe_has_other_biases_too() -> None:
    assert of('model.initialisation="caffe"') == [
        "D3 initial deviations: 0.01, in fc6 and fc7 0.005; net 145: 0.01, in conv3 to conv5 0.03",
        "initial biases: 0.1 {0}; net 145: 1 {0}".format("in conv2, conv4, conv5, fc6 and fc7"),
    ]


def test_no_normalisation_is_none_over_conv2_either() -> None:
    assert of('model.norm="none"') == [
        "D2 normalisations of conv2: none; net 145: across maps, then within maps",
        "D4 normalisation: none; net 145: k = 2, alpha = 1e-4 / 5",
    ]


def test_every_field_is_a_point_or_neutral() -> None:
    fields = leaves(recipes.load("alexnet-2012").model_dump())
    covered = (
        *(setting.partition("=")[0] for setting in LINES),
        "feed.order",
        "model.conv6",
        "start",
        "augmentation_order",
        "optimiser.name",
        "schedule.",
    )
    assert [field for field in fields if not field.startswith((*covered, *NEUTRAL))] == []


@pytest.mark.parametrize(
    "setting",
    ["seed=2", "compute.compile=true", "compute.accumulate=4", "checkpoints.every_steps=5"],
)
def test_what_changes_no_expectation_is_no_departure(setting: str) -> None:
    assert of(setting) == []


def test_rates_name_the_first_epoch_that_differs() -> None:
    later = "schedule.changes=[{epoch=0,weights=0.01,biases=0.02},{epoch=30,weights=0.001}]"
    assert of(later) == [
        "rate of weights from epoch 25: 0.01; net 145: 0.001",
        "D5 rates of single layers from epoch 67: none; net 145: conv1 1e-05 and 0.02",
        "colour noise from epoch 67: on; net 145: off",
    ]


def test_a_plateau_is_named_by_its_rule() -> None:
    curve = '{kind="plateau",start=0.01,factor=0.1,patience=3}'
    both = f"schedule={{epochs=91,weights={curve},biases={curve},changes=[]}}"
    rule = "0.01, times 0.1 on a plateau of the val error"
    assert of(both)[:2] == [
        f"rate of weights from epoch 0: {rule}; net 145: 0.01",
        f"D5 rate of biases from epoch 0: {rule}; net 145: 0.02",
    ]


def test_without_noise_neither_its_division_nor_its_end_is_in_question() -> None:
    assert of("noise.scale=0", "noise.divide=false") == [
        "colour noise, scale: 0; net 145: 0.1",
        "colour noise from epoch 0: off; net 145: on",
    ]


def test_one_tower_has_no_joint_normalisation() -> None:
    assert of("model.num_towers=1", 'model.norm_scope="joint"') == ["towers: 1; net 145: 2"]


def test_a_shorter_run_is_compared_as_far_as_it_goes() -> None:
    assert of("schedule.epochs=10") == ["epochs: 10; net 145: 91"]


def test_images_depart_by_geometry_quality_and_a_filter_that_nobody_knows() -> None:
    assert departures.of_data("crop", 85, "bicubic") == [
        "filter of rescaling: bicubic; 2012: not known"
    ]
    assert departures.of_data("squash", 95, "bicubic")[:2] == [
        "geometry: squash; 2012: crop",
        "JPEG quality: 95; 2012: 85, as a folder's name suggests",
    ]
    assert departures.of_data("crop", None, None) == [
        "JPEG quality: not recorded; 2012: 85, as a folder's name suggests",
        "filter of rescaling: not recorded; 2012: not known",
    ]
