"""A session begins as in a new process."""

import subprocess
import sys

import keras
import numpy as np
import pytest

from classifier import session
from classifier.session_options import SessionOptions


def test_same_names_and_weights_as_in_a_new_process() -> None:
    models = []
    for _ in range(2):
        session.begin(SessionOptions(seed=3))
        models.append(keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)]))
    assert models[0].layers[0].name == models[1].layers[0].name
    np.testing.assert_array_equal(models[0].get_weights()[0], models[1].get_weights()[0])


def test_precision_is_the_dtype_policy() -> None:
    session.begin(SessionOptions(precision="mixed_bfloat16"))
    assert keras.layers.Dense(1).compute_dtype == "bfloat16"
    session.begin(SessionOptions(precision="float32"))
    assert keras.layers.Dense(1).compute_dtype == "float32"


@pytest.mark.difference(
    "operations that are not deterministic, the number of threads",
    "set in one place, by `train.deterministic` and `train.threads`",
)
@pytest.mark.parametrize(("deterministic", "threads"), [(True, 1), (False, 2)])
def test_what_decides_the_bytes_is_set(deterministic: bool, threads: int) -> None:
    code = f"""
import tensorflow as tf
from classifier import session
from classifier.session_options import SessionOptions
session.begin(SessionOptions(deterministic={deterministic}, threads={threads}))
tf.ones(3) + 1
print(tf.config.threading.get_intra_op_parallelism_threads())
try:
    tf.random.set_global_generator(tf.random.Generator.from_non_deterministic_state())
    print(False)
except RuntimeError as error:
    print("determinism" in str(error))
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == [str(threads), str(deterministic)]
