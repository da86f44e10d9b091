"""A Keras augmentation layer: random operations for each image, of one range of strengths."""

from typing import Any

import keras


@keras.saving.register_keras_serializable(package="classifier")
class RandAugment(keras.layers.RandAugment):
    """Applies ``num_ops`` random operations to each image, one after another.

    Cubuk et al., RandAugment, 2020 (https://arxiv.org/abs/1909.13719). Keras's layer draws the
    operations once for a whole batch; this one draws them for each image. The arguments, the eleven
    operations and the time that they take are those of Keras's layer, which applies every operation
    to the whole batch and selects from the results.
    """

    def get_random_transformation(
        self, data: Any, training: bool = True, seed: Any = None
    ) -> dict[str, Any] | None:
        transformation = super().get_random_transformation(data, training=training, seed=seed)
        if transformation is None:
            return None
        images = data["images"] if isinstance(data, dict) else data
        # One number per image: transform_images compares it with the number of each operation.
        operations = self.backend.random.randint(
            (self.num_ops, self.backend.shape(images)[0], 1, 1, 1),
            0,
            len(self._AUGMENT_LAYERS),
            seed=self._get_seed_generator(self.backend._backend),
        )
        return {**transformation, "layer_idxes": operations}
