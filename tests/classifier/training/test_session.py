"""Each session starts in the same state as a new process."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest

from classifier.training import session
from conftest import ROOT, session_options


def test_same_names_and_weights_as_in_a_new_process() -> None:
    models = []
    for _ in range(2):
        session.begin(session_options(seed=3))
        models.append(keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)]))
    assert models[0].layers[0].name == models[1].layers[0].name
    np.testing.assert_array_equal(models[0].get_weights()[0], models[1].get_weights()[0])


def test_precision_is_the_dtype_policy() -> None:
    session.begin(session_options(precision="mixed_bfloat16"))
    assert keras.layers.Dense(1).compute_dtype == "bfloat16"
    session.begin(session_options(precision="float32"))
    assert keras.layers.Dense(1).compute_dtype == "float32"


@pytest.mark.difference(
    "operations that are not deterministic, the number of threads",
    "set in one place, by `train.deterministic` and `train.threads`",
)
@pytest.mark.parametrize(
    ("deterministic", "threads"), [(True, 1), pytest.param(False, 2, marks=pytest.mark.slow)]
)
def test_what_decides_the_bytes_is_set(deterministic: bool, threads: int) -> None:
    code = f"""
import tensorflow as tf
from classifier.training import session
from conftest import session_options
session.begin(session_options(deterministic={deterministic}, threads={threads}))
tf.ones(3) + 1
print(tf.config.threading.get_intra_op_parallelism_threads())
try:
    tf.random.set_global_generator(tf.random.Generator.from_non_deterministic_state())
    print(False)
except RuntimeError as error:
    print("determinism" in str(error))
"""
    result = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(ROOT / "tests")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.split() == [str(threads), str(deterministic)]
