"""The answers of a model: calibrated, with a score that is the same from NumPy and from Keras."""

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest

from classifier.answers.answers import (
    Fitted,
    answering,
    read_fitted,
    score,
    threshold,
    write_fitted,
)
from classifier.answers.distance import fit_distance
from classifier.answers.features import middle_maps, with_features
from classifier.layers.views import Views, averaged
from classifier.reporting.calibration import apply_temperature
from conftest import build_model


def images(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 28, 28, 3), dtype=np.uint8)


def convnet(views: bool = False) -> keras.Model:
    model = build_model("convnet", filters=[4, 6, 8], convolutions=1)
    return averaged(model, Views(mirror=True)) if views else model


@pytest.mark.parametrize("build", [convnet, lambda: convnet(views=True)], ids=["plain", "views"])
@pytest.mark.parametrize("calibrate", [True, False])
def test_keras_answers_as_numpy_computes(
    build: Callable[[], keras.Model], calibrate: bool, tmp_path: Path
) -> None:
    model = build()
    trained, features = with_features(model).predict_on_batch(images(20))
    probabilities = apply_temperature(trained, 0.5)
    distance = fit_distance(features, features)
    expected = score(probabilities, features, distance)
    limit = threshold(expected, 0.5)
    write_fitted(Fitted(0.5, distance, np.sort(expected)), tmp_path / "fitted.npz")
    fitted = read_fitted(tmp_path / "fitted.npz")
    answers = answering(model, fitted, calibrate=calibrate, threshold=limit).predict_on_batch(
        images(20)
    )
    shown = probabilities if calibrate else model.predict_on_batch(images(20))
    np.testing.assert_allclose(answers["probabilities"], shown, atol=1e-5)
    np.testing.assert_allclose(answers["score"], expected, rtol=1e-3)
    assert answers["accepted"].dtype == bool
    assert answers["accepted"].sum() == 10


def test_the_same_numbers_are_the_same_bytes(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(30, 5))
    contents = []
    for name in ("a.npz", "b.npz"):
        fitted = Fitted(0.5, fit_distance(values, values), np.arange(3, dtype=np.float32))
        write_fitted(fitted, tmp_path / name)
        contents.append((tmp_path / name).read_bytes())
    assert contents[0] == contents[1]


def test_the_middle_maps_are_the_last_ones_of_the_middle_size() -> None:
    maps = middle_maps(convnet())
    assert maps is not None
    assert maps.shape == (None, 7, 7, 6)  # of 14, 7 and 4


def test_a_network_without_maps_has_the_input_of_its_last_layer() -> None:
    model = build_model("dense", units=[16])
    assert middle_maps(model) is None
    assert with_features(model).outputs[1].shape == (None, 16)


def test_far_features_have_a_high_score_and_usual_ones_are_near_1() -> None:
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(6, 6))
    distance = fit_distance(rng.normal(size=(500, 6)) @ mixing, rng.normal(size=(100, 6)) @ mixing)
    usual = distance(rng.normal(size=(200, 6)) @ mixing)
    assert np.median(usual) == pytest.approx(1, abs=0.2)
    assert distance(np.full((1, 6), 100.0))[0] > usual.max()


@pytest.mark.parametrize("features", [np.ones((1, 4)), np.zeros((5, 4)), np.eye(4)])
def test_few_or_equal_features_give_finite_distances(features: np.ndarray) -> None:
    distance = fit_distance(features, features)
    assert np.isfinite(distance(features)).all()
    assert np.isfinite(distance(features + 1)).all()


def test_the_threshold_accepts_the_share() -> None:
    scores = np.linspace(0.1, 2, 101)
    for share in (0.5, 0.97, 1):
        limit = threshold(scores, share)
        assert (scores <= limit).mean() == pytest.approx(share, abs=0.011)
        assert (scores <= limit).mean() >= share
