"""The list of augmentations: its draws, each step against torchvision, orders, keys.

Shapes: N images of a batch, S side of the stored images, P side of the patch.
"""

import itertools
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional

from alexrep import keyed
from alexrep.config import recipes
from alexrep.config.augmentations import ResizedPatch
from alexrep.config.recipe import Recipe
from alexrep.errors import ConfigError
from alexrep.feed import augment as augmentation
from alexrep.feed import cuts, draws, jitter
from alexrep.feed.augment import augment
from alexrep.feed.draws import Draws
from alexrep.feed.normalise import Inputs, make_inputs

SIDE, PATCH, NUM = 40, 32, 6
RESIZED = '{kind="resized-patch"}'
CUT, MIRROR, NOISE = '{kind="patch"}', '{kind="reflection"}', '{kind="colour-noise"}'
JITTER = '{kind="jitter",brightness=0.4,contrast=0.4,saturation=0.4,hue=0.1}'
STDS = np.array([120.0, 37.0, 20.0])
AXES = np.linalg.qr(np.random.default_rng(2).normal(size=(3, 3)))[0]

pytestmark = pytest.mark.usefixtures("one_thread")


def recipe(*steps: str, order: str = "listed", more: tuple[str, ...] = ()) -> Recipe:
    listed = f"augmentations=[{','.join(steps)}]"
    order = f"augmentation_order={order}"
    return recipes.load("demo", (f"model.side={PATCH}", listed, order, *more))


def inputs_of(chosen: Recipe) -> Inputs:
    mean = np.random.default_rng(3).uniform(90, 140, (SIDE, SIDE, 3)).astype(np.float32)
    noise, feed = chosen.colour_noise, chosen.feed
    words: dict[str, Any] = {"mean": feed.mean, "channels": feed.channels}
    return make_inputs(mean, AXES, STDS, PATCH, noise.scale, noise.divide, **words)


def plain(inputs: Inputs) -> Inputs:
    """Return inputs that subtract nothing: what comes out are the grey levels of the steps."""
    return replace(inputs, mean=torch.zeros_like(inputs.mean), divisor=1.0)


def photographs(num: int = NUM, side: int = SIDE, seed: int = 0) -> Tensor:
    """Return soft colours with some black, white and grey pixels, uint8 (N, S, S, 3)."""
    drawn = np.random.default_rng(seed).integers(0, 256, (num, 8, 8, 3), np.uint8)
    soft = functional.resize(torch.from_numpy(drawn).permute(0, 3, 1, 2), [side, side])
    soft[:, :, :4, :4], soft[:, :, :4, 4:8], soft[:, :, 4:8, :4] = 0, 255, 128
    return soft.permute(0, 2, 3, 1).contiguous()


def grey_levels(chosen: Recipe, images: Tensor, drawn: Draws) -> Tensor:
    """Return what the steps make of the images, float32 (N, 3, P, P)."""
    return augment(images, drawn, plain(inputs_of(chosen)), noisy=True).clone()


# The draws.


@given(st.integers(0, 1000), st.sampled_from([(0.08, 1.0), (0.5, 0.5), (0.01, 0.2)]))
@settings(max_examples=20)
def test_parts_have_the_area_and_ratio_that_were_drawn_and_lie_inside(
    seed: int, scale: tuple[float, float]
) -> None:
    step = ResizedPatch(kind="resized-patch", scale=scale, ratio=(0.5, 2.0))
    rows, columns, heights, widths = draws.parts_of(step, np.arange(200), 64, seed, 3).T
    assert (rows >= 0).all()
    assert (columns >= 0).all()
    assert (rows + heights <= 64).all()
    assert (columns + widths <= 64).all()
    # Sides are rounded: half a pixel each way.
    assert ((heights + 0.5) * (widths + 0.5) >= 64**2 * scale[0]).all()
    assert ((heights - 0.5) * (widths - 0.5) <= 64**2 * scale[1]).all()
    assert ((widths + 0.5) / (heights - 0.5) >= 0.5).all()
    assert ((widths - 0.5) / (heights + 0.5) <= 2).all()


def test_areas_and_logarithms_of_ratios_are_even_and_all_places_are_drawn() -> None:
    step = ResizedPatch(kind="resized-patch", scale=(0.1, 0.4), ratio=(0.5, 2.0))
    rows, _, heights, widths = draws.parts_of(step, np.arange(20_000), 256, 1, 0).T
    area = heights * widths / 256**2
    assert np.allclose(np.quantile(area, [0.25, 0.5, 0.75]), [0.175, 0.25, 0.325], atol=0.004)
    ratio = np.log2(widths / heights)
    assert np.allclose(np.quantile(ratio, [0.25, 0.5, 0.75]), [-0.5, 0, 0.5], atol=0.02)
    assert rows[heights < 100].min() == 0
    assert (rows + heights).max() == 256


@pytest.mark.parametrize("ratio", [(0.75, 4 / 3), (3.0, 4.0), (0.2, 0.25)])
def test_what_never_fits_is_torchvisions_central_part(ratio: tuple[float, float]) -> None:
    scale = (1.0, 1.0) if ratio[0] > 1 or ratio[1] < 1 else (0.999999, 1.0)
    step = ResizedPatch(kind="resized-patch", scale=scale, ratio=ratio)
    peer = v2.RandomResizedCrop(8, scale, ratio)
    wanted = peer.make_params([torch.zeros(3, 64, 64)])
    parts = draws.parts_of(step, np.arange(50), 64, 1, 0)
    central = [wanted[key] for key in ("top", "left", "height", "width")]
    if scale == (1.0, 1.0):
        assert (parts == central).all()
    else:
        assert np.isin(parts[:, 2:], (63, 64)).all()


def test_the_first_try_that_fits_is_taken() -> None:
    step = ResizedPatch(kind="resized-patch", scale=(0.5, 1.0), ratio=(0.25, 4.0))
    parts = draws.parts_of(step, np.arange(300), 64, 7, 2)
    for image, found in enumerate(parts.tolist()):
        for tries in range(10):
            u = [float(keyed.uniform(7, 7, 2, image, tries, key)) for key in range(4)]
            area = 64**2 * (0.5 + 0.5 * u[0])
            ratio = math.exp(math.log(0.25) + (math.log(4) - math.log(0.25)) * u[1])
            width, height = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
            if 0 < width <= 64 and 0 < height <= 64:
                places = int(u[2] * (65 - height)), int(u[3] * (65 - width))
                assert found == [*places, height, width]
                break
        else:
            assert found == [0, 0, 64, 64]


def test_factors_of_the_jitter_are_even_in_their_ranges() -> None:
    wide = '{kind="jitter",brightness=0.4,contrast=2,saturation=0.1,hue=0.25}'
    listed = draws.of_recipe(recipe(CUT, wide), np.arange(5000), SIDE, 0).listed
    assert listed is not None
    ranges = [(0.6, 1.4), (0, 3), (0.9, 1.1), (-0.25, 0.25)]
    for factors, (least, largest) in zip(listed.jitter.T, ranges, strict=True):
        assert least <= factors.min() <= factors.max() <= largest
        assert np.allclose(factors.mean(), (least + largest) / 2, atol=0.05 * (largest - least))
    counted = np.unique(listed.turns, axis=0, return_counts=True)[1]
    assert len(counted) == 24
    assert counted.min() > 150


def test_reflections_come_as_often_as_asked_and_half_of_them_are_those_of_before() -> None:
    numbers = np.arange(4000)
    some = '{kind="reflection",probability=0.2}'
    assert 0.17 < draws.of_recipe(recipe(CUT, some), numbers, SIDE, 0).reflect.mean() < 0.23
    half = draws.of_recipe(recipe(CUT, MIRROR), numbers, SIDE, 0).reflect
    assert (half == (keyed.below(2, 1, 4, 0, numbers) == 1)).all()


# The steps.


@given(st.integers(0, 500))
@settings(max_examples=10)
def test_a_resized_patch_is_torchvisions(seed: int) -> None:
    chosen, images = recipe(RESIZED), photographs(4)
    drawn = draws.of_recipe(chosen, np.arange(4) + seed, SIDE, 0)
    assert drawn.listed is not None
    found = grey_levels(chosen, images, drawn)
    for image, part, patch in zip(images, drawn.listed.parts.tolist(), found, strict=True):
        row, column, height, width = part
        wanted = functional.resized_crop(
            image.permute(2, 0, 1), row, column, height, width, [PATCH, PATCH]
        )
        assert torch.equal(patch, wanted.float())


@pytest.mark.parametrize(("side", "patch"), [(40, 32), (40, 40), (100, 12), (24, 64)])
def test_the_whole_batch_is_resized_like_each_image(side: int, patch: int) -> None:
    images = photographs(8, side)
    step = ResizedPatch(kind="resized-patch")
    parts = torch.from_numpy(draws.parts_of(step, np.arange(8), side, 1, 0))
    parts[0] = torch.tensor([0, 0, side, side])
    one, all_ = cuts.resized(images, parts, patch), cuts.whole_batch(images, parts, patch)
    assert all_.dtype == one.dtype == torch.uint8
    assert (one.int() - all_.int()).abs().max() <= 1
    assert (one != all_).float().mean() < 0.02
    exact, close = (f(images.float(), parts, patch) for f in (cuts.resized, cuts.whole_batch))
    torch.testing.assert_close(close, exact, rtol=1e-5, atol=2e-3)


def by_torchvision(image: Tensor, number: int, factor: float) -> Tensor:
    changes = (
        functional.adjust_brightness,
        functional.adjust_contrast,
        functional.adjust_saturation,
        functional.adjust_hue,
    )
    return changes[number](image, factor)


@given(st.integers(0, 500))
@settings(max_examples=5)
def test_the_jitter_is_torchvisions_for_the_same_factors_and_order(seed: int) -> None:
    images = photographs(24, 16, seed).permute(0, 3, 1, 2).double()
    rng = np.random.default_rng(seed)
    turns = np.array(list(itertools.permutations(range(4))))
    factors = np.stack([*rng.uniform(0.2, 2, (3, 24)), rng.uniform(-0.5, 0.5, 24)], axis=1)
    found = jitter.jitter(images.clone(), torch.from_numpy(factors), turns, range(4))
    for image, row, order, changed in zip(images / 255, factors, turns, found, strict=True):
        for number in order:
            image = by_torchvision(image, number, row[number])  # noqa: PLW2901 (in place)
        # torchvision turns hues in float32, whatever the image is.
        torch.testing.assert_close(changed / 255, image, rtol=0, atol=5e-6)


def test_a_strength_of_zero_is_identity() -> None:
    images, zero = photographs(), '{kind="jitter"}'
    numbers = np.arange(NUM)
    with_zero, without = recipe(CUT, MIRROR, zero), recipe(CUT, MIRROR)
    first = grey_levels(with_zero, images, draws.of_recipe(with_zero, numbers, SIDE, 0))
    assert torch.equal(
        first, grey_levels(without, images, draws.of_recipe(without, numbers, SIDE, 0))
    )
    noisy = recipe(CUT, NOISE, '{kind="jitter",hue=0}')
    drawn = draws.of_recipe(noisy, numbers, SIDE, 0)
    assert grey_levels(noisy, images, drawn).max() > 255


def test_the_list_of_2012_is_the_default_to_the_bit() -> None:
    images, numbers = photographs(), np.arange(NUM)
    noise = '{kind="colour-noise",divide=true}'
    old = recipes.load("demo", (f"model.side={PATCH}",))
    for chosen in (recipe(CUT, MIRROR, noise), recipe(noise, CUT, MIRROR, order="random")):
        found, wanted = (
            augment(images, draws.of_recipe(each, numbers, SIDE, 5), inputs_of(each), noisy=True)
            for each in (chosen, old)
        )
        assert torch.equal(found, wanted)


def test_steps_come_in_the_order_of_the_list() -> None:
    images, numbers = photographs(), np.arange(NUM)
    before, after = recipe(JITTER, CUT), recipe(CUT, JITTER)
    drawn = draws.of_recipe(before, numbers, SIDE, 0)
    assert drawn.listed is not None
    planes = images.permute(0, 3, 1, 2).float()
    factors = torch.from_numpy(drawn.listed.jitter)
    whole = jitter.jitter(planes, factors, drawn.listed.turns, range(4))
    for number, (row, column) in enumerate(drawn.offsets.tolist()):
        patch = whole[number, :, row : row + PATCH, column : column + PATCH]
        torch.testing.assert_close(grey_levels(before, images, drawn)[number], patch)
    other = grey_levels(after, images, draws.of_recipe(after, numbers, SIDE, 0))
    assert not torch.allclose(grey_levels(before, images, drawn), other)


def test_a_random_order_moves_all_but_the_patch_and_each_image_has_its_own() -> None:
    chosen = recipe(MIRROR, RESIZED, JITTER, NOISE, order="random")
    listed = draws.of_recipe(chosen, np.arange(2000), SIDE, 0).listed
    assert listed is not None
    assert (listed.order[:, 1] == 1).all()
    orders, counted = np.unique(listed.order, axis=0, return_counts=True)
    free = {tuple(order) for order in orders[:, [0, 2, 3]].tolist()}
    assert free == set(itertools.permutations((0, 2, 3)))
    assert counted.min() > 250


LISTS = (
    (RESIZED, MIRROR),
    (CUT, MIRROR, JITTER, NOISE),
    (RESIZED, NOISE, JITTER, MIRROR),
    (JITTER, MIRROR, RESIZED),
)


@pytest.mark.parametrize("order", ["listed", "random"])
@pytest.mark.parametrize("steps", LISTS)
def test_the_whole_batch_is_each_image_by_itself(steps: tuple[str, ...], order: str) -> None:
    for more in ((), ("feed.channels=bgr",), ("feed.mean=crop",)):
        if more == ("feed.mean=crop",) and RESIZED in steps:
            continue
        chosen = recipe(*steps, order=order, more=more)
        drawn, inputs = draws.of_recipe(chosen, np.arange(NUM), SIDE, 0), inputs_of(chosen)
        one = augment(photographs(), drawn, inputs, noisy=True)
        out = torch.empty(NUM, PATCH, PATCH, 3)
        augmentation._steps(photographs(), drawn, inputs, True, out)
        torch.testing.assert_close(out.permute(0, 3, 1, 2), one, rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("steps", LISTS)
def test_on_a_gpu_nothing_is_left_on_the_host(steps: tuple[str, ...]) -> None:
    chosen = recipe(*steps, order="random")
    drawn, gpu = draws.of_recipe(chosen, np.arange(NUM), SIDE, 0), torch.device("cuda")
    # Tensors without numbers: they tell devices apart without a GPU.
    with FakeTensorMode(allow_non_fake_inputs=True):
        images = torch.zeros(NUM, SIDE, SIDE, 3, dtype=torch.uint8, device=gpu)
        out = augment(images, drawn, inputs_of(chosen).to(gpu), noisy=True)
    assert (out.device.type, tuple(out.shape)) == ("cuda", (NUM, 3, PATCH, PATCH))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("steps", LISTS)
def test_a_gpu_computes_what_a_cpu_does(steps: tuple[str, ...]) -> None:
    chosen, gpu = recipe(*steps, order="random"), torch.device("cuda")
    drawn, inputs = draws.of_recipe(chosen, np.arange(NUM), SIDE, 0), inputs_of(chosen)
    one = augment(photographs(), drawn, inputs, noisy=True)
    whole = augment(photographs().to(gpu), drawn, inputs.to(gpu), noisy=True).cpu()
    # A grey level that is rounded the other way grows with the jitter.
    assert ((whole - one).abs() > 1e-2).float().mean() < 0.05


def test_an_image_does_not_depend_on_batch_or_epochs_before() -> None:
    chosen = recipe(RESIZED, MIRROR, JITTER, NOISE, order="random")
    inputs, images = inputs_of(chosen), photographs()
    whole = augment(images, draws.of_recipe(chosen, np.arange(6), SIDE, 4), inputs, noisy=True)
    own = augment(images[4:], draws.of_recipe(chosen, np.arange(4, 6), SIDE, 4), inputs, noisy=True)
    assert torch.equal(own, whole[4:])
    later = augment(images, draws.of_recipe(chosen, np.arange(6), SIDE, 5), inputs, noisy=True)
    assert not torch.equal(later, whole)


def test_without_noise_in_an_epoch_the_other_steps_stay() -> None:
    noisy, quiet = recipe(CUT, JITTER, NOISE), recipe(CUT, JITTER)
    numbers, images = np.arange(NUM), photographs()
    off = augment(images, draws.of_recipe(noisy, numbers, SIDE, 0), inputs_of(noisy), noisy=False)
    never = augment(images, draws.of_recipe(quiet, numbers, SIDE, 0), inputs_of(quiet), noisy=True)
    assert torch.equal(off, never)


def test_noise_that_is_divided_is_divided_beside_a_jitter_too() -> None:
    steps, images = (CUT, '{kind="jitter",hue=0.1}'), photographs()
    halves = []
    for divide in ("true", "false"):
        chosen = recipe(*steps, f'{{kind="colour-noise",divide={divide}}}')
        drawn = draws.of_recipe(chosen, np.arange(NUM), SIDE, 0)
        halves.append(augment(images, drawn, inputs_of(chosen), noisy=True))
    torch.testing.assert_close(halves[0] * 1.1, halves[1])


def test_the_stored_images_stay_as_they_are() -> None:
    for steps in LISTS:
        images, chosen = photographs(), recipe(*steps)
        augment(images, draws.of_recipe(chosen, np.arange(NUM), SIDE, 0), inputs_of(chosen), True)
        assert torch.equal(images, photographs())


def test_a_picture_shows_what_training_makes_of_an_image_and_no_more() -> None:
    chosen = recipe(RESIZED, MIRROR, JITTER, more=("input.kind=mean-std", "feed.channels=bgr"))
    drawn = draws.of_recipe(chosen, np.arange(NUM), SIDE, 0)
    factors = (0.1, 0.2, 0.3)
    inputs = make_inputs(
        np.full((SIDE, SIDE, 3), 99), AXES, STDS, PATCH, 0, True, channels="bgr", factors=factors
    )
    seen = augmentation.pictures(photographs(), drawn, inputs, noisy=True)
    levels = augment(photographs(), drawn, inputs, noisy=True).flip(1).permute(0, 2, 3, 1)
    assert np.abs(levels.numpy() / factors + 99 - seen).max() < 0.51


# The recipe.


@pytest.mark.parametrize(
    ("steps", "more", "message"),
    [
        ((MIRROR,), (), r"augmentations: expected one of patch and resized-patch, found \['refl"),
        ((CUT, RESIZED), (), "expected one of patch and resized-patch, found"),
        ((CUT, MIRROR, MIRROR), (), "augmentations: expected each kind once, found"),
        ((), ("augmentation_order=random",), "augmentation_order: expected 'listed' without a li"),
        ((CUT, NOISE), ("noise.scale=0.2",), r"noise\.scale: expected 0\.1, as in augmentations"),
        ((CUT, MIRROR), ("feed.reflect=false",), r"feed\.reflect: expected true beside a reflecti"),
        ((RESIZED,), ("feed.mean=crop",), r"feed\.mean: expected 'centre' beside a resized-patch"),
        (
            (RESIZED,),
            ("feed.order=fixed", "feed.draws=group32"),
            r"feed\.draws: expected 'image' beside a resized-patch",
        ),
        (
            ('{kind="resized-patch",scale=[1,0.5]}',),
            (),
            r"augmentations\.0\.scale: expected the least before the largest, found \[1\.0, 0\.5\]",
        ),
        (
            (CUT, '{kind="jitter",brigtness=1}'),
            (),
            r"augmentations\.1\.brigtness: expected a key of augmentations\.1, .* mean brightness",
        ),
        ((CUT, '{kind="jiter"}'), (), r"augmentations\.1\.kind: expected one of .* mean jitter"),
        ((CUT, '{kind="jitter",hue=1}'), (), r"augmentations\.1\.hue: expected less than or equa"),
    ],
)
def test_a_list_that_contradicts_is_refused_in_words(
    steps: tuple[str, ...], more: tuple[str, ...], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        recipe(*steps, more=more)


def test_a_recipe_with_a_list_comes_back_and_says_what_it_needs() -> None:
    chosen = recipe(RESIZED, MIRROR, JITTER, order="random")
    assert recipes.parse(recipes._table(recipes.dump(chosen), "again"), "again") == chosen
    assert (chosen.statistics, chosen.reflected) == (("mean",), 0.5)
    assert recipe(CUT, NOISE).statistics == ("mean", "pca")
    assert recipes.defaults(chosen)["augmentations"] == []
