"""Checks before the first step whether a batch fits into the memory.

Later is too late: the operating system kills a process that takes too much memory.
"""

import math
from pathlib import Path

import keras
import psutil
import tensorflow as tf

from classifier.support.errors import InputError

# The memory limit of a container, and the memory that it uses; the kernel can free inactive file
# cache at once (https://docs.kernel.org/admin-guide/cgroup-v2.html).
CGROUPS = (
    ("memory.max", "memory.current", "memory.stat", "inactive_file"),
    (
        "memory/memory.limit_in_bytes",
        "memory/memory.usage_in_bytes",
        "memory/memory.stat",
        "total_inactive_file",
    ),
)


def check_memory(model: keras.Model, batch_size: int, root: Path = Path("/sys/fs/cgroup")) -> None:
    """Checks that the memory that a training step takes at least is free.

    With a GPU there is no check: TensorFlow raises an error itself when GPU memory runs out.

    Raises:
        InputError: it is not free; names the memory needed, and a batch size that may fit.
    """
    if tf.config.list_physical_devices("GPU"):
        return
    fixed, image = step_bytes(model)
    free = free_bytes(root)
    needed = fixed + batch_size * image
    if needed > free:
        fitting = max(0, free - fixed) // image // 2
        advice = f"batch_size={fitting}" if fitting else "a smaller model"
        raise InputError(
            f"batch_size is {batch_size}: a step takes {needed / 1e9:.1f} GB of memory or more, "
            f"and {free / 1e9:.1f} GB are free: try {advice}"
        )


def check_features(images: int, width: int, root: Path = Path("/sys/fs/cgroup")) -> None:
    """Checks that the memory for the features of all training images is free.

    Args:
        width: float32 features of an image.

    Raises:
        InputError: it is not free; names the memory needed.
    """
    needed, free = 3 * 4 * images * width, free_bytes(root)  # while they are put together: twice
    if needed > free:
        raise InputError(
            f"the features of {images:,} images take {needed / 1e9:.1f} GB of memory, and "
            f"{free / 1e9:.1f} GB are free: set split.train to fewer images"
        )


def step_bytes(model: keras.Model) -> tuple[int, int]:
    """The bytes that a training step holds at least: for the weights, and per image of the batch.

    Each trainable weight has a gradient, and the outputs of all layers from the first trained one
    on are kept until the gradients are computed.
    """
    trained = [bool(layer.trainable_weights) for layer in model.layers]
    first = trained.index(True) if True in trained else len(trained)
    outputs = keras.tree.flatten([layer.output for layer in model.layers[first:]])
    image = sum(math.prod(out.shape[1:]) * tf.as_dtype(out.dtype).size for out in outputs)
    weights = [*model.weights, *model.trainable_weights]
    fixed = sum(math.prod(weight.shape) * weight.value.dtype.size for weight in weights)
    return fixed, max(1, image)


def free_bytes(root: Path) -> int:
    """The bytes that this process may still allocate: the least of machine, container and ulimit.

    Args:
        root: the folder of the container's limits.
    """
    free = [psutil.virtual_memory().available]
    for limit, used, statistics, files in CGROUPS:
        if (root / limit).is_file() and (allowed := (root / limit).read_text().strip()) != "max":
            lines = (line.split() for line in (root / statistics).read_text().splitlines())
            freed = int(dict(lines).get(files, 0))
            free.append(int(allowed) - int((root / used).read_text()) + freed)
    if psutil.LINUX:
        process = psutil.Process()
        allowed_space, _ = process.rlimit(psutil.RLIMIT_AS)
        if allowed_space != psutil.RLIM_INFINITY:
            free.append(allowed_space - process.memory_info().vms)
    return max(0, min(free))
