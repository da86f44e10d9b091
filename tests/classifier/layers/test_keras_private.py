"""Each part of Keras's private API that is used exists, and does what the project needs."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from classifier.augmentation.policy import StatelessSeeds
from classifier.layers.keras_private import (
    assign_averages,
    build_from_batches,
    flatten_layers,
    set_seed_generator,
)

IMAGES = np.random.default_rng(0).uniform(0, 255, (4, 8, 8, 3)).astype(np.float32)
TARGETS = np.eye(4, 2, dtype=np.float32)


def compiled(**options: Any) -> keras.Model:
    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten()])
    model.add(keras.layers.Dense(2, activation="softmax"))
    optimizer = keras.optimizers.Adam(0.01, **options)
    model.compile(optimizer, "categorical_crossentropy", metrics=["accuracy"])
    return model


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (keras.layers.Layer, "_flatten_layers"),
        (keras.layers.RandomFlip, "_get_seed_generator"),
        (keras.layers.MixUp, "_get_seed_generator"),
        (keras.Model, "_symbolic_build"),
        (keras.Sequential([keras.Input((1,))]), "_distribute_strategy"),
        (keras.callbacks.SwapEMAWeights, "_finalize_ema_values"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_keras_has_the_attribute(owner: Any, name: str) -> None:
    owner_name = getattr(owner, "__name__", type(owner).__name__)
    assert hasattr(owner, name), (
        f"Keras {keras.__version__} has no {owner_name}.{name}: "
        "change classifier.layers.keras_private, or stay with an earlier version"
    )


def test_flatten_layers_gives_layers_at_any_depth() -> None:
    inner = keras.layers.Dense(1, name="inner")
    middle = keras.Sequential([keras.Input((2,)), inner], name="middle")
    outer = keras.Sequential([keras.Input((2,)), middle], name="outer")
    assert {"inner", "middle", "outer"} <= {layer.name for layer in flatten_layers(outer)}
    assert flatten_layers(inner) == [inner]


@pytest.mark.parametrize(
    "layer",
    [
        keras.layers.RandomContrast(0.5),
        keras.layers.RandAugment(num_ops=1),  # it has random layers inside
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_random_layers_take_their_seeds_from_the_generator(layer: keras.layers.Layer) -> None:
    outputs = []
    for seed in (1, 1, 2):
        set_seed_generator(layer, StatelessSeeds(tf.constant([seed, 0])))
        outputs.append(np.asarray(layer(IMAGES, training=True)))
    np.testing.assert_array_equal(outputs[0], outputs[1])
    assert (outputs[0] != outputs[2]).any()


def test_build_from_batches_builds_metrics_and_optimizer_and_forgets_the_strategy() -> None:
    with tf.distribute.MirroredStrategy(["/cpu:0"]).scope():
        model = compiled()
        assert not model.optimizer.built
        specs = tf.TensorSpec((4, 8, 8, 3), tf.float32), tf.TensorSpec((4, 2), tf.float32)
        build_from_batches(model, specs)
    assert model.optimizer.built
    assert "accuracy" in model.get_metrics_result()
    assert isinstance(model.distribute_strategy, type(tf.distribute.get_strategy()))


def test_assign_averages_copies_the_averaged_weights_to_the_optimizer() -> None:
    model = compiled(use_ema=True, ema_momentum=0.5)
    callback = keras.callbacks.SwapEMAWeights(swap_on_epoch=True)
    callback.set_params({"epochs": 10})  # as many as there may be: training stops earlier
    callback.set_model(model)
    model.fit(IMAGES, TARGETS, epochs=2, verbose=0)
    callback.on_epoch_end(1)  # the weights of the model are the averages from here on
    averages = model.get_weights()
    assign_averages(callback)
    model.optimizer.finalize_variable_values(model.trainable_variables)
    for average, weight in zip(averages, model.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, average)
