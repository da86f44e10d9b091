"""The range test finds the learning rates that are known for a quadratic."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from classifier.rehearsal.rate_range import RateRange, found, rate_range
from classifier.rehearsal.steps import Steps, taken
from classifier.training.phases import Phase


def range_of(scale: float, highest: float = 1e3) -> RateRange:
    """The test of a linear regression: gradient descent diverges above ``1 / scale ** 2``."""
    inputs = scale * np.random.default_rng(0).choice([-1.0, 1.0], (32, 1))
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    phase = Phase(1, keras.optimizers.SGD(0.1), [], loss=keras.losses.MeanSquaredError())
    batches = tf.data.Dataset.from_tensors((inputs, 3 * inputs)).repeat()
    before = model.get_weights()
    steps = Steps(model, phase, batches.element_spec, jit_compile=False)
    result = rate_range(model, steps, iter(batches), 1e-6, highest, 100)
    np.testing.assert_equal(model.get_weights(), before)
    return result


@pytest.mark.parametrize("scale", [0.3, 10.0])
def test_the_rate_is_within_a_decade_of_the_best(scale: float) -> None:
    result, best = range_of(scale), 0.5 / scale**2  # one step of it reaches the minimum
    assert result.suggested is not None
    low, high = result.suggested
    assert best / 20 < low <= high < best  # 11 steps a decade: the loss is down before the best
    assert high > best / 10
    assert result.rises is not None and best < result.rises < 20 * best
    assert len(result.rates) < 100  # it stopped there
    verdicts = [result.verdict(factor * best) for factor in (1e-3, 0.3, 1e3)]
    assert verdicts == ["small", "fits", "large"]


def test_rates_that_change_nothing_say_nothing() -> None:
    result = range_of(1.0, highest=2e-6)
    assert (result.suggested, result.verdict(0.1)) == (None, "unknown")


def test_a_loss_that_is_no_number_ends_the_test() -> None:
    losses = [2.0] * 20 + [1.0] * 20 + [np.nan]
    result = found(np.geomspace(1e-6, 1, 41), taken([(loss, 0.1) for loss in losses]), 60)
    assert result.steepest is not None and result.rises is not None
    assert result.steepest < result.rises
    assert np.isfinite(result.smoothed).all()


def test_noise_is_neither_a_fall_nor_a_rise() -> None:
    """A head that knows its images already, and the rate at which it forgets them."""
    noise = [0.44, 0.42, 0.45, 0.44, 0.46, 0.42, 0.48, 0.44, 0.43, 0.44, 0.41, 0.41, 0.42, 0.42]
    noise += [0.40, 0.42, 0.41, 0.42, 0.45, 0.43, 0.46, 0.43, 0.44, 0.48]
    losses = [*noise, 0.48, 0.44, 0.47, 0.72, 1.10]
    rates = np.geomspace(3e-7, 3e-3, len(losses))
    result = found(rates, taken([(loss, 0.1) for loss in losses]), len(losses))
    assert result.steepest is None
    assert result.rises is not None and 7e-4 < result.rises < 3e-3
    assert result.verdict(3e-4) == "fits"
    quiet = found(rates[: len(noise)], taken([(loss, 0.1) for loss in noise]), len(noise))
    assert quiet.verdict(3e-4) == "unknown"
