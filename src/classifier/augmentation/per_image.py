"""The base class of augmentation layers with random numbers for each image."""

from typing import Any, NamedTuple

import keras
import tensorflow as tf


class Shard(NamedTuple):
    """Consecutive rows of a batch; after its last row comes its first one again.

    Attributes:
        offset: the first row; an integer, or a tensor (), like the others.
        size: number of rows.
        batch_size: number of rows of the whole batch.
    """

    offset: Any
    size: Any
    batch_size: Any

    @property
    def rows(self) -> tf.Tensor:
        """int32 (size,); those from ``batch_size`` on are the first ones again."""
        return tf.range(self.offset, self.offset + self.size)

    def of(self, batch: Any) -> Any:
        """These rows of a batch's tensors (batch_size, ...)."""
        return tf.nest.map_structure(
            lambda values: tf.gather(values, self.rows % self.batch_size), batch
        )


class PerImageLayer(keras.layers.Layer):
    """Calls :meth:`transform` with a row of uniform random numbers per image.

    The random numbers of an image depend only on the seed and on its place in the batch. A shard
    of a batch is therefore changed as it is within the whole batch, if ``shard`` is set.

    Attributes:
        draws_per_image: number of random numbers per image.
        lowest_draw: lower bound of the random numbers; the upper bound is 1.
        shard: the part of a batch that the next call gets; None is the whole batch.
    """

    draws_per_image = 0
    lowest_draw = 0.0

    def __init__(self, *, seed: int | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.seed = seed
        self.shard: Shard | None = None
        self.generator = keras.random.SeedGenerator(seed)

    # Keras calls it so in its own random layers: see classifier.layers.keras_private.
    def _get_seed_generator(self, backend: Any = None) -> keras.random.SeedGenerator:
        return self.generator

    def call(self, images: Any, training: bool = True) -> Any:
        if not training:
            return images
        batch_size = tf.shape(images)[0] if self.shard is None else self.shard.batch_size
        draws = keras.random.uniform(
            (batch_size, self.draws_per_image),
            self.lowest_draw,
            1.0,
            seed=self._get_seed_generator(),
        )
        return self.transform(images, draws if self.shard is None else self.shard.of(draws))

    def transform(self, images: Any, draws: Any) -> Any:
        """The changed images, float32 (N, H, W, C).

        Args:
            images: float32 (N, H, W, C), values 0..255.
            draws: float32 (N, draws_per_image), from lowest_draw up to 1.
        """
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "seed": self.seed}
