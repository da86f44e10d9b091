"""The plain convolutional network."""

import keras
import pytest

from classifier.models.convnet import convnet

OPTIONS = {"convolutions": 2, "kernel_size": 3, "activation": "relu", "dropout": 0.1}


def test_shapes_and_names() -> None:
    model = convnet((28, 28, 1), 10, keras.layers.Rescaling(1 / 255), filters=[4, 8, 16], **OPTIONS)
    assert isinstance(model, keras.Sequential)
    assert model.input_shape == (None, 28, 28, 1)
    assert model.inputs[0].dtype == "uint8"
    assert model.output_shape == (None, 10)
    assert model.get_layer("block3_2_activation").output.shape == (None, 4, 4, 16)


def test_an_image_too_small_is_refused() -> None:
    with pytest.raises(ValueError, match="7 pixels are too few for 3 halvings"):
        convnet((7, 7, 1), 10, keras.layers.Rescaling(1 / 255), filters=[4, 8, 16], **OPTIONS)
