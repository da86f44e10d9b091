"""Networks of keras.applications: their own preprocessing, and what cannot be had."""

from typing import Any

import keras
import numpy as np
import pytest

from classifier.backbones.applications import application
from classifier.support.errors import InputError

MODULE = keras.src.applications.mobilenet_v2


def test_its_preprocessing_is_the_first_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    build = keras.applications.MobileNetV2

    def with_random_weights(**options: Any) -> keras.Model:
        return build(**options | {"weights": None})

    with_random_weights.__module__ = build.__module__
    monkeypatch.setattr(keras.applications, "MobileNetV2", with_random_weights)
    model = application(None, name="MobileNetV2")
    plain = build(include_top=False, weights=None, input_shape=(64, 64, 3))
    plain.set_weights(model.get_weights())
    images = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
    scaled = keras.applications.mobilenet_v2.preprocess_input(images.astype(np.float32))
    np.testing.assert_allclose(
        model.predict(images, verbose=0), plain.predict(scaled, verbose=0), atol=1e-4
    )


@pytest.mark.fault("a network of keras.applications that cannot be had", "one line")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("MobilNetV2", "keras.applications has no 'MobilNetV2': did you mean 'MobileNetV2'"),
        ("ResNet50", "ResNet50 was trained on BGR pixels"),
        ("MobileNetV2", "the weights of MobileNetV2 cannot be had from Keras: "),
    ],
    ids=["no such network", "of BGR pixels", "no network connection"],
)
def test_what_cannot_be_had(monkeypatch: pytest.MonkeyPatch, name: str, message: str) -> None:
    monkeypatch.setattr(MODULE, "BASE_WEIGHT_PATH", "http://127.0.0.1:9/")  # nothing listens there
    with pytest.raises(InputError, match=message):
        application(None, name=name)
