"""The private API of Keras that this project needs, in one place.

Keras has no public API for what these functions do. If a new version of Keras lacks one of the
attributes, ``tests/classifier/layers/test_keras_private.py`` fails and names it.
"""

from typing import Any

import keras


def flatten_layers(layer: keras.layers.Layer) -> list[keras.layers.Layer]:
    """The layer and every layer inside it, at any depth (``Layer._flatten_layers``)."""
    return list(layer._flatten_layers())


def set_seed_generator(layer: keras.layers.Layer, generator: keras.random.SeedGenerator) -> None:
    """Makes the random layers in ``layer`` take their seeds from ``generator``.

    Keras's random preprocessing layers call ``_get_seed_generator`` each time they are called; its
    other random layers (dropout, noise) have the generator in an attribute.
    """
    for part in flatten_layers(layer):
        if hasattr(part, "_get_seed_generator"):
            part._get_seed_generator = lambda backend=None: generator
        for name, value in list(vars(part).items()):
            if isinstance(value, keras.random.SeedGenerator):
                # Keras allows no new generator in a layer that is built.
                object.__setattr__(part, name, generator)


def build_from_batches(model: keras.Model, batch_spec: Any) -> None:
    """Builds a compiled model's metrics and optimizer from the specification of a batch.

    ``Model.fit`` would build them (``_symbolic_build``) from a batch of the distributed dataset,
    which several workers cannot do; without ``_distribute_strategy`` it takes the strategy of the
    current scope and builds nothing.

    Args:
        batch_spec: ``tf.TensorSpec`` of images and targets, of one replica's share of a batch.
    """
    model._symbolic_build(data_batch=batch_spec)
    model._distribute_strategy = None


def assign_averages(callback: keras.callbacks.SwapEMAWeights) -> None:
    """Copies the averaged weights to the optimizer, as ``SwapEMAWeights`` does at the end.

    ``_finalize_ema_values`` is called for the last epoch alone, not for an early stop.
    """
    callback._finalize_ema_values()
