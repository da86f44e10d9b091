"""Transfer learning: a base that was trained before, frozen, and a new head on its features."""

import inspect
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import keras
import numpy as np
from keras import layers

from classifier.errors import nearest
from classifier.models.blocks import chain, head, hidden, unit
from classifier.saving import load_model
from classifier.views import network_of


def transfer(
    image_shape: tuple[int, int, int],
    classes: int,
    preprocessing: keras.layers.Layer,
    *,
    base: str,
    weights: str | None,
    units: Sequence[int],
    activation: str,
    normalization: str,
    dropout: float,
    weight_decay: float,
) -> keras.Model:
    """Builds the network; every layer of the base is frozen, see :mod:`classifier.freezing`.

    The base brings its own preprocessing: its weights were trained with it, and
    ``preprocessing`` is not used (https://keras.io/guides/transfer_learning).

    Args:
        image_shape: height, width, channels of the uint8 images that the model takes.
        classes: number of classes; the output is float32 (N, classes), probabilities.
        base: a ``.keras`` file of a model of this project's families, whose last layer is
            replaced; or a name of ``keras.applications``.
        weights: of a ``keras.applications`` base: ``imagenet``, which Keras downloads, a
            ``.weights.h5`` file, or None for random ones.
        units: of each hidden layer of the head.
        activation, normalization, dropout, weight_decay: of the head, see
            :mod:`classifier.models.blocks`.

    Raises:
        ValueError: there is no such base, its images are of another shape, or the weights are of
            another architecture or cannot be read.
    """
    if Path(base).suffix in (".keras", ".h5", ".hdf5"):
        image, features = _trained(Path(base), image_shape)
    else:
        image, features = _application(base, weights, image_shape)
    for layer in keras.Model(image, features).layers:
        layer.trainable = False
    x = features
    for number, width in enumerate(units, 1):
        layer = hidden(
            width,
            normalization=normalization,
            weight_decay=weight_decay,
            name=f"head_hidden{number}",
        )
        x = chain(x, unit(layer, width, normalization=normalization, activation=activation))
    x = chain(x, head(classes, dropout=dropout, weight_decay=weight_decay))
    return keras.Model(image, x, name="transfer")


def _trained(
    path: Path, image_shape: tuple[int, int, int]
) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    if not path.is_file():
        raise ValueError(f"base {path} does not exist")
    model = network_of(load_model(path))
    if model.input_shape[1:] != tuple(image_shape):
        height, _, channels = model.input_shape[1:]
        raise ValueError(
            f"base {path} takes images of {_shape(model.input_shape[1:])}, not of "
            f"{_shape(image_shape)}: set normalize.image_size={height}, channels={channels}"
        )
    last = model.layers[-2] if isinstance(model.layers[-2], layers.Dropout) else model.layers[-1]
    return model.inputs[0], last.input


def _application(
    name: str, weights: str | None, image_shape: tuple[int, int, int]
) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    build = getattr(keras.applications, name, None)
    if not inspect.isfunction(build):
        known = [name for name, _ in inspect.getmembers(keras.applications, inspect.isfunction)]
        raise ValueError(
            f"base '{name}' is no pipeline of params.yaml, no .keras file, no MLflow model and not "
            f"of keras.applications: {nearest(name, known)}"
        )
    if image_shape[-1] != 3:
        raise ValueError(f"base {name} takes colour images: set normalize.channels=3")
    image = keras.Input(image_shape, dtype="uint8", name="image")
    pixels = _preprocessed(image, name, build)
    published = weights == "imagenet"
    try:
        model = build(
            include_top=False,
            weights=weights if published else None,
            input_shape=image_shape,
            input_tensor=pixels,
        )
        if weights and not published:
            model.load_weights(weights)
    except Exception as error:
        reason = str(error).strip().splitlines()[0]
        if weights is None:
            raise ValueError(f"base {name}: {reason}") from error
        mend = "be had: give weights a .weights.h5 file" if published else "be loaded into it"
        raise ValueError(f"weights {weights} of base {name} cannot {mend}; {reason}") from error
    return image, layers.GlobalAveragePooling2D(name="features")(model.output)


def _preprocessed(
    image: keras.KerasTensor, name: str, build: Callable[..., keras.Model]
) -> keras.KerasTensor:
    """What the application's own ``preprocess_input`` does, as a layer, found by trying it."""
    preprocess = sys.modules[build.__module__].preprocess_input
    black = preprocess(np.zeros((3, 3), np.float32))[0]
    slopes = preprocess(np.eye(3, dtype=np.float32)) - black
    if np.count_nonzero(slopes - np.diag(np.diag(slopes))):
        raise ValueError(
            f"base {name} was trained on BGR pixels: choose a base of RGB, such as ResNet50V2"
        )
    if (slopes == np.eye(3)).all() and not black.any():
        return image  # it has a layer of its own for that
    layer = layers.Rescaling(np.diag(slopes).tolist(), black.tolist(), name="normalization")
    return layer(image)


def _shape(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))
