"""A Keras augmentation layer: another light and other colours in one step."""

from typing import Any

import keras
import tensorflow as tf

LUMA = (0.299, 0.587, 0.114)  # grey of red, green and blue, ITU-R BT.601


@keras.saving.register_keras_serializable(package="classifier")
class RandomColor(keras.layers.Layer):
    """Changes each picture's brightness, contrast and saturation by factors of its own.

    Howard, Some improvements on deep convolutional neural network based image classification,
    2013. All three are linear in a pixel's colour and its grey: one sum over the pixels, where
    ``RandomBrightness``, ``RandomContrast`` and ``RandomSaturation`` (by way of hue and value)
    pass over them a dozen times.

    Input and output float32 (N, H, W, 3), not clipped. Each argument is the largest change either
    way; an image's own is drawn evenly.

    Args:
        brightness: share of 255 that is added.
        contrast: share by which the distance from the picture's mean grey grows.
        saturation: share by which the distance from grey grows.
    """

    def __init__(
        self,
        brightness: float = 0.0,
        contrast: float = 0.0,
        saturation: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.brightness = brightness
        self.contrast = contrast
        self.saturation = saturation
        self.seed = seed
        self.generator = keras.random.SeedGenerator(seed)
        for name in ("brightness", "contrast", "saturation"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise ValueError(f"{name} is {value}: must be between 0 and 1")

    def _get_seed_generator(self, backend: Any = None) -> keras.random.SeedGenerator:
        return self.generator

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        if input_shape[-1] != 3:
            raise ValueError(
                f"{self.name} takes colour images, not of {input_shape[-1]} channel: "
                "set normalize.channels=3, or choose a policy without it"
            )

    def call(self, images: Any, training: bool = True) -> Any:
        if not training:
            return images
        shape = tf.shape(images)
        drawn = keras.random.uniform((shape[0], 3), -1.0, 1.0, seed=self._get_seed_generator())
        added = 255 * self.brightness * drawn[:, 0, None, None, None]
        contrast = 1 + self.contrast * drawn[:, 1, None, None, None]
        saturation = 1 + self.saturation * drawn[:, 2, None, None, None]
        grey = tf.nn.conv2d(images, tf.constant(LUMA, shape=(1, 1, 3, 1)), 1, "VALID")
        mean = tf.reduce_mean(grey, axis=(1, 2), keepdims=True)
        shift = contrast * (1 - saturation) * grey + (1 - contrast) * mean + added
        return contrast * saturation * images + shift

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "brightness": self.brightness,
            "contrast": self.contrast,
            "saturation": self.saturation,
            "seed": self.seed,
        }
