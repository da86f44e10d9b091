"""Going on from a trained model: its weights, its optimizer, and what has to be the same."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from classifier.layers.views import Views, averaged
from classifier.saved.later_schedule import LaterSchedule
from classifier.saved.saving import load_model, save_model
from classifier.support.errors import InputError
from classifier.training.continuation import continue_from, optimizer_state
from classifier.training.feed import TrainingFeed, evaluation_batches
from classifier.training.fit import fit
from classifier.training.phases import Phase, plan
from conftest import build_model, fit_options

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3), dtype=np.uint8)
TARGETS = np.eye(5, dtype=np.float32)[[0, 1, 2, 3, 4, 0]]
NAMES = ["a", "b", "c", "d", "e"]
SIZE = {"filters": [4], "convolutions": 1}


def network(**options: Any) -> keras.Model:
    keras.utils.set_random_seed(1)
    return build_model("convnet", 8, **SIZE | options)


def adam(**options: Any) -> keras.optimizers.Optimizer:
    rate = keras.optimizers.schedules.CosineDecay(0.01, 10)
    return keras.optimizers.Adam(rate, **options)


def trained(steps: int = 3, optimizer: Any = None, **options: Any) -> keras.Model:
    model = network(**options)
    model.compile(optimizer or adam(), "categorical_crossentropy")
    for _ in range(steps):
        model.train_on_batch(IMAGES, TARGETS)
    return model


def given(source: keras.Model, optimizer: Any, **options: Any) -> tuple[keras.Model, Any]:
    """A model that goes on from ``source``, with its optimizer, before the first step."""
    model = network(**options)
    state = continue_from(model, source, "old", (NAMES, NAMES))
    model.compile(optimizer, "categorical_crossentropy")
    model.optimizer.build(model.trainable_variables)
    state.give(model)
    return model, model.optimizer


@pytest.mark.parametrize("views", [False, True])
def test_weights_and_optimizer_go_on_and_the_schedule_begins_anew(
    tmp_path: Path, views: bool
) -> None:
    source = trained()
    weights, moments = source.get_weights(), [v.numpy() for v in source.optimizer.variables]
    saved = averaged(source, Views(mirror=True, name="views")) if views else source
    save_model(saved, tmp_path / "old.keras")
    model, optimizer = given(load_model(tmp_path / "old.keras"), adam())
    for one, other in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(one, other)
    for variable, value in zip(optimizer.variables, moments, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)
    assert int(optimizer.iterations) == 3
    assert float(optimizer.learning_rate) == pytest.approx(0.01)
    model.train_on_batch(IMAGES, TARGETS)
    assert float(optimizer.learning_rate) < 0.01
    # The schedule is saved with the model, and can be gone on from again.
    save_model(model, tmp_path / "new.keras")
    again = load_model(tmp_path / "new.keras")
    assert isinstance(again.optimizer._learning_rate, LaterSchedule)
    _, optimizer = given(again, adam())
    assert (int(optimizer.iterations), float(optimizer.learning_rate)) == (4, pytest.approx(0.01))


def test_a_constant_rate_is_that_of_the_new_training() -> None:
    source = trained(optimizer=keras.optimizers.SGD(0.5, momentum=0.9))
    _, optimizer = given(source, keras.optimizers.SGD(0.1, momentum=0.9))
    assert float(optimizer.learning_rate) == pytest.approx(0.1)
    assert np.abs(optimizer.variables[-1].numpy()).max() > 0


def test_averages_begin_with_the_weights() -> None:
    model, optimizer = given(trained(), adam(use_ema=True))
    averages = [v for v in optimizer.variables if v.path.endswith("_average")]
    for average, weight in zip(averages, model.trainable_variables, strict=True):
        np.testing.assert_array_equal(average.numpy(), weight.numpy())
    assert int(optimizer.iterations) == 3


def test_the_optimizer_begins_anew_where_it_is_another(caplog: pytest.LogCaptureFixture) -> None:
    source = trained()
    _, optimizer = given(source, keras.optimizers.SGD(0.1))
    assert "the optimizer begins anew: Adam trained it, not SGD" in caplog.text
    assert int(optimizer.iterations) == 0
    given(source, adam(amsgrad=True))
    assert "the optimizer begins anew: Adam has other options here" in caplog.text
    source.layers[1].trainable = False
    given(source, adam())
    assert "the optimizer begins anew: it trained other weights, 4, and here 5" in caplog.text
    given(network(), adam())
    assert "the optimizer begins anew: it was saved without one" in caplog.text


@pytest.mark.parametrize(
    ("options", "difference"),
    [
        (
            {"filters": [6]},
            "kernel of its layer 'block1_convolution1' is 3 x 3 x 3 x 4, and 3 x 3 x 3 x 6 here",
        ),
        (
            {"activation": "tanh"},
            "activation of its layer 'block1_convolution1_activation' is relu, and tanh here",
        ),
        ({"normalization": "none"}, "is missing, and 4 here"),
        ({"convolutions": 2}, "its layer '"),
    ],
)
def test_another_network_is_refused_with_the_difference(
    options: dict[str, Any], difference: str
) -> None:
    with pytest.raises(InputError, match="old is another network") as error:
        continue_from(network(**options), network(), "old", (NAMES, NAMES))
    assert difference in str(error.value)


def test_dropout_and_penalties_may_be_others() -> None:
    source, model = network(), network(dropout=0.5, weight_decay=0.1)
    model.layers[1].kernel.assign_add(keras.ops.ones_like(model.layers[1].kernel))
    continue_from(model, source, "old", (NAMES, NAMES))
    for one, other in zip(model.get_weights(), source.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_other_images_and_classes_are_refused(caplog: pytest.LogCaptureFixture) -> None:
    source = network()
    larger = build_model("convnet", 16, **SIZE)
    with pytest.raises(InputError, match="old takes images of 8 x 8 x 3, and those here are 16 x"):
        continue_from(larger, source, "old", (NAMES, NAMES))
    fewer = keras.Sequential(
        [keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(2)]
    )
    with pytest.raises(InputError, match="old knows 5 classes, and the images here are of 2"):
        continue_from(fewer, source, "old", (NAMES[:2], None))
    other = [*NAMES[:2], "x", *NAMES[3:]]
    with pytest.raises(InputError, match="class 3 of old is 'c', and class 3 here is 'x'"):
        continue_from(network(), source, "old", (other, NAMES))
    continue_from(network(), source, "old", (NAMES, None))
    assert "the names of the classes of old are not known" in caplog.text


@pytest.mark.slow
def test_a_continued_training_that_was_killed_goes_on_with_the_same_bits(tmp_path: Path) -> None:
    source = trained()
    feed = TrainingFeed(
        images=IMAGES, labels=TARGETS.argmax(1), classes=5, batch_size=3, seed=5, layers=()
    )
    validation = evaluation_batches(IMAGES, TARGETS.argmax(1), classes=5)

    def continued(folder: Path, killed_in: int = 0) -> list[np.ndarray]:
        model = network()
        state = continue_from(model, source, "old", (NAMES, NAMES))

        def on_epoch(epoch: int, logs: Any) -> None:
            if epoch == killed_in:
                raise KeyboardInterrupt

        phases = [Phase(2, adam(), (), state=state)]
        fit(model, phases, feed, validation, fit_options(epochs=2), folder, on_epoch)
        return [*model.get_weights(), *[v.numpy() for v in model.optimizer.variables]]

    expected = continued(tmp_path / "whole")
    assert expected[-1].shape and int(expected[len(source.weights)]) == 3 + 4
    with pytest.raises(KeyboardInterrupt):
        continued(tmp_path / "killed", killed_in=2)
    for one, other in zip(continued(tmp_path / "killed"), expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_trained_head_is_not_trained_alone_again() -> None:
    model = network()
    for layer in model.layers[:3]:
        layer.trainable = False
    state = optimizer_state(network(), "old")

    def build(fraction: float, epochs: int) -> Any:
        return keras.optimizers.SGD(fraction), []

    options = fit_options(epochs=3, fine_tune_epochs=2, fine_tune_layers=1)
    assert [phase.epochs for phase in plan(model, options, build)] == [3, 2]
    (phase,) = plan(model, options, build, continued=state)
    assert (phase.epochs, phase.unfrozen, phase.on_features) == (2, 1, False)
    assert phase.state is state
    (phase,) = plan(model, fit_options(epochs=3), build, continued=state)
    assert (phase.epochs, phase.on_features, phase.state) == (3, True, state)
