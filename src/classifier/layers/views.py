"""Test-time augmentation: the mean of a network's predictions for several views of each image."""

from typing import Annotated, Any

import keras
import numpy as np
from keras import ops
from pydantic import Field

from classifier.layers.ensemble import members_of
from classifier.support.limits import Index, checked


@keras.saving.register_keras_serializable(package="classifier")
class Views(keras.layers.Layer):
    """Makes views of each image: shifted in four directions, the middle enlarged, all mirrored.

    Krizhevsky et al., ImageNet classification with deep convolutional neural networks, 2012,
    average ten such views. Input (N, H, W, C); output (V * N, H, W, C) of the same dtype, the N
    images of a view one after another. In training the output is the input.

    Args:
        mirror: whether every view is used mirrored left to right, too.
        shift: up, down, left and right, in pixels; 0 makes no such views. Empty places at the edge
            show the image's reflection.
        middle: share of height and width that is enlarged to the full size; 1 makes no such view.
    """

    def __init__(self, mirror: bool = False, shift: int = 0, middle: float = 1.0, **kwargs: Any):
        super().__init__(**kwargs)
        self.mirror = mirror
        self.shift = shift
        self.middle = middle

    @property
    def count(self) -> int:
        """The number of views of an image, V; the image itself is one of them."""
        return (1 + 4 * bool(self.shift) + (self.middle < 1)) * (1 + self.mirror)

    def call(self, images: Any, training: bool = False) -> Any:
        if training:
            return images
        views = [images]
        if self.shift:
            views += _shifted(images, self.shift)
        if self.middle < 1:
            views.append(_enlarged(images, self.middle))
        if self.mirror:
            views += [ops.flip(view, axis=2) for view in views]
        return ops.concatenate(views, axis=0)

    def compute_output_spec(self, images: Any, training: bool = False) -> Any:
        return keras.KerasTensor(images.shape, images.dtype)

    def get_config(self) -> dict[str, Any]:
        own = {"mirror": self.mirror, "shift": self.shift, "middle": self.middle}
        return super().get_config() | own


@keras.saving.register_keras_serializable(package="classifier")
class MeanOfViews(keras.layers.Layer):
    """The mean of the predictions for the views of each image: (V * N, classes) to (N, classes).

    Args:
        count: number of views, V. In training there is one view, and the output is the input.
    """

    def __init__(self, count: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.count = count

    def call(self, probabilities: Any, training: bool = False) -> Any:
        if training:
            return probabilities
        by_view = ops.reshape(probabilities, (self.count, -1, probabilities.shape[-1]))
        return ops.mean(by_view, axis=0)

    def compute_output_spec(self, probabilities: Any, training: bool = False) -> Any:
        return keras.KerasTensor(probabilities.shape, probabilities.dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "count": self.count}


def _shifted(images: Any, shift: int) -> list[Any]:
    """The images shifted up, down, left and right."""
    height, width = images.shape[1:3]
    padded = ops.pad(images, ((0, 0), (shift, shift), (shift, shift), (0, 0)), mode="reflect")
    corners = [(2 * shift, shift), (0, shift), (shift, 2 * shift), (shift, 0)]
    return [padded[:, top : top + height, left : left + width] for top, left in corners]


def _enlarged(images: Any, share: float) -> Any:
    """The middle of the images at the full size, by bilinear interpolation."""
    height, width = images.shape[1:3]
    top, left = (round(size * (1 - share) / 2) for size in (height, width))
    middle = ops.cast(images[:, top : height - top, left : width - left], "float32")
    large = _resized(_resized(middle, 1, height), 2, width)
    return ops.cast(ops.floor(large + 0.5), images.dtype)


def _resized(images: Any, axis: int, size: int) -> Any:
    """The images with ``size`` pixels along the axis, each interpolated between two pixels.

    The weights are multiples of 1/128: the products with whole numbers are exact then, and every
    runtime rounds them alike.
    """
    last = images.shape[axis] - 1
    position = np.clip((np.arange(size) + 0.5) * (last + 1) / size - 0.5, 0, last)
    before = position.astype(int)
    shape = [-1 if number == axis else 1 for number in range(4)]
    weight = (np.round(128 * (position - before)) / 128).astype("float32").reshape(shape)
    after = np.minimum(before + 1, last)
    return (1 - weight) * ops.take(images, before, axis) + weight * ops.take(images, after, axis)


@checked
def views(
    image_shape: tuple[int, int, int],
    *,
    mirror: bool,
    shift: Index,
    middle: Annotated[float, Field(ge=0.1, le=1)],
) -> Views:
    """The layer :class:`Views`, checked for images of this height, width and channels.

    Raises:
        ValueError: the shift is as large as the image, or the middle has no pixel.
    """
    size = min(image_shape[:2])
    if shift >= size:
        raise ValueError(f"shift is {shift}: must be less than the {size} pixels")
    if round(size * (1 - middle) / 2) * 2 >= size:
        raise ValueError(f"middle is {middle}: leaves nothing of {size} pixels")
    return Views(mirror, shift, middle, name="views")


def averaged(network: keras.Model, layer: Views) -> keras.Model:
    """A model that predicts the mean of the network's predictions for the layer's views.

    It shares the network's weights, and takes over its optimizer with its state. A prediction
    takes ``layer.count`` times as long.
    """
    image = keras.Input(network.input_shape[1:], dtype=network.inputs[0].dtype, name="image")
    predictions = network(layer(image))
    mean = MeanOfViews(layer.count, dtype="float32", name="mean_of_views")(predictions)
    model = keras.Model(image, mean, name=network.name)
    if network.compiled:
        model.compile(network.optimizer, network.loss, metrics=["accuracy"])
        # Keras would save the optimizer of both models, but restore the state of one only.
        network.compiled, network.optimizer = False, None
    return model


def network_of(model: keras.Model) -> keras.Model:
    """The network that a model of :func:`averaged` was made from; any other model itself.

    Of an :func:`classifier.layers.ensemble.ensemble`, it is the network of its first member.
    """
    if members := members_of(model):
        return network_of(members[0])
    if not any(isinstance(layer, Views) for layer in model.layers):
        return model
    return next(layer for layer in model.layers if isinstance(layer, keras.Model))
