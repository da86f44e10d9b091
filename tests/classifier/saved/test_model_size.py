"""The size of a model, counted and by formulas."""

import keras
from keras import layers

from classifier.saved.model_size import model_size


def sequential(*steps: keras.layers.Layer) -> keras.Model:
    return keras.Sequential([keras.Input((8, 6, 2)), *steps])


def test_convolution_and_dense() -> None:
    model = sequential(
        layers.Conv2D(4, 3, padding="same"), layers.Flatten(), layers.Dense(5, use_bias=False)
    )
    parameters = 3 * 3 * 2 * 4 + 4 + 8 * 6 * 4 * 5
    assert model_size(model) == {
        "parameters": parameters,
        "multiply_adds": 8 * 6 * 4 * (3 * 3 * 2) + 8 * 6 * 4 * 5,
        "bytes": 4 * parameters,
    }


def test_separable_convolution() -> None:
    size = model_size(sequential(layers.SeparableConv2D(4, 3, strides=2, padding="same")))
    assert size["multiply_adds"] == 4 * 3 * (2 * 3 * 3 + 2 * 4)


def test_a_shared_layer_counts_for_each_call() -> None:
    inputs = keras.Input((8, 6, 2))
    shared = layers.Conv2D(2, 3, padding="same")
    once = keras.Model(inputs, shared(inputs))
    twice = keras.Model(inputs, shared(shared(inputs)))
    assert model_size(twice)["multiply_adds"] == 2 * model_size(once)["multiply_adds"]
    assert model_size(twice)["parameters"] == model_size(once)["parameters"]
