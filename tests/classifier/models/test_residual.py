"""The residual network."""

import keras
import numpy as np
import pytest

from classifier.models.residual import residual

OPTIONS = {
    "blocks": 1,
    "stem_kernel_size": 3,
    "stem_strides": 2,
    "activation": "relu",
    "dropout": 0.0,
}


def build(filters: list[int], size: int = 32) -> keras.Model:
    first = keras.layers.Rescaling(1 / 255)
    return residual((size, size, 3), 5, first, filters=filters, **OPTIONS)


def test_shapes_and_names() -> None:
    model = build([4, 8, 16])
    assert model.output_shape == (None, 5)
    assert model.get_layer("stage3_block1_activation").output.shape == (None, 4, 4, 16)


def test_each_block_begins_as_the_identity() -> None:
    model = build([4])
    before = keras.Model(model.inputs, model.get_layer("stem_activation").output)
    after = keras.Model(model.inputs, model.get_layer("stage1_block1_activation").output)
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    np.testing.assert_array_equal(
        before.predict(images, verbose=0), after.predict(images, verbose=0)
    )


def test_an_image_too_small_is_refused() -> None:
    with pytest.raises(ValueError, match="7 pixels are too few for 3 stages"):
        build([4, 8, 16], size=7)
