"""Models edited by their layers' names: each function gives a new functional model.

The old one stays as it was. Layers of the same name and shape have its weights; a layer that now
gets an input of another shape begins anew (``keras.models.clone_model``,
https://keras.io/api/models/model_saving_apis/model_config_serialization).
"""

from collections.abc import Callable
from typing import Any

import keras


def replace_layer(model: keras.Model, name: str, layer: keras.layers.Layer) -> keras.Model:
    """The model with ``layer`` where the layer called ``name`` was.

    Raises:
        ValueError: the model has no such layer; names those it has.
    """
    return _edited(model, name, lambda old, *inputs, **options: layer(*inputs), renewed=name)


def insert_after(model: keras.Model, name: str, layer: keras.layers.Layer) -> keras.Model:
    """The model with ``layer`` applied to what the layer called ``name`` gives.

    Raises:
        ValueError: the model has no such layer; names those it has.
    """
    return _edited(model, name, lambda old, *inputs, **options: layer(old(*inputs, **options)))


def remove_layer(model: keras.Model, name: str) -> keras.Model:
    """The model without the layer called ``name``, which must have one input.

    Raises:
        ValueError: the model has no such layer, or it merges several inputs.
    """

    def passed_on(old: keras.layers.Layer, *inputs: Any, **options: Any) -> Any:
        if len(inputs) != 1 or isinstance(inputs[0], (list, tuple)):
            raise ValueError(f"layer '{name}' merges several inputs: it cannot be left out")
        return inputs[0]

    return _edited(model, name, passed_on)


def replace_head(model: keras.Model, classes: int) -> keras.Model:
    """The model with a new last layer, ``probabilities``, for so many classes."""
    head = keras.layers.Dense(classes, activation="softmax", dtype="float32", name="probabilities")
    return replace_layer(model, model.layers[-1].name, head)


def _edited(
    model: keras.Model, name: str, call: Callable[..., Any], renewed: str | None = None
) -> keras.Model:
    names = [layer.name for layer in model.layers]
    if name not in names:
        raise ValueError(f"{model.name} has no layer '{name}': it has {', '.join(names)}")
    functional = keras.Model(model.inputs, model.outputs, name=model.name)
    edited = keras.models.clone_model(
        functional,
        call_function=lambda layer, *inputs, **options: (
            call(layer, *inputs, **options) if layer.name == name else layer(*inputs, **options)
        ),
    )
    kept = {layer.name: layer for layer in model.layers if layer.name != renewed}
    for layer in edited.layers:
        weights = kept[layer.name].get_weights() if layer.name in kept else []
        if [value.shape for value in weights] == [value.shape for value in layer.get_weights()]:
            layer.set_weights(weights)
    return edited
