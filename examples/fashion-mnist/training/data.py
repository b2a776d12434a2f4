"""Fashion-MNIST from the files of Debian's package dataset-fashion-mnist (licence: Expat)."""

import gzip
import pathlib

import numpy as np
import torch

FOLDER = pathlib.Path("/usr/share/datasets/fashion-mnist")
HELD_OUT = 5_000


def read_idx(path: pathlib.Path) -> np.ndarray:
    """An IDX file: two zero bytes, a type byte, the number of axes, big-endian sizes, data."""
    if not path.exists():
        raise SystemExit(f"{path} is missing: apt-get install dataset-fashion-mnist")
    raw = gzip.decompress(path.read_bytes())
    axes = raw[3]
    shape = np.frombuffer(raw, ">u4", axes, 4)
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * axes).reshape(shape)


def load(part: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Images as f32 in [0, 1] of shape [N, 1, 28, 28], and labels. `part`: train or t10k."""
    images = read_idx(FOLDER / f"{part}-images-idx3-ubyte.gz")
    labels = read_idx(FOLDER / f"{part}-labels-idx1-ubyte.gz")
    return torch.from_numpy(images.copy())[:, None].float() / 255, torch.from_numpy(labels.copy()).long()


def split(seed: int):
    """(training images, labels), (held-out images, labels); the split depends on the seed alone."""
    images, labels = load("train")
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))
    held, kept = order[:HELD_OUT], order[HELD_OUT:]
    return (images[kept], labels[kept]), (images[held], labels[held])
