"""Networks of ``keras.applications``, with the weights that Keras publishes for them."""

import inspect
import sys
from collections.abc import Callable

import keras
import numpy as np
from keras import layers

from classifier.support.errors import InputError, nearest
from classifier.support.limits import checked


@checked
def application(file: None, *, name: str) -> keras.Model:
    """Builds the network without its classifier, with weights of ImageNet.

    Keras downloads the weights to ``~/.keras``, and checks the hashes that it has
    (https://keras.io/api/applications).

    Args:
        file: none is needed.
        name: of the function in ``keras.applications``.

    Returns:
        A model of uint8 images (N, H, W, 3) of any size; its outputs are the feature maps.

    Raises:
        InputError: there is no such network, it takes BGR pixels, or its weights cannot be had.
    """
    build = getattr(keras.applications, name, None)
    if not inspect.isfunction(build):
        known = [name for name, _ in inspect.getmembers(keras.applications, inspect.isfunction)]
        raise InputError(f"keras.applications has no '{name}': {nearest(name, known)}")
    image = keras.Input((None, None, 3), dtype="uint8", name="image")
    pixels = _preprocessed(image, name, build)
    try:
        model = build(include_top=False, weights="imagenet", input_tensor=pixels)
    except Exception as error:  # Keras raises a plain Exception for a failed download
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"the weights of {name} cannot be had from Keras: {reason}") from error
    return keras.Model(image, model.output, name=name.lower())


def _preprocessed(
    image: keras.KerasTensor, name: str, build: Callable[..., keras.Model]
) -> keras.KerasTensor:
    """The application's ``preprocess_input`` as a layer, derived from what it gives for pixels."""
    preprocess = sys.modules[build.__module__].preprocess_input
    black = preprocess(np.zeros((3, 3), np.float32))[0]
    slopes = preprocess(np.eye(3, dtype=np.float32)) - black
    if np.count_nonzero(slopes - np.diag(np.diag(slopes))):
        raise InputError(
            f"{name} was trained on BGR pixels: choose a network of RGB, such as ResNet50V2"
        )
    if (slopes == np.eye(3)).all() and not black.any():
        return image  # it has a layer of its own for that
    layer = layers.Rescaling(np.diag(slopes).tolist(), black.tolist(), name="normalization")
    return layer(image)
