"""Whether a batch fits into the memory, asked before the first step.

Afterwards it is too late to ask: the operating system ends a process that takes too much.
"""

import math
from pathlib import Path

import keras
import psutil
import tensorflow as tf

from classifier.errors import InputError

# What a container may use and what it uses (https://docs.kernel.org/admin-guide/cgroup-v2.html).
# Of what is used, files that were read and not written lately make room at once.
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
    """Checks that the least memory that a training step can take is free.

    Of a GPU nothing is asked: TensorFlow says itself when its memory is not enough.

    Raises:
        InputError: it is not free; says what is needed, and a batch that may fit.
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


def step_bytes(model: keras.Model) -> tuple[int, int]:
    """The least that a training step holds: for the weights, and for each image of the batch.

    Trainable weights have a gradient beside them, and the output of each layer stays until its
    gradient is taken, from the first layer on that is trained.
    """
    trained = [bool(layer.trainable_weights) for layer in model.layers]
    first = trained.index(True) if True in trained else len(trained)
    outputs = keras.tree.flatten([layer.output for layer in model.layers[first:]])
    image = sum(math.prod(out.shape[1:]) * tf.as_dtype(out.dtype).size for out in outputs)
    weights = [*model.weights, *model.trainable_weights]
    fixed = sum(math.prod(weight.shape) * weight.value.dtype.size for weight in weights)
    return fixed, max(1, image)


def free_bytes(root: Path) -> int:
    """What this process may still take: of the machine, its container and its own limit.

    Args:
        root: where the container's limits can be read.
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
