"""Learning rates over a training's steps."""

from pathlib import Path

import keras
import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

from classifier import schedules
from conftest import ROOT

STEPS = 100


def rates(rate: schedules.Rate) -> list[float]:
    assert isinstance(rate.value, keras.optimizers.schedules.LearningRateSchedule)
    return [float(rate.value(step)) for step in range(STEPS + 1)]


def test_constant() -> None:
    assert schedules.constant(0.1, STEPS) == (0.1, ())


def test_step_drops_where_it_should() -> None:
    found = rates(schedules.step(1.0, STEPS, at=[0.5, 0.75], factor=0.1))
    assert found[50] == pytest.approx(1.0)
    assert found[51] == pytest.approx(0.1)
    assert found[76] == pytest.approx(0.01)
    assert len(set(found)) == 3


def test_exponential_falls_by_the_same_share() -> None:
    found = rates(schedules.exponential(1.0, STEPS, final=0.01))
    assert (found[0], found[-1]) == pytest.approx((1.0, 0.01), rel=1e-4)
    assert found[11] / found[10] == pytest.approx(found[91] / found[90], rel=1e-4)
    with pytest.raises(ValueError, match="must be above 0"):
        schedules.exponential(1.0, STEPS, final=0.0)


def test_cosine_rises_then_falls() -> None:
    found = rates(schedules.cosine(2.0, STEPS, warmup=0.1, final=0.05))
    assert found[0] == 0
    assert found[10] == max(found) == pytest.approx(2.0)
    assert found[55] == pytest.approx((2.0 + 0.1) / 2, rel=1e-3)
    assert found[-1] == pytest.approx(0.1)
    assert rates(schedules.cosine(2.0, STEPS, warmup=0.0, final=0.0))[0] == pytest.approx(2.0)


def test_one_cycle_begins_low_and_ends_lower() -> None:
    found = rates(schedules.one_cycle(1.0, STEPS, initial=0.04, warmup=0.3, final=0.0001))
    assert found[0] == pytest.approx(0.04)
    assert found[30] == max(found) == pytest.approx(1.0)
    assert found[-1] == pytest.approx(0.0001, abs=1e-6)


@pytest.mark.parametrize("factor", [-0.1, 0.0, 1.0])
def test_a_factor_that_is_no_drop_is_refused(factor: float) -> None:
    with pytest.raises(ValueError, match=f"factor is {factor}"):
        schedules.step(0.1, 100, at=[0.5], factor=factor)
    with pytest.raises(ValueError, match=f"factor is {factor}"):
        schedules.plateau(0.1, 100, watch="val_loss", factor=factor, wait=1, lowest=0.0)


@pytest.mark.parametrize(
    "file", sorted((ROOT / "conf" / "schedule").glob("*.yaml")), ids=lambda file: file.stem
)
def test_every_choice_gives_a_rate_between_nothing_and_the_peak(file: Path) -> None:
    rate = instantiate(OmegaConf.load(file), 0.1, 100)
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
