"""Training: resuming, stopping, class weights, and every configured optimizer."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf
from sklearn.metrics import balanced_accuracy_score, f1_score

from classifier.layers.normalization import normalization_layer
from classifier.saved.saving import load_model
from classifier.support.errors import InputError
from classifier.training import fit as training
from classifier.training import schedules
from classifier.training.feed import TrainingFeed, evaluation_batches
from classifier.training.phases import Phase
from conftest import ROOT, fit_options

RNG = np.random.default_rng(0)
LABELS = np.arange(30) % 3
IMAGES = (RNG.integers(0, 100, (30, 8, 8, 3)) + 60 * LABELS[:, None, None, None]).astype("uint8")
POLICY = [keras.layers.RandomFlip("horizontal"), keras.layers.RandomRotation(0.1)]
SMOOTH = keras.losses.CategoricalCrossentropy(label_smoothing=0.1)
STEPS = 3
SLOW = pytest.mark.slow


def network() -> keras.Model:
    keras.utils.set_random_seed(1)
    first = normalization_layer({"method": "rescale"})
    steps = [
        keras.layers.Conv2D(4, 3, name="convolution"),
        keras.layers.BatchNormalization(name="batch"),
        keras.layers.Flatten(name="flat"),
        keras.layers.Dropout(0.5, name="dropout"),
        keras.layers.Dense(3, activation="softmax", name="probabilities"),
    ]
    return keras.Sequential([keras.Input((8, 8, 3), dtype="uint8"), first, *steps])


def fit(
    model: keras.Model,
    optimizer: keras.optimizers.Optimizer,
    folder: Path,
    epochs: int = 4,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    class_weights: dict[int, float] | None = None,
    on_epoch: Callable[[int, Any], None] = lambda epoch, logs: None,
    batch_size: int = 10,
    **options: Any,
) -> pd.DataFrame:
    feed = TrainingFeed(
        images=IMAGES,
        labels=LABELS,
        classes=3,
        batch_size=batch_size,
        seed=5,
        layers=POLICY,
        class_weights=class_weights,
    )
    return training.fit(
        model,
        [Phase(epochs, optimizer, callbacks, loss=SMOOTH)],
        feed,
        evaluation_batches(IMAGES, LABELS, classes=3),
        fit_options(epochs=epochs, **{"monitor": "val_loss"} | options),
        folder,
        on_epoch,
    )


class KilledError(Exception):
    """Simulates a process that ends in the middle of a training."""


def kill_after(epochs: int) -> Callable[..., None]:
    def on_epoch(epoch: int, logs: object) -> None:
        if epoch == epochs:
            raise KilledError

    return on_epoch


def cosine() -> tuple[keras.optimizers.Optimizer, list[keras.callbacks.Callback]]:
    rate = schedules.cosine(0.01, 6 * STEPS, warmup=0.2, final=0.0)
    return keras.optimizers.AdamW(rate.value, use_ema=True, ema_momentum=0.9), []


def plateau_of_small_steps() -> tuple[keras.optimizers.Optimizer, list[keras.callbacks.Callback]]:
    """The loss falls by less than ``min_delta``: the sign of ``min_delta`` decides the result."""
    rate = schedules.plateau(1e-6, 6 * STEPS, watch="val_loss", factor=0.5, wait=1, lowest=0.0)
    return keras.optimizers.SGD(rate.value), list(rate.callbacks)


def plateau() -> tuple[keras.optimizers.Optimizer, list[keras.callbacks.Callback]]:
    rate = schedules.plateau(0.01, 6 * STEPS, watch="loss", factor=0.5, wait=1, lowest=0.0)
    return keras.optimizers.SGD(rate.value, momentum=0.9), list(rate.callbacks)


@pytest.mark.parametrize("recipe", [cosine, plateau, plateau_of_small_steps])
@pytest.mark.parametrize("killed_in", [1, pytest.param(3, marks=SLOW), pytest.param(6, marks=SLOW)])
def test_a_killed_training_ends_with_the_same_weights(
    recipe: Callable[[], Any], killed_in: int, tmp_path: Path
) -> None:
    optimizer, callbacks = recipe()
    uninterrupted = network()
    history = fit(
        uninterrupted, optimizer, tmp_path / "uninterrupted", epochs=6, callbacks=callbacks
    )

    optimizer, callbacks = recipe()
    with pytest.raises(KilledError):
        fit(
            network(),
            optimizer,
            tmp_path / "interrupted",
            epochs=6,
            callbacks=callbacks,
            on_epoch=kill_after(killed_in),
        )
    epochs: list[int] = []
    # A kill while a checkpoint is written leaves this file next to the complete one.
    (tmp_path / "interrupted" / ".phase1.npz.partial").write_bytes(b"half")
    (tmp_path / "interrupted").rename(tmp_path / "moved")
    optimizer, callbacks = recipe()
    resumed = network()
    again = fit(
        resumed,
        optimizer,
        tmp_path / "moved",
        epochs=6,
        callbacks=callbacks,
        on_epoch=lambda epoch, logs: epochs.append(epoch),
    )
    assert epochs == list(range(killed_in, 7))
    pd.testing.assert_frame_equal(again, history)
    for one, other in zip(resumed.get_weights(), uninterrupted.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    best = [
        keras.models.load_model(tmp_path / name / "best.keras")
        for name in ("uninterrupted", "moved")
    ]
    for one, other in zip(*(model.get_weights() for model in best), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.fault(
    "a checkpoint cut off, as by a power failure",
    "starts from the beginning, ends with the same weights",
)
@pytest.mark.parametrize(
    "files",
    [
        "phase1.npz",
        pytest.param("best.keras", marks=SLOW),
        pytest.param("phase1.npz best.keras", marks=SLOW),
    ],
)
def test_a_truncated_checkpoint_begins_anew_and_ends_with_the_same_weights(
    tmp_path: Path, files: str, caplog: pytest.LogCaptureFixture
) -> None:
    uninterrupted = network()
    history = fit(uninterrupted, cosine()[0], tmp_path / "uninterrupted", epochs=6)
    with pytest.raises(KilledError):
        fit(network(), cosine()[0], tmp_path / "interrupted", epochs=6, on_epoch=kill_after(4))
    damaged = [tmp_path / "interrupted" / file for file in files.split()]
    for file in damaged:
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    epochs: list[int] = []
    resumed = network()
    again = fit(
        resumed,
        cosine()[0],
        tmp_path / "interrupted",
        epochs=6,
        on_epoch=lambda epoch, logs: epochs.append(epoch),
    )
    assert f"{damaged[0]} is damaged: the training starts from the beginning" in caplog.text
    assert epochs == [1, 2, 3, 4, 5, 6]
    pd.testing.assert_frame_equal(again, history)
    for one, other in zip(resumed.get_weights(), uninterrupted.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_checkpoint_without_its_best_epoch_starts_from_the_beginning(tmp_path: Path) -> None:
    with pytest.raises(KilledError):
        fit(network(), cosine()[0], tmp_path, epochs=6, on_epoch=kill_after(4))
    (tmp_path / "best.keras").unlink()
    assert len(fit(network(), cosine()[0], tmp_path, epochs=6)) == 6
    assert (tmp_path / "best.keras").exists()


def test_a_killed_training_with_batches_of_two_sizes_ends_with_the_same_weights(
    tmp_path: Path,
) -> None:
    """Batches of 8, 8, 8 and 6 images, in executions of 3 steps and 1."""
    options: dict[str, Any] = {"epochs": 4, "batch_size": 8, "steps_per_execution": 3}
    uninterrupted, resumed = network(), network()
    optimizer, _ = cosine()
    history = fit(uninterrupted, optimizer, tmp_path / "uninterrupted", **options)
    assert int(optimizer.iterations) == 4 * 4
    with pytest.raises(KilledError):
        fit(network(), cosine()[0], tmp_path / "other", on_epoch=kill_after(2), **options)
    again = fit(resumed, cosine()[0], tmp_path / "other", **options)
    pd.testing.assert_frame_equal(again, history)
    for one, other in zip(resumed.get_weights(), uninterrupted.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("together", [1, 3])
def test_every_image_counts_once_in_an_epoch(together: int, tmp_path: Path) -> None:
    """With a learning rate of 0, the epoch's loss and accuracy are those of all images."""
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3), dtype="uint8"),
            normalization_layer({"method": "rescale"}),
            keras.layers.Flatten(),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )
    feed = TrainingFeed(images=IMAGES, labels=LABELS, classes=3, batch_size=8, seed=5)
    everything = evaluation_batches(IMAGES, LABELS, classes=3)
    options = fit_options(epochs=2, monitor="val_loss", steps_per_execution=together)
    phases = [Phase(2, keras.optimizers.SGD(0.0), [])]
    history = training.fit(
        model, phases, feed, everything, options, tmp_path, lambda epoch, row: None
    )
    np.testing.assert_allclose(history["loss"], history["val_loss"], rtol=1e-5)
    np.testing.assert_allclose(history["accuracy"], history["val_accuracy"])


@pytest.mark.slow
def test_steps_executed_together_stay_within_an_epoch(tmp_path: Path) -> None:
    """Three steps per epoch, one to three per execution: the same batches, the same weights."""
    weights = []
    for number, together in enumerate((1, 2, 3)):
        model, (optimizer, _) = network(), cosine()
        fit(model, optimizer, tmp_path / str(number), epochs=3, steps_per_execution=together)
        assert int(optimizer.iterations) == 3 * STEPS
        weights.append(model.get_weights())
    for other in weights[1:]:
        for one, value in zip(weights[0], other, strict=True):
            np.testing.assert_allclose(one, value, rtol=1e-4, atol=1e-6)


def test_an_early_stop_keeps_the_averaged_weights(tmp_path: Path) -> None:
    """The learning rate is 0 after the first epoch: nothing improves, the training stops."""
    model = network()
    optimizer = keras.optimizers.SGD(0.5, use_ema=True, ema_momentum=0.9)
    stop_learning = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: optimizer.learning_rate.assign(0.5 * (epoch < 1))
    )
    weights: list[list[np.ndarray]] = []
    history = fit(
        model,
        optimizer,
        tmp_path,
        epochs=9,
        patience=1,
        monitor="val_accuracy",
        callbacks=[stop_learning],
        on_epoch=lambda epoch, logs: weights.append(model.get_weights()),
    )
    assert len(history) < 9
    for one, other in zip(model.get_weights(), weights[-1], strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_training_that_was_killed_after_its_last_epoch_trains_no_more(tmp_path: Path) -> None:
    optimizer, _ = cosine()
    uninterrupted = network()
    history = fit(uninterrupted, optimizer, tmp_path)
    epochs: list[int] = []
    optimizer, _ = cosine()
    again = network()
    restored = fit(again, optimizer, tmp_path, on_epoch=lambda epoch, logs: epochs.append(epoch))
    assert epochs == []
    pd.testing.assert_frame_equal(restored, history)
    for one, other in zip(again.get_weights(), uninterrupted.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_early_stopping_keeps_its_wait_after_an_interruption(tmp_path: Path) -> None:
    def trained(folder: str, **options: Any) -> pd.DataFrame:
        optimizer = keras.optimizers.SGD(0.0)
        return fit(
            network(), optimizer, tmp_path / folder, epochs=9, patience=3, monitor="loss", **options
        )

    uninterrupted = trained("uninterrupted")
    with pytest.raises(KilledError):
        trained("interrupted", on_epoch=kill_after(3))
    pd.testing.assert_frame_equal(trained("interrupted"), uninterrupted)
    assert len(uninterrupted) < 9


def test_a_loss_that_becomes_nan_names_the_step_and_keeps_the_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"at step \d+, in epoch \d: try a smaller optimizer\."):
        fit(network(), keras.optimizers.SGD(1e38), tmp_path)

    def trained(epochs: int) -> None:
        model = network()

        def poison(epoch: int, logs: object) -> None:
            if epoch == 2:
                model.layers[-1].kernel.assign(model.layers[-1].kernel * np.nan)

        callback = keras.callbacks.LambdaCallback(on_epoch_begin=poison)
        fit(
            model,
            keras.optimizers.SGD(0.01),
            tmp_path / "good",
            epochs=epochs,
            callbacks=[callback],
        )

    trained(epochs=2)
    checkpoint = tmp_path / "good" / "phase1.npz"
    before = checkpoint.read_bytes()
    with pytest.raises(InputError, match="step 7, in epoch 3"):
        trained(epochs=4)
    assert checkpoint.read_bytes() == before


def test_a_monitored_value_that_is_never_a_number_is_named(tmp_path: Path) -> None:
    model = network()
    kept: list[np.ndarray] = []

    def poison(logs: Any = None) -> None:
        kept[:] = model.get_weights()
        model.set_weights([weights * np.nan for weights in kept])

    callback = keras.callbacks.LambdaCallback(
        on_test_begin=poison, on_test_end=lambda logs=None: model.set_weights(kept)
    )
    with pytest.raises(InputError, match="val_loss was NaN in every epoch"):
        fit(model, keras.optimizers.SGD(0.01), tmp_path, epochs=2, callbacks=[callback])


@pytest.mark.parametrize("monitor", ["val_balanced_accuracy", "val_macro_f1"])
def test_the_best_epoch_by_a_mean_over_classes(monitor: str, tmp_path: Path) -> None:
    options: dict[str, Any] = {"epochs": 4, "monitor": monitor, "patience": 4}
    history = fit(network(), keras.optimizers.Adam(0.01), tmp_path, **options)
    best = load_model(tmp_path / "best.keras")
    predicted = best.predict(IMAGES, verbose=0).argmax(axis=1)
    expected = f1_score(LABELS, predicted, average="macro", zero_division=0)
    if monitor == "val_balanced_accuracy":
        expected = balanced_accuracy_score(LABELS, predicted)
    assert history[monitor].max() == pytest.approx(expected, rel=1e-5)
    assert history["kept"].idxmax() == history[monitor].idxmax()
    assert monitor.removeprefix("val_") in history


def test_class_weights_change_the_loss(tmp_path: Path) -> None:
    plain = fit(network(), keras.optimizers.SGD(0.0), tmp_path / "1", epochs=1)
    doubled = fit(
        network(),
        keras.optimizers.SGD(0.0),
        tmp_path / "2",
        epochs=1,
        class_weights={0: 2.0, 1: 2.0, 2: 2.0},
    )
    assert doubled["loss"][0] == pytest.approx(2 * plain["loss"][0], rel=1e-5)


@pytest.mark.parametrize(
    "name",
    [
        "adam",
        *(
            pytest.param(file.stem, marks=SLOW)
            for file in sorted((ROOT / "conf" / "optimizer").glob("*.yaml"))
            if file.stem != "adam"
        ),
    ],
)
def test_every_optimizer_takes_a_schedule_and_learns(name: str, tmp_path: Path) -> None:
    config = OmegaConf.load(ROOT / "conf" / "optimizer" / f"{name}.yaml")
    rate = schedules.cosine(config.learning_rate, 15 * STEPS, warmup=0.1, final=0.1)
    optimizer = instantiate(config, learning_rate=rate.value, _convert_="all")
    history = fit(network(), optimizer, tmp_path, epochs=15)
    assert history["loss"].iloc[-1] < history["loss"].iloc[0]
    assert np.isfinite(history.to_numpy()).all()
