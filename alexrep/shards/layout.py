"""The shard format: what an HDF5 file of packed images holds.

Datasets, all contiguous and unfiltered, N images of side S:
    jpeg     uint8, the bytes of all images, one after the other
    offsets  int64 (N+1), image i is jpeg[offsets[i]:offsets[i+1]]
or, with encoding raw, instead of these two
    pixels   uint8 (N, S, S, 3), RGB
and
    labels   int32 (N), class index, -1 unknown
    names    fixed-length bytes (N), file name as distributed
    crc32    uint32 (N), of each image's bytes
Attributes: format, encoding, edition, split, side, num_classes, classes (the class
table's digest), images (the digest of the prepared images' manifest), seed.
"""

FORMAT = 1
DATASETS = {"jpeg": "jpeg", "raw": "pixels"}
"""Name of the images' dataset by encoding."""
GEOMETRY = "crop"
"""How images were made square, where the manifest does not say."""
REPACK = "remove it and pack again"
"""Advice on a shard that is not as it was packed."""
SHARD_IMAGES = 10_000
CLASSES = "classes.json"
"""Copy of the class table beside the shards, so that they can be copied without the rest."""


def file_name(split: str, number: int) -> str:
    """Return the name of a split's shard."""
    return f"{split}-{number:05d}.h5"
