"""Learning rates over the steps of a training."""

from pathlib import Path

import keras
import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

from classifier.training import schedules
from conftest import ROOT

STEPS = 100


def rates(rate: schedules.Rate) -> list[float]:
    assert isinstance(rate.value, keras.optimizers.schedules.LearningRateSchedule)
    return [float(rate.value(step)) for step in range(STEPS + 1)]


def test_constant() -> None:
    assert schedules.constant(0.1, STEPS) == (0.1, ())


def test_step_drops_where_it_should() -> None:
    values = rates(schedules.step(1.0, STEPS, at=[0.5, 0.75], factor=0.1))
    assert values[50] == pytest.approx(1.0)
    assert values[51] == pytest.approx(0.1)
    assert values[76] == pytest.approx(0.01)
    assert len(set(values)) == 3


def test_exponential_falls_by_the_same_factor() -> None:
    values = rates(schedules.exponential(1.0, STEPS, final=0.01))
    assert (values[0], values[-1]) == pytest.approx((1.0, 0.01), rel=1e-4)
    assert values[11] / values[10] == pytest.approx(values[91] / values[90], rel=1e-4)
    with pytest.raises(ValueError, match=r"final\n.*greater than 0"):
        schedules.exponential(1.0, STEPS, final=0.0)


def test_cosine_rises_then_falls() -> None:
    values = rates(schedules.cosine(2.0, STEPS, warmup=0.1, final=0.05))
    assert values[0] == 0
    assert values[10] == max(values) == pytest.approx(2.0)
    assert values[55] == pytest.approx((2.0 + 0.1) / 2, rel=1e-3)
    assert values[-1] == pytest.approx(0.1)
    assert rates(schedules.cosine(2.0, STEPS, warmup=0.0, final=0.0))[0] == pytest.approx(2.0)


def test_one_cycle_begins_low_and_ends_lower() -> None:
    values = rates(schedules.one_cycle(1.0, STEPS, initial=0.04, warmup=0.3, final=0.0001))
    assert values[0] == pytest.approx(0.04)
    assert values[30] == max(values) == pytest.approx(1.0)
    assert values[-1] == pytest.approx(0.0001, abs=1e-6)


@pytest.mark.parametrize("factor", [-0.1, 0.0, 1.0])
def test_a_factor_that_is_not_a_drop_is_refused(factor: float) -> None:
    with pytest.raises(ValueError, match=r"factor\n.*(greater than 0|less than 1)"):
        schedules.step(0.1, 100, at=[0.5], factor=factor)
    with pytest.raises(ValueError, match=r"factor\n.*(greater than 0|less than 1)"):
        schedules.plateau(0.1, 100, watch="val_loss", factor=factor, wait=1, lowest=0.0)


@pytest.mark.parametrize(
    "file", sorted((ROOT / "conf" / "schedule").glob("*.yaml")), ids=lambda file: file.stem
)
def test_every_choice_gives_a_rate_between_0_and_the_peak(file: Path) -> None:
    rate = instantiate(OmegaConf.load(file), 0.1, 100, _convert_="all")
    values = [float(rate.value(n)) if callable(rate.value) else rate.value for n in range(100)]
    assert max(values) == pytest.approx(0.1, rel=0.05)
    assert min(values) >= 0


def test_plateau_is_a_callback() -> None:
    value, (callback,) = schedules.plateau(
        0.1, STEPS, watch="val_loss", factor=0.3, wait=2, lowest=0.01
    )
    assert value == 0.1
    assert isinstance(callback, keras.callbacks.ReduceLROnPlateau)
    assert (callback.patience, callback.factor) == (2, 0.3)
    assert callback.min_lr == pytest.approx(0.001)
