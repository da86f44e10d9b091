"""The base of augmentation layers that change each picture by a draw of its own."""

from typing import Any, NamedTuple

import keras
import tensorflow as tf


class Rows(NamedTuple):
    """Which part of a batch some pictures are: ``whole`` pictures, of which theirs begin at
    ``first``."""

    first: int
    whole: int


class PerImageLayer(keras.layers.Layer):
    """Gives :meth:`change` a row of ``numbers`` even chances for each picture of a batch.

    A picture's row depends on the seed and on its place in the batch alone: a part of a batch
    becomes what it would become within the whole, once ``rows`` says which part it is.

    Attributes:
        numbers: chances that a picture's change takes.
        rows: the part of the batch that the next call gets; None for all of it.
    """

    numbers = 0

    def __init__(self, *, seed: int | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.seed = seed
        self.rows: Rows | None = None
        self.generator = keras.random.SeedGenerator(seed)

    def _get_seed_generator(self, backend: Any = None) -> keras.random.SeedGenerator:
        return self.generator

    def call(self, images: Any, training: bool = True) -> Any:
        if not training:
            return images
        count = tf.shape(images)[0]
        first, whole = self.rows or Rows(0, count)
        drawn = keras.random.uniform((whole, self.numbers), seed=self._get_seed_generator())
        return self.change(images, drawn[first : first + count])

    def change(self, images: Any, chance: Any) -> Any:
        """The changed pictures, float32 (N, H, W, C), as they came.

        Args:
            chance: float32 (N, numbers), 0 up to 1.
        """
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "seed": self.seed}
