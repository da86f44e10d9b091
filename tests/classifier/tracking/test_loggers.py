"""Loggers: what they show, after an interruption too, and that one that fails stops nothing."""

import errno
import logging
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest

from classifier.images.grids import write_grid
from classifier.support.errors import InputError
from classifier.tracking import loggers
from classifier.tracking.loggers import dvclive, tensorboard, watched_by

needs_live = pytest.mark.skipif(
    not (find_spec("dvclive") and find_spec("tensorboard")),
    reason="dvclive or tensorboard is missing: make setup WITH=live",
)


class Recorder(keras.callbacks.Callback):
    """Remembers what it is told, and fails in one method, or in one epoch."""

    def __init__(self, fails: str | int | None = None):
        super().__init__()
        self.fails, self.told = fails, list[Any]()

    def _tell(self, what: Any) -> None:
        self.told.append(what)
        if what == self.fails:
            raise OSError(errno.ENOSPC, "No space left on device")

    def on_train_begin(self, logs: Mapping[str, float] | None = None) -> None:
        self._tell("begin")

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        assert logs is not None
        self._tell(epoch)
        dict(logs).clear()

    def on_train_end(self, logs: Mapping[str, float] | None = None) -> None:
        self._tell("end")


def model() -> keras.Model:
    tiny = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="probabilities")])
    tiny.compile(keras.optimizers.SGD(0.5), "mse")
    return tiny


def row(epoch: int) -> dict[str, float]:
    return {"loss": 1 / epoch, "val_loss": 2 / epoch, "learning_rate": 0.5}


def show(logger: keras.callbacks.Callback, *epochs: int) -> None:
    with watched_by([logger], model()) as on_epoch:
        for epoch in epochs:
            on_epoch(epoch, row(epoch))


@pytest.fixture
def preview(tmp_path: Path) -> Path:
    write_grid(tmp_path / "preview.png", np.zeros((2, 8, 8, 3), np.uint8), columns=2)
    return tmp_path / "preview.png"


@pytest.mark.fault(
    "a logger fails during the training, its disk is full for example",
    "one line; the training goes on, with the same bytes",
)
def test_a_logger_that_fails_is_left_out_with_one_line(caplog: pytest.LogCaptureFixture) -> None:
    failing, other = Recorder(fails=1), Recorder()
    with watched_by([failing, other], model()) as on_epoch:
        for epoch in (1, 2, 3):
            on_epoch(epoch, row(epoch))
    assert failing.told == ["begin", 0, 1]
    assert other.told == ["begin", 0, 1, 2, "end"]
    (record,) = (record for record in caplog.records if record.levelno >= logging.WARNING)
    expected = "the logger Recorder has failed (the disk is full): the training goes on without it"
    assert record.getMessage() == expected


@pytest.mark.fault(
    "a logger cannot begin, its disk is full for example", "one line before the first epoch"
)
def test_a_logger_that_cannot_begin_says_so() -> None:
    with (
        pytest.raises(InputError, match=r"the logger Recorder cannot begin \(the disk is full\)"),
        watched_by([Recorder(fails="begin")], model()),
    ):
        pass


def test_an_error_of_the_training_passes_and_the_logger_ends() -> None:
    recorder = Recorder()
    with pytest.raises(ZeroDivisionError), watched_by([recorder], model()):
        _ = 1 / 0
    assert recorder.told == ["begin", "end"]


@pytest.mark.parametrize("logger", ["dvclive", "tensorboard"])
def test_a_package_that_is_missing(
    logger: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loggers, "find_spec", lambda name: None)
    options = {"graph": True, "histograms": 0} if logger == "tensorboard" else {}
    with pytest.raises(ValueError, match=f"the package {logger} is missing: make setup WITH=live"):
        getattr(loggers, logger)(tmp_path, tmp_path, tmp_path, **options)


@needs_live
def test_dvclive_goes_on_with_a_training_and_replaces_another_one(
    tmp_path: Path, preview: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = Path("live/tiny")

    def steps(*epochs: int) -> list[int]:
        show(dvclive(folder, folder, preview), *epochs)
        table = pd.read_csv(folder / "dvclive/plots/metrics/eval/loss.tsv", sep="\t")
        np.testing.assert_allclose(table["loss"], 2 / table["step"])
        return list(table["step"])

    assert steps(1, 2, 3) == [1, 2, 3]
    assert steps(3, 4) == [1, 2, 3, 4]  # killed after the logger, before the checkpoint
    assert steps(5) == [1, 2, 3, 4, 5]
    assert steps(3, 4) == [3, 4]
    assert steps(1) == [1]
    assert (folder / "dvclive/plots/images/augmented.png").stat().st_size > 0
    assert "dvclive/metrics.json" in (folder / "dvc.yaml").read_text()


@needs_live
def test_tensorboard_has_the_epochs_at_once(tmp_path: Path, preview: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    logger = tensorboard(tmp_path, tmp_path / "run", preview, graph=True, histograms=2)
    with watched_by([logger], model()) as on_epoch:
        for epoch in (1, 2):
            on_epoch(epoch, row(epoch))
        events = EventAccumulator(str(tmp_path / "run" / "train"))
        events.Reload()
        validation = EventAccumulator(str(tmp_path / "run" / "validation"))
        validation.Reload()
    tags = events.Tags()["tensors"]
    assert {"epoch_loss", "epoch_learning_rate", "augmented"} <= set(tags)
    assert [event.step for event in events.Tensors("epoch_loss")] == [1, 2]
    assert [event.step for event in validation.Tensors("epoch_loss")] == [1, 2]
    (histogram,) = (tag for tag in tags if tag.endswith("probabilities/kernel/histogram"))
    assert [event.step for event in events.Tensors(histogram)] == [2]
    assert 'name: "sequential' in str(events.Graph())  # of the layers
