"""Training: resuming, stopping, class weights, and every optimizer that can be chosen."""

from collections.abc import Callable, Sequence
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

from classifier import schedules, training
from classifier.data.feed import evaluation_batches, training_batches
from classifier.errors import InputError
from classifier.fit_options import FitOptions
from classifier.normalization import normalization_layer
from classifier.phases import Phase
from conftest import ROOT

CHANCE = np.random.default_rng(0)
LABELS = np.arange(30) % 3
IMAGES = (CHANCE.integers(0, 100, (30, 8, 8, 3)) + 60 * LABELS[:, None, None, None]).astype("uint8")
POLICY = [keras.layers.RandomFlip("horizontal"), keras.layers.RandomRotation(0.1)]
STEPS = 3


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
    **more: Any,
) -> pd.DataFrame:
    """Trains; ``more`` goes to the options, or else to the function."""
    batches = partial(
        training_batches,
        IMAGES,
        LABELS,
        classes=3,
        batch_size=10,
        seed=5,
        layers=POLICY,
    )
    names = {field.name for field in fields(FitOptions)}
    chosen = {name: more.pop(name) for name in list(more) if name in names}
    options = FitOptions(epochs, **{"label_smoothing": 0.1, "monitor": "val_loss"} | chosen)
    defaults: dict[str, Any] = {
        "class_weights": None,
        "on_epoch": lambda epoch, logs: None,
    }
    return training.fit(
        model,
        [Phase(epochs, optimizer, callbacks)],
        batches,
        evaluation_batches(IMAGES, LABELS, classes=3),
        options,
        steps=STEPS,
        folder=folder,
        **defaults | more,
    )


class KilledError(Exception):
    """Stands for a process that ends in the middle of a training."""


def kill_after(epochs: int) -> Callable[..., None]:
    def on_epoch(epoch: int, logs: object) -> None:
        if epoch == epochs:
            raise KilledError

    return on_epoch


def cosine() -> tuple[keras.optimizers.Optimizer, list[keras.callbacks.Callback]]:
    rate = schedules.cosine(0.01, 6 * STEPS, warmup=0.2, final=0.0)
    return keras.optimizers.AdamW(rate.value, use_ema=True, ema_momentum=0.9), []


def plateau_of_small_steps() -> tuple[keras.optimizers.Optimizer, list[keras.callbacks.Callback]]:
    """Its loss falls by less than the callback's ``min_delta``: the sign of that one decides."""
    rate = schedules.plateau(1e-6, 6 * STEPS, watch="val_loss", factor=0.5, wait=1, lowest=0.0)
    return keras.optimizers.SGD(rate.value), list(rate.callbacks)


def plateau() -> tuple[keras.optimizers.Optimizer, list[keras.callbacks.Callback]]:
    rate = schedules.plateau(0.01, 6 * STEPS, watch="loss", factor=0.5, wait=1, lowest=0.0)
    return keras.optimizers.SGD(rate.value, momentum=0.9), list(rate.callbacks)


@pytest.mark.parametrize("recipe", [cosine, plateau, plateau_of_small_steps])
@pytest.mark.parametrize("killed_in", [1, 3, 6])
def test_a_killed_training_ends_with_the_same_weights(
    recipe: Callable[[], Any], killed_in: int, tmp_path: Path
) -> None:
    optimizer, callbacks = recipe()
    whole = network()
    history = fit(whole, optimizer, tmp_path / "whole", epochs=6, callbacks=callbacks)

    optimizer, callbacks = recipe()
    with pytest.raises(KilledError):
        fit(
            network(),
            optimizer,
            tmp_path / "broken",
            epochs=6,
            callbacks=callbacks,
            on_epoch=kill_after(killed_in),
        )
    epochs: list[int] = []
    # What a kill while a checkpoint was written leaves beside the whole one.
    (tmp_path / "broken" / ".phase1.npz.partial").write_bytes(b"half")
    (tmp_path / "broken").rename(tmp_path / "moved")
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
    for one, other in zip(resumed.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    best = [keras.models.load_model(tmp_path / name / "best.keras") for name in ("whole", "moved")]
    for one, other in zip(*(model.get_weights() for model in best), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.fault(
    "a checkpoint cut off, as by a power failure", "begins anew, ends with the same weights"
)
@pytest.mark.parametrize("files", ["phase1.npz", "best.keras", "phase1.npz best.keras"])
def test_a_truncated_checkpoint_begins_anew_and_ends_with_the_same_weights(
    tmp_path: Path, files: str, caplog: pytest.LogCaptureFixture
) -> None:
    whole = network()
    history = fit(whole, cosine()[0], tmp_path / "whole", epochs=6)
    with pytest.raises(KilledError):
        fit(network(), cosine()[0], tmp_path / "broken", epochs=6, on_epoch=kill_after(4))
    damaged = [tmp_path / "broken" / file for file in files.split()]
    for file in damaged:
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    epochs: list[int] = []
    resumed = network()
    again = fit(
        resumed,
        cosine()[0],
        tmp_path / "broken",
        epochs=6,
        on_epoch=lambda epoch, logs: epochs.append(epoch),
    )
    assert f"{damaged[0]} is damaged: training begins anew" in caplog.text
    assert epochs == [1, 2, 3, 4, 5, 6]
    pd.testing.assert_frame_equal(again, history)
    for one, other in zip(resumed.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_checkpoint_without_its_best_epoch_begins_anew(tmp_path: Path) -> None:
    with pytest.raises(KilledError):
        fit(network(), cosine()[0], tmp_path, epochs=6, on_epoch=kill_after(4))
    (tmp_path / "best.keras").unlink()
    assert len(fit(network(), cosine()[0], tmp_path, epochs=6)) == 6
    assert (tmp_path / "best.keras").exists()


def test_steps_executed_together_stay_within_an_epoch(tmp_path: Path) -> None:
    """Three steps an epoch, two asked for at once: the same batches, the same weights."""
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
    """A rate of 0 after the first epoch: nothing improves, the training stops."""
    model = network()
    optimizer = keras.optimizers.SGD(0.5, use_ema=True, ema_momentum=0.9)
    still = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: optimizer.learning_rate.assign(0.5 * (epoch < 1))
    )
    seen: list[list[np.ndarray]] = []
    history = fit(
        model,
        optimizer,
        tmp_path,
        epochs=9,
        patience=1,
        monitor="val_accuracy",
        callbacks=[still],
        on_epoch=lambda epoch, logs: seen.append(model.get_weights()),
    )
    assert len(history) < 9
    for one, other in zip(model.get_weights(), seen[-1], strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_training_that_was_killed_after_its_last_epoch_trains_no_more(tmp_path: Path) -> None:
    optimizer, _ = cosine()
    whole = network()
    history = fit(whole, optimizer, tmp_path)
    epochs: list[int] = []
    optimizer, _ = cosine()
    again = network()
    found = fit(again, optimizer, tmp_path, on_epoch=lambda epoch, logs: epochs.append(epoch))
    assert epochs == []
    pd.testing.assert_frame_equal(found, history)
    for one, other in zip(again.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_early_stopping_goes_on_waiting_after_a_break(tmp_path: Path) -> None:
    def trained(folder: str, **options: Any) -> pd.DataFrame:
        optimizer = keras.optimizers.SGD(0.0)
        return fit(
            network(), optimizer, tmp_path / folder, epochs=9, patience=3, monitor="loss", **options
        )

    whole = trained("whole")
    with pytest.raises(KilledError):
        trained("broken", on_epoch=kill_after(3))
    pd.testing.assert_frame_equal(trained("broken"), whole)
    assert len(whole) < 9


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
    model, kept = network(), []

    def poison(logs: Any = None) -> None:
        kept[:] = model.get_weights()
        model.set_weights([weights * np.nan for weights in kept])

    callback = keras.callbacks.LambdaCallback(
        on_test_begin=poison, on_test_end=lambda logs=None: model.set_weights(kept)
    )
    with pytest.raises(InputError, match="val_loss was a number in no epoch"):
        fit(model, keras.optimizers.SGD(0.01), tmp_path, epochs=2, callbacks=[callback])


def test_balanced_weights_let_each_class_count_as_much() -> None:
    labels = np.array([0, 0, 0, 1, 2, 2])
    weights = training.class_weights("balanced", labels, 3)
    assert weights == pytest.approx({0: 6 / 9, 1: 2.0, 2: 1.0})
    assert training.class_weights(None, labels, 3) is None


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
    "file", sorted((ROOT / "conf" / "optimizer").glob("*.yaml")), ids=lambda file: file.stem
)
def test_every_optimizer_takes_a_schedule_and_learns(file: Path, tmp_path: Path) -> None:
    config = OmegaConf.load(file)
    rate = schedules.cosine(config.learning_rate, 15 * STEPS, warmup=0.1, final=0.1)
    optimizer = instantiate(config, learning_rate=rate.value, _convert_="all")
    history = fit(network(), optimizer, tmp_path, epochs=15)
    assert history["loss"].iloc[-1] < history["loss"].iloc[0]
    assert np.isfinite(history.to_numpy()).all()
