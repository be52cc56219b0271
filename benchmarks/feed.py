"""Batches for training, against bare simplejpeg, torchvision and WebDataset.

    python benchmarks/feed.py FOLDER [--data DATA]

Processor seconds per image on the training images at 256x256, one decoding thread, torch
with one thread, in shuffled order:
- host: batches of 128, decoded, with their draws; augmentation is left to a device;
- augmented: batches of 32 with crop, reflection, mean and noise on this core;
- resized, jittered: the same with a list of augmentations in place of the 2012 ones, resized
  patches and reflections, and with them jitter of 0.4, 0.4, 0.4 and 0.1; mean and deviation;
- torchvision: ImageFolder, DataLoader without workers (the cheapest per core), and the same
  augmentation, one image at a time;
- torchvision resized, torchvision jittered: the same augmentations by its transforms, on uint8;
- webdataset, if it is installed: the same from a tar, in the order of the tar.
Bare decodes the same bytes from memory into one array, which is faster than anything that
keeps its result. Targets: host 0.9 of bare; augmented 0.45 of bare and 3 torchvision.
cold.py measures the same reads with little memory.
"""

import io
import shutil
import tarfile
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import inputs
import numpy as np
import simplejpeg
import torch
from numpy.typing import NDArray
from pydantic import JsonValue
from record import alexrep, keep
from rounds import alternate, processor_seconds

from alexrep.config import recipes
from alexrep.config.recipe import Recipe
from alexrep.config.tables import shown
from alexrep.feed import batches, order
from alexrep.feed.augment import augment
from alexrep.feed.dataset import TrainingData, open_data
from alexrep.feed.draws import draw, of_recipe
from alexrep.feed.normalise import Inputs, make_inputs
from alexrep.shards.read import Split, open_split

BATCH, HOST_BATCH, BORDER, SEED = 32, 128, 32, 1
NUM = 1024
"""Images per pass."""


def bare(images: list[bytes], memory: NDArray[np.uint8]) -> None:
    """Decode and nothing else."""
    for jpeg in images:
        simplejpeg.decode_jpeg(jpeg, "RGB", buffer=memory)


def unaligned(side: int) -> NDArray[np.uint8]:
    """Return memory for an image at no multiple of 32 bytes, where the decoder is fastest.

    The alignment that numpy happens to give changes the time by up to a seventh.
    """
    size = side * side * 3
    whole = np.empty(size + 64, np.uint8)
    start = (16 - whole.ctypes.data) % 64
    return whole[start : start + size].reshape(side, side, 3)


JITTER = {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1}
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
RESIZED = [{"kind": "resized-patch"}, {"kind": "reflection"}]
LISTS: dict[str, list[dict[str, Any]]] = {
    "resized": RESIZED,
    "jittered": [*RESIZED, {"kind": "jitter"} | JITTER],
}
"""Lists of augmentations that are measured beside those of 2012."""


def recipe_of(kind: str) -> Recipe:
    """Return a recipe with one of the lists."""
    table = {"kind": "mean-std", "mean": MEAN, "deviation": DEVIATION}
    settings = f"augmentations={shown(LISTS[kind])}", f"input={shown(table)}"
    return recipes.load("alexnet-170-256", settings)


def listed(
    reader: batches.Reader, plan: list[NDArray[np.int64]], data: TrainingData, kind: str
) -> None:
    """Read, decode and augment by a list."""
    recipe = recipe_of(kind)
    constants = data.inputs(recipe)
    for batch in reader.read(plan):
        drawn = of_recipe(recipe, batch.indices, data.train.side, 0)
        augment(torch.from_numpy(batch.images), drawn, constants, noisy=True)


def by_torchvision(kind: str, side: int) -> Any:  # noqa: ANN401 (transforms)
    """Return the same augmentations by torchvision's transforms."""
    from torchvision.transforms import v2

    return v2.Compose(
        [
            v2.PILToTensor(),
            v2.RandomResizedCrop(side),
            v2.RandomHorizontalFlip(),
            *([v2.ColorJitter(**JITTER)] if kind == "jittered" else []),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(MEAN, DEVIATION),
        ]
    )


def host(reader: batches.Reader, plan: list[NDArray[np.int64]], inputs_: Inputs | None) -> None:
    """Read, decode and draw; augment, too, if the constants are given."""
    for batch in reader.read(plan):
        drawn = draw(batch.indices, BORDER, "image", True, SEED, 0)
        if inputs_ is not None:
            augment(torch.from_numpy(batch.images), drawn, inputs_, noisy=True)


class SameAugmentation:
    """The same augmentation by torchvision's transforms, one image at a time."""

    def __init__(self, constants: Inputs) -> None:
        """Keep the constants, channels first."""
        from torchvision.transforms import v2

        self._cut = v2.Compose(
            [v2.PILToTensor(), v2.RandomCrop(constants.mean.shape[0]), v2.RandomHorizontalFlip()]
        )
        self._mean = constants.mean.permute(2, 0, 1).contiguous()
        self._noise, self._divisor = constants.noise, constants.divisor

    def __call__(self, image: Any) -> torch.Tensor:  # noqa: ANN401 (a picture of Pillow)
        """Augment one image."""
        shift = self._noise @ torch.randn(3)
        patch: torch.Tensor = self._cut(image).float() - self._mean
        return (patch + shift[:, None, None]) / self._divisor


def torchvision(folder: Path, same: Any, num: int) -> Callable[[], int]:  # noqa: ANN401
    """Return a function that reads class folders once, shuffled, through transforms."""
    from torchvision.datasets import ImageFolder

    dataset: Any = ImageFolder(str(folder), same)
    chosen = torch.utils.data.Subset(dataset, list(range(0, len(dataset), 2))[:num])
    loader = torch.utils.data.DataLoader(chosen, BATCH, shuffle=True)
    return lambda: sum(1 for _ in loader)


def webdataset(split: Split, folder: Path, constants: Inputs, num: int) -> Callable[[], int]:
    """Return a function that reads a tar of the same images once, in its order."""
    import webdataset as wds  # type: ignore[import-not-found]

    tar = folder / "webdataset.tar"
    with tarfile.open(tar, "w") as out:
        for index in range(num):
            for suffix, member in (("jpg", split.read(index)), ("cls", b"0")):
                info = tarfile.TarInfo(f"{index:06d}.{suffix}")
                info.size = len(member)
                out.addfile(info, io.BytesIO(member))
    same = SameAugmentation(constants)
    source = wds.WebDataset(str(tar), shardshuffle=False, empty_check=False).decode("pil")
    loader = source.to_tuple("jpg", "cls").map_tuple(same, int).batched(BATCH)
    return lambda: sum(1 for _ in loader)


def peers(split: Split, data: Path, folder: Path, constants: Inputs) -> Iterator[tuple[str, Any]]:
    """Yield name and work of each peer that is installed."""
    classes = folder / "classes"
    if not classes.exists():
        alexrep("-q", "extract", str(data), str(classes))
    yield "torchvision", torchvision(classes / "train", SameAugmentation(constants), NUM)
    for kind in LISTS:
        same = by_torchvision(kind, constants.side)
        yield f"torchvision {kind}", torchvision(classes / "train", same, NUM)
    try:
        yield "webdataset", webdataset(split, folder, constants, NUM)
    except ImportError:
        print("webdataset is not installed: left out")


def main() -> None:
    """Measure; print and keep the figures."""
    parser = inputs.parser(__doc__)
    parser.add_argument("--name", default="feed", help="of the file in results")
    options = parser.parse_args()
    torch.set_num_threads(1)
    name, data = inputs.prepared(options, "mean", "pca", "pack")
    packed = open_data(data)
    packed.close()
    side = 256 - BORDER
    constants = make_inputs(packed.mean, packed.axes, packed.stds, side, 0.1, True)
    with closing(open_split(data, "train")) as split, batches.Reader(split, 1) as reader:
        indices = order.epoch_order("shuffled", len(split), SEED, 0)[:NUM]
        plan, host_plan = (order.batches(indices, size) for size in (BATCH, HOST_BATCH))
        jpegs = [split.read(int(index)) for index in indices]
        memory = unaligned(split.side)
        contestants = {
            "bare": processor_seconds(partial(bare, jpegs, memory)),
            "host": processor_seconds(partial(host, reader, host_plan, None)),
            "augmented": processor_seconds(partial(host, reader, plan, constants)),
        }
        for kind in LISTS:
            contestants[kind] = processor_seconds(partial(listed, reader, plan, packed, kind))
        for peer, work in peers(split, data, options.folder, constants):
            contestants[peer] = processor_seconds(work)
        seconds = alternate(contestants, options.rounds)
    shutil.rmtree(options.folder / "webdataset.tar", ignore_errors=True)
    rates = {key: NUM / taken for key, taken in seconds.items()}
    figures: dict[str, JsonValue] = {
        "images": f"{len(indices)}, {name}",
        "images per second and core": {key: round(rate) for key, rate in rates.items()},
        "host, of bare (0.9)": round(rates["host"] / rates["bare"], 3),
        "augmented, of bare (0.45)": round(rates["augmented"] / rates["bare"], 3),
        "augmented, to torchvision (3)": round(rates["augmented"] / rates["torchvision"], 2),
        **{
            f"{kind}, to torchvision": round(rates[kind] / rates[f"torchvision {kind}"], 2)
            for kind in LISTS
        },
    }
    if "webdataset" in rates:
        ratio = rates["augmented"] / rates["webdataset"]
        figures["augmented, to webdataset"] = round(ratio, 2)
    print(keep(options.name, figures).read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
