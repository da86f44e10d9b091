"""Transfer learning: a base that was trained before, frozen, and a new head on its features."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
from keras import layers

from classifier.layers.views import network_of
from classifier.models.blocks import Blocks, chain
from classifier.saved.saving import load_model
from classifier.support.limits import Count, checked


@checked
def transfer(
    image_shape: tuple[int, int, int],
    classes: int,
    preprocessing: keras.layers.Layer,
    *,
    base: str,
    units: Sequence[Count],
    **options: Any,
) -> keras.Model:
    """Builds the network, with every layer of the base frozen.

    The base brings its own preprocessing: its weights were trained with it, and
    ``preprocessing`` is not used (https://keras.io/guides/transfer_learning).

    Args:
        image_shape: height, width, channels of the uint8 images that the model takes.
        classes: number of classes; the output is float32 (N, classes), probabilities.
        base: a ``.keras`` file: a backbone, which takes images of any size and gives feature
            maps; or a model of this project's families, whose last layer is replaced.
        units: of each hidden layer of the head.
        options: of the head; see :class:`classifier.models.blocks.Blocks`.

    Raises:
        ValueError: there is no such file, or its images are of another shape.
    """
    blocks = Blocks(**options)
    if not Path(base).is_file():
        raise ValueError(f"base {base} does not exist")
    model = network_of(load_model(Path(base)))
    if model.input_shape[1] is None:
        image, features = _backbone(model, base, image_shape)
    else:
        image, features = _trained(model, base, image_shape)
    for layer in keras.Model(image, features).layers:
        layer.trainable = False
    x = features
    for number, width in enumerate(units, 1):
        x = chain(x, blocks.hidden(width, name=f"head_hidden{number}"))
    x = chain(x, blocks.head(classes))
    return keras.Model(image, x, name="transfer")


def _backbone(
    model: keras.Model, base: str, image_shape: tuple[int, int, int]
) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    if image_shape[-1] != model.input_shape[-1]:
        raise ValueError(
            f"base {base} takes colour images: set normalize.channels={model.input_shape[-1]}, "
            "which makes three equal channels of a grey image"
        )
    image = keras.Input(image_shape, dtype="uint8", name="image")
    sized = _cloned(model, image)
    height, width = sized.output.shape[1:3]
    if min(height, width) < 2:
        raise ValueError(
            f"images of {_shape(image_shape)} are too small for base {base}, which makes feature "
            f"maps of {height} x {width} of them: set a larger normalize.image_size"
        )
    return image, layers.GlobalAveragePooling2D(name="features")(sized.output)


def _trained(
    model: keras.Model, base: str, image_shape: tuple[int, int, int]
) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    if model.input_shape[1:] != tuple(image_shape):
        height, width, channels = model.input_shape[1:]
        size = height if height == width else f"[{height}, {width}]"
        raise ValueError(
            f"base {base} takes images of {_shape(model.input_shape[1:])}, not of "
            f"{_shape(image_shape)}: set normalize.image_size={size}, channels={channels}"
        )
    model = _cloned(model)
    last = model.layers[-2] if isinstance(model.layers[-2], layers.Dropout) else model.layers[-1]
    return model.inputs[0], last.input


def _cloned(model: keras.Model, image: keras.KerasTensor | None = None) -> keras.Model:
    """The same layers and weights, in the precision of this training, on another input."""
    policy = keras.config.dtype_policy().name

    def clone(layer: keras.Operation) -> keras.Operation:
        # A sum of two tensors, say, is an operation without weights, and without a dtype.
        has_dtype = isinstance(layer, keras.layers.Layer)
        return layer.from_config(layer.get_config() | ({"dtype": policy} if has_dtype else {}))

    copy = keras.models.clone_model(model, input_tensors=image, clone_function=clone)
    copy.set_weights(model.get_weights())
    return copy


def _shape(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))
