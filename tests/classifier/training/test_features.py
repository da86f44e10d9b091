"""The head of a model with a frozen base trains on features that are computed once."""

from pathlib import Path

import keras
import numpy as np
import pytest

from classifier.models.transfer import transfer
from classifier.saved.saving import save_model
from classifier.support.errors import InputError
from classifier.training import memory
from classifier.training.features import features_of, split_at_head
from classifier.training.feed import TrainingFeed, evaluation_batches
from classifier.training.fit import fit
from classifier.training.freezing import frozen_layers
from classifier.training.phases import Phase
from conftest import build_model, fit_options

IMAGES = np.random.default_rng(0).integers(0, 256, (30, 16, 16, 3), dtype=np.uint8)
LABELS = np.arange(30) % 3


@pytest.fixture
def base(tmp_path: Path) -> Path:
    save_model(build_model("convnet", 16, filters=[4, 8]), tmp_path / "base.keras")
    return tmp_path / "base.keras"


def transferred(base: Path) -> keras.Model:
    return transfer(
        (16, 16, 3),
        3,
        keras.layers.Identity(),
        base=str(base),
        units=[],
        activation="relu",
        normalization="none",
        dropout=0.1,
        weight_decay=0.0,
    )


@pytest.fixture
def model(base: Path) -> keras.Model:
    return transferred(base)


def feed() -> TrainingFeed:
    policy = [keras.layers.RandomFlip("horizontal")]
    return TrainingFeed(
        images=IMAGES, labels=LABELS, classes=3, batch_size=8, seed=1, layers=policy
    )


def test_base_and_head_together_are_the_model(model: keras.Model) -> None:
    base, head = split_at_head(model)
    assert [layer.name for layer in head.layers[1:]] == ["dropout", "probabilities"]
    features = base.predict(IMAGES, verbose=0)
    np.testing.assert_allclose(
        head.predict(features, verbose=0), model.predict(IMAGES, verbose=0), rtol=1e-5
    )


def test_the_head_gets_the_features_of_images_that_are_not_augmented(model: keras.Model) -> None:
    base, _ = split_at_head(model)
    validation = evaluation_batches(IMAGES[:7], LABELS[:7], classes=3)
    training, checked = features_of(base, feed(), validation)
    np.testing.assert_allclose(training.images, base.predict(IMAGES, verbose=0), rtol=1e-5)
    assert (training.layers, training.labels.tolist()) == ((), LABELS.tolist())
    ((features, targets),) = checked
    np.testing.assert_allclose(features, base.predict(IMAGES[:7], verbose=0), rtol=1e-5)
    assert targets.numpy().argmax(axis=1).tolist() == LABELS[:7].tolist()


def test_the_features_of_a_base_in_mixed_precision_are_float32(base: Path, tmp_path: Path) -> None:
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = transferred(base)
        assert model.get_layer("block1_convolution1").compute_dtype == "bfloat16"
        phases = [
            Phase(2, keras.optimizers.Adam(0.01), [], on_features=True),
            Phase(1, keras.optimizers.Adam(0.001), [], unfrozen=1),
        ]
        validation = evaluation_batches(IMAGES[:9], LABELS[:9], classes=3)
        features, _ = features_of(split_at_head(model)[0], feed(), validation)
        assert features.images.dtype == np.float32
        history = fit(
            model, phases, feed(), validation, fit_options(), tmp_path, lambda epoch, row: None
        )
    finally:
        keras.config.set_dtype_policy("float32")
    assert np.isfinite(history["loss"]).all()


@pytest.mark.fault("too little memory for the features of all images", "one line before they are")
def test_features_beyond_the_memory(model: keras.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_bytes", lambda root: 1000)
    validation = evaluation_batches(IMAGES, LABELS, classes=3)
    with pytest.raises(InputError, match=r"the features of 30 images take 0\.0 GB of memory, and"):
        features_of(split_at_head(model)[0], feed(), validation)


@pytest.mark.difference("a training of a head that was interrupted", "each epoch is the same again")
def test_a_killed_training_of_head_and_base_ends_with_the_same_weights(
    model: keras.Model, tmp_path: Path
) -> None:
    top = frozen_layers(model)[-1]
    kernel = top.kernel.numpy()
    before = [variable.numpy() for variable in model.variables]  # with the seeds of dropout

    def train(folder: Path, killed_after: int | None) -> list[np.ndarray]:
        def on_epoch(epoch: int, row: dict[str, float]) -> None:
            if epoch == killed_after:
                raise KeyboardInterrupt

        keras.utils.set_random_seed(1)
        for layer in model.layers[:-2]:
            layer.trainable = False
        for variable, value in zip(model.variables, before, strict=True):
            variable.assign(value)
        rate = keras.optimizers.schedules.ExponentialDecay(0.1, 1, 0.9)
        phases = [
            Phase(3, keras.optimizers.Adam(rate), [], on_features=True),
            Phase(2, keras.optimizers.Adam(0.01), [], unfrozen=1),
        ]
        validation = evaluation_batches(IMAGES[:9], LABELS[:9], classes=3)
        history = fit(model, phases, feed(), validation, fit_options(), folder, on_epoch)
        assert history["epoch"].tolist() == [1, 2, 3, 4, 5]
        return list(model.get_weights())

    whole = train(tmp_path / "whole", None)
    assert (top.kernel.numpy() != kernel).any()
    for killed_after in (2, 4):
        folder = tmp_path / str(killed_after)
        with pytest.raises(KeyboardInterrupt):
            train(folder, killed_after)
        for one, other in zip(whole, train(folder, None), strict=True):
            np.testing.assert_array_equal(one, other)
