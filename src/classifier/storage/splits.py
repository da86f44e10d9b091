"""Writes and reads the images and labels of a split, as arrays or as shards."""

from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Union

import numpy as np

from classifier.storage.arrays import ArrayWriter

if TYPE_CHECKING:
    from classifier.storage.sharded_images import ShardedImages

Images = Union[np.ndarray, "ShardedImages"]  # uint8 (N, H, W, C)
Storage = Literal["arrays", "tfrecord"]


@contextmanager
def write_split(
    folder: Path, split: str, shape: tuple[int, ...], *, storage: Storage, shard_bytes: int
) -> Iterator[Callable[[np.ndarray, int | np.ndarray], None]]:
    """Yields a function that appends one image, uint8 of ``shape``, and its label.

    The label is an integer; or integers (classes,), 0 or 1, where an image may have several.

    The images are written at once, the labels when the block ends.

    Args:
        shape: of an image, (H, W, C).
        storage: ``arrays`` writes ``<split>.npy``. ``tfrecord`` writes the shards of
            :mod:`classifier.storage.shards`, and loads TensorFlow.
        shard_bytes: the largest size of the pixels in one shard, in bytes.
    """
    labels = array("H")
    label_shape: tuple[int, ...] = ()

    def keep(label: int | np.ndarray) -> None:
        nonlocal label_shape
        label_shape = np.shape(label)
        labels.extend(np.ravel(label).tolist())

    if storage == "tfrecord":
        from classifier.storage.shards import ShardWriter

        with ShardWriter(folder, split, shape, shard_bytes=shard_bytes) as shards:

            def append(pixels: np.ndarray, label: int | np.ndarray) -> None:
                shards.append(pixels, label)
                keep(label)

            yield append
    else:
        with ArrayWriter(folder / f"{split}.npy", shape) as rows:

            def append(pixels: np.ndarray, label: int | np.ndarray) -> None:
                rows.append(pixels)
                keep(label)

            yield append
    np.save(folder / f"{split}_labels.npy", np.array(labels, np.uint16).reshape(-1, *label_shape))


def read_split(folder: Path, split: str) -> tuple[Images, np.ndarray]:
    """Opens a split: images, uint8 (N, H, W, C), and labels, uint8 or uint16 (N,).

    Where an image may have several labels, they are uint16 (N, classes), 0 or 1.

    The images are a memory-mapped array, or shards that are read by row.

    Raises:
        InputError: see :class:`classifier.storage.sharded_images.ShardedImages`.
    """
    labels = np.load(folder / f"{split}_labels.npy")
    if (folder / f"{split}.npy").exists():
        return np.load(folder / f"{split}.npy", mmap_mode="r"), labels
    from classifier.storage.sharded_images import ShardedImages

    return ShardedImages(folder, split), labels


def batches(images: Images, size: int) -> Iterator[np.ndarray]:
    """Yields arrays of ``size`` images in memory. The last array may be shorter."""
    for start in range(0, len(images), size):
        yield np.asarray(images[start : start + size])
