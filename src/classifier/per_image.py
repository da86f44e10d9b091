"""The base of augmentation layers that change each picture by a draw of its own."""

from typing import Any, NamedTuple

import keras
import tensorflow as tf


class Shard(NamedTuple):
    """Consecutive rows of a batch."""

    offset: int
    size: int
    batch_size: int  # of the whole batch

    def of(self, batch: Any) -> Any:
        """These rows of a batch's tensors (batch_size, ...)."""
        return tf.nest.map_structure(
            lambda rows: rows[self.offset : self.offset + self.size], batch
        )


class PerImageLayer(keras.layers.Layer):
    """Gives :meth:`transform` a row of uniform random numbers for each picture of a batch.

    A picture's row depends on the seed and on its place in the batch alone: a shard of a batch
    becomes what it would become within the whole, once ``shard`` says which one it is.

    Attributes:
        draws_per_image: random numbers in a row.
        lowest_draw: they are at least this, and below 1.
        shard: the part of the batch that the next call gets; None for all of it.
    """

    draws_per_image = 0
    lowest_draw = 0.0

    def __init__(self, *, seed: int | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.seed = seed
        self.shard: Shard | None = None
        self.generator = keras.random.SeedGenerator(seed)

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
        """The changed pictures, float32 (N, H, W, C), as they came.

        Args:
            draws: float32 (N, draws_per_image), lowest_draw up to 1.
        """
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "seed": self.seed}
