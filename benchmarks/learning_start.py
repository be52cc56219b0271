"""How much of an image reaches the logits of an untrained network.

Shapes: N images.
"""

import json
from pathlib import Path

import numpy as np
import simplejpeg
import torch

from alexrep.config.recipe import Recipe
from alexrep.feed import views
from alexrep.feed.normalise import make_inputs
from alexrep.models import registry
from alexrep.shards.read import open_split

NUM_IMAGES = 64
"""Number of val images, the first ones of the shards."""


def logit_std(data: Path, chosen: Recipe) -> float:
    """Return the standard deviation over images of each logit, mean over the logits.

    Args:
        data: Packed data, of which centre patches are used.
        chosen: Network, seed and normalisation. The network has its initial values and is in
            evaluation mode, on the CPU in float32.
    """
    pca = json.loads((data / "pca.json").read_text(encoding="utf-8"))
    inputs = make_inputs(
        mean_image=np.load(data / "mean.npy"),
        axes=np.asarray(pca["axes"]),
        stds=np.asarray(pca["stds"]),
        side=chosen.model.side,
        scale=chosen.colour_noise.scale,
        divide=chosen.colour_noise.divide,
        mean=chosen.feed.mean,
        channels=chosen.feed.channels,
    )
    val = open_split(data, "val")
    jpegs = [val.read(index) for index in range(min(NUM_IMAGES, len(val)))]
    val.close()
    images = torch.stack([torch.from_numpy(simplejpeg.decode_jpeg(jpeg, "RGB")) for jpeg in jpegs])
    num_classes = len(json.loads((data / "images/classes.json").read_text(encoding="utf-8")))
    network = registry.build(chosen.model, num_classes, chosen.seed).eval()
    with torch.no_grad():
        logits: torch.Tensor = network(next(views.patches(images, "centre", inputs)))
    return float(logits.std(dim=0).mean())
