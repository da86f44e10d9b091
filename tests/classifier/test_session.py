"""A session begins as in a new process."""

import keras
import numpy as np

from classifier import session


def test_same_names_and_weights_as_in_a_new_process() -> None:
    models = []
    for _ in range(2):
        session.begin(seed=3, precision="float32")
        models.append(keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)]))
    assert models[0].layers[0].name == models[1].layers[0].name
    np.testing.assert_array_equal(models[0].get_weights()[0], models[1].get_weights()[0])


def test_precision_is_the_dtype_policy() -> None:
    session.begin(seed=3, precision="mixed_bfloat16")
    assert keras.layers.Dense(1).compute_dtype == "bfloat16"
    session.begin(seed=3, precision="float32")
    assert keras.layers.Dense(1).compute_dtype == "float32"
