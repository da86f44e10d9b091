"""Replicas and workers decide alike: they stop at the same step."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from classifier.training.feed import TrainingFeed
from conftest import free_port

# Of 32 images, one has label 1, and the loss of label 1 is NaN.
LABELS = np.eye(32, dtype=int)[0]
PROGRAM = """\
import json, os, sys
from pathlib import Path
import keras
import numpy as np
from classifier.support.errors import InputError
from classifier.training import strategies
from classifier.training.feed import TrainingFeed, evaluation_batches
from classifier.training.fit import fit
from classifier.training.phases import Phase
from conftest import fit_options

kind, seed, folder = sys.argv[1:]
if kind == "mirrored":
    workers = strategies.mirrored(replicas=2, scaling="none")
else:
    workers = strategies.multi_worker(cluster="tf_config", scaling="none")
images, labels = np.zeros((32, 4, 4, 1), np.uint8), np.eye(32, dtype=int)[0]
keras.utils.set_random_seed(1)
with workers.strategy.scope():
    feed = TrainingFeed(
        images=images, labels=labels, classes=2, batch_size=8, seed=int(seed), replicas=2,
        class_weights={0: 1.0, 1: float("nan")},
    )
    steps = [keras.Input((4, 4, 1), dtype="uint8"), keras.layers.Rescaling(1 / 255)]
    steps += [keras.layers.Flatten(), keras.layers.Dense(2, activation="softmax")]
    model = keras.Sequential(steps)
    validation = evaluation_batches(images, labels, classes=2)
    options = fit_options(epochs=1, monitor="val_loss")
    phases = [Phase(1, keras.optimizers.SGD(0.01), [])]
    own = Path(folder, str(workers.number))
    try:
        fit(model, phases, feed, validation, options, own, lambda epoch, row: None)
    except InputError as error:
        print(error, flush=True)
"""


def step_and_replica(seed: int) -> tuple[int, int]:
    """The step, counted from 1, and the half of its batch with the image of label 1."""
    images = np.zeros((32, 4, 4, 1), np.uint8)
    feed = TrainingFeed(images=images, labels=LABELS, classes=2, batch_size=8, seed=seed)
    for step, (_, targets) in enumerate(feed.batches(range(1)), 1):
        rows = np.flatnonzero(targets[:, 1])
        if len(rows):
            return step, int(rows[0]) // 4
    raise AssertionError


def seed_for(step: int, replica: int) -> int:
    return next(seed for seed in range(100) if step_and_replica(seed) == (step, replica))


def start(kind: str, seed: int, folder: Path, **environment: str) -> subprocess.Popen[str]:
    paths = [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, kind, str(seed), str(folder)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.slow
@pytest.mark.fault(
    "the loss becomes NaN on one of several workers", "all stop at the same step, with one line"
)
@pytest.mark.parametrize("replica", [0, 1])
@pytest.mark.parametrize("kind", ["mirrored", "multi_worker"])
def test_all_workers_stop_at_the_step_in_which_one_of_them_has_nan(
    kind: str, replica: int, tmp_path: Path
) -> None:
    seed = seed_for(2, replica)
    environments: list[dict[str, str]] = [{}]
    if kind == "multi_worker":
        cluster = {"worker": [f"127.0.0.1:{free_port()}" for _ in range(2)]}
        environments = [
            {"TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": "worker", "index": n}})}
            for n in range(2)
        ]
    processes = [start(kind, seed, tmp_path, **variables) for variables in environments]
    try:
        for process in processes:
            output = process.communicate(timeout=120)[0]
            assert "the loss became NaN or infinite at step 2, in epoch 1" in output
    finally:
        for process in processes:
            process.kill()
