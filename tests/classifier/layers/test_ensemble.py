"""Ensembles: the mean of probabilities, as one model, also with views."""

from pathlib import Path

import keras
import numpy as np

from classifier.answers.features import with_features
from classifier.layers.ensemble import ensemble, members_of
from classifier.layers.views import Views, averaged, network_of
from classifier.reporting.explanation import grad_cam, saliency
from classifier.saved.saving import fingerprint, load_model, save_model
from conftest import build_model

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), np.uint8)


def members() -> list[keras.Model]:
    """Two architectures, the first with mirrored views."""
    first = averaged(
        build_model("convnet", size=16, filters=[4, 4], convolutions=1), Views(mirror=True)
    )
    return [first, build_model("dense", size=16)]


def test_an_ensemble_predicts_the_mean_and_can_be_saved(tmp_path: Path) -> None:
    parts = members()
    expected = np.mean([part.predict(IMAGES, verbose=0) for part in parts], axis=0)
    model = ensemble(parts, "two")
    np.testing.assert_allclose(model.predict(IMAGES, verbose=0), expected, atol=1e-6)
    save_model(model, tmp_path / "model.keras")
    loaded = load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded.predict(IMAGES, verbose=0), expected, atol=1e-6)
    assert loaded.name == "two"
    assert [member.name for member in members_of(loaded)] == ["member_1", "member_2"]
    # Keras gives the weights other paths when they are loaded: the same ones each time.
    assert fingerprint(load_model(tmp_path / "model.keras")) == fingerprint(loaded)


def test_features_and_explanations_are_those_of_the_first_member() -> None:
    parts = members()
    model = ensemble(parts, "two")
    probabilities, features = with_features(model).predict(IMAGES, verbose=0)
    np.testing.assert_allclose(probabilities, model.predict(IMAGES, verbose=0), atol=1e-6)
    _, of_first = with_features(parts[0]).predict(IMAGES, verbose=0)
    np.testing.assert_allclose(features, of_first, atol=1e-5)
    assert network_of(model) is network_of(parts[0])
    labels = np.array([0, 1, 2])
    assert saliency(model, IMAGES, labels).shape == (3, 16, 16)
    assert grad_cam(model, IMAGES, labels) is not None


def test_another_model_has_no_members() -> None:
    assert members_of(build_model("dense", size=8)) == []
