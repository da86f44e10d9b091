"""The fused layer has the outputs, statistics and gradients of Keras's layer."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from classifier.layers.batch_normalization import FusedBatchNormalization

IMAGES = np.random.default_rng(2).normal(3, 2, (4, 5, 6, 3)).astype("float32")
UPSTREAM = np.random.default_rng(3).normal(size=IMAGES.shape).astype("float32")


def pair(**arguments: Any) -> tuple[keras.Layer, keras.Layer]:
    """A fused layer and a layer of Keras, with the same weights."""
    layers = FusedBatchNormalization(**arguments), keras.layers.BatchNormalization(**arguments)
    values = np.random.default_rng(4).uniform(0.5, 2, (4, 3))
    for layer in layers:
        layer.build((None, 5, 6, 3))
        layer.set_weights(list(values))
    return layers


def kernels(layer: keras.Layer, training: bool) -> set[str]:
    """The types of the operations that the layer runs."""
    function = tf.function(lambda x: layer(x, training=training))
    graph = function.get_concrete_function(tf.TensorSpec((None, 5, 6, 3), layer.compute_dtype))
    return {operation.type for operation in graph.graph.get_operations()}


@pytest.mark.parametrize("training", [False, True])
def test_outputs_statistics_and_gradients_are_those_of_keras(training: bool) -> None:
    results = []
    for layer in pair():
        images = tf.constant(IMAGES)
        with tf.GradientTape() as tape:
            tape.watch(images)
            outputs = layer(images, training=training)
            value = tf.reduce_sum(outputs * UPSTREAM)
        gradients = tape.gradient(value, [images, layer.gamma.value, layer.beta.value])
        results.append([outputs, *gradients, *(w.value for w in layer.weights)])
    for fused, plain in zip(*results, strict=True):
        np.testing.assert_allclose(fused, plain, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("training", [False, True])
def test_it_is_one_kernel(training: bool) -> None:
    fused, plain = pair()
    assert "FusedBatchNormV3" in kernels(fused, training)
    assert "FusedBatchNormV3" not in kernels(plain, training)


def test_frozen_statistics_do_not_change() -> None:
    fused, _ = pair(trainable=False)
    before = [weight.numpy() for weight in fused.weights]
    fused(IMAGES, training=True)
    for weight, value in zip(fused.weights, before, strict=True):
        np.testing.assert_array_equal(weight.numpy(), value)


def test_mixed_precision_keeps_its_dtypes() -> None:
    outputs, expected = (layer(IMAGES, training=True) for layer in pair(dtype="mixed_bfloat16"))
    assert outputs.dtype == expected.dtype == tf.bfloat16
    np.testing.assert_allclose(np.float32(outputs), np.float32(expected), atol=0.05)


def test_vectors_use_the_code_of_keras() -> None:
    vectors = IMAGES[:, 0, 0]
    fused, plain = FusedBatchNormalization(), keras.layers.BatchNormalization()
    np.testing.assert_array_equal(fused(vectors, training=True), plain(vectors, training=True))


@pytest.mark.difference("parallel sums of the fused batch normalisation", "deterministic kernels")
def test_the_same_bytes_twice() -> None:
    images = np.random.default_rng(5).normal(size=(64, 28, 28, 16)).astype("float32")

    def step() -> list[bytes]:
        layer = FusedBatchNormalization()
        tensor = tf.constant(images)
        with tf.GradientTape() as tape:
            tape.watch(tensor)
            value = tf.reduce_sum(layer(tensor, training=True) ** 3)
        gradients = tape.gradient(value, [tensor, layer.gamma.value])
        return [np.asarray(x).tobytes() for x in [*gradients, *(w.value for w in layer.weights)]]

    first = step()
    assert all(step() == first for _ in range(5))
