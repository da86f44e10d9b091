"""Training on more images than fit into memory works from shards, and fails from arrays."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from classifier.storage.splits import write_split

SIZE, COUNT = 128, 9_000
BYTES = COUNT * SIZE * SIZE * 3  # 442 MB
ALLOWED = 400_000_000  # bytes that a training may allocate, after a first small one
# The limit applies to allocated memory: TensorFlow reserves virtual memory, and the system caches
# files, at no cost.
TRAIN = """
import re, resource, sys
from pathlib import Path
import keras, numpy as np
from classifier.training import streaming
from classifier.training.feed import TrainingFeed, evaluation_batches
from classifier.storage.splits import read_split

streaming.SHUFFLE_BYTES = 32_000_000
model = keras.Sequential([keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2)])
model.compile("sgd", keras.losses.CategoricalCrossentropy(from_logits=True), jit_compile=False)

def train(images, labels, epochs):
    feed = TrainingFeed(images=images, labels=labels, classes=2, batch_size=64, seed=7)
    batches = feed.batches(range(epochs))
    validation = evaluation_batches(images, labels, classes=2)
    model.fit(batches, validation_data=validation, shuffle=False, verbose=0)

def taken(what):
    return 1024 * int(re.search(rf"{what}:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

train(np.zeros((64, 128, 128, 3), np.uint8), np.zeros(64, np.uint16), 1)
before = taken("VmHWM")
limit = taken("VmData") + int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
train(*read_split(Path(sys.argv[1], "tfrecord"), "train"), 1)
print(taken("VmHWM") - before)
try:
    train(*read_split(Path(sys.argv[1], "arrays"), "train"), 1)
    print("trained")
except MemoryError:
    print("MemoryError")
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_DATA is Linux's")
def test_a_set_larger_than_the_memory_is_trained_on_from_shards_alone(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (16, SIZE, SIZE, 3), dtype=np.uint8)
    for storage in ("arrays", "tfrecord"):
        folder, shape = tmp_path / storage, images.shape[1:]
        folder.mkdir()
        with write_split(folder, "train", shape, storage=storage, shard_bytes=10**8) as append:
            for row in range(COUNT):
                append(images[row % 16], row % 2)
    # A thread's stack and its heap count as allocated even if unused: keep them small.
    program = f'ulimit -s 2048; exec \'{sys.executable}\' -c "$0" "$@"'
    result = subprocess.run(
        ["bash", "-c", program, TRAIN, str(tmp_path), str(ALLOWED)],
        env=os.environ | {"MALLOC_ARENA_MAX": "2"},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    of_shards, of_arrays = result.stdout.split()
    assert int(of_shards) < ALLOWED < BYTES
    assert of_arrays == "MemoryError"
