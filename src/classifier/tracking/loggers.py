"""Loggers that show a training while it runs, besides MLflow.

A logger is a Keras callback. It is told of epochs alone, not of steps, so that it costs a step
nothing, and what it is told is the epoch's row of history.csv, with the learning rate. Of its
methods, ``set_model``, ``on_train_begin``, ``on_epoch_end`` and ``on_train_end`` are called, once
each for all phases of a training.
"""

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import keras

from classifier.support.errors import InputError
from classifier.support.limits import Index, checked
from classifier.tracking.failures import reason

log = logging.getLogger(__name__)


@contextmanager
def watched_by(
    loggers: Sequence[keras.callbacks.Callback], model: keras.Model
) -> Iterator[Callable[[int, Mapping[str, float]], None]]:
    """A block whose training the loggers show. One that fails in it is left out, with a warning.

    Args:
        model: the whole one.

    Yields:
        A function to call after each epoch, with its number, counted from 1, and its metrics.

    Raises:
        InputError: a logger fails before the block begins.
    """
    guards = [_Guard(logger) for logger in loggers]
    for guard in guards:
        guard.begin(model)

    def on_epoch(epoch: int, row: Mapping[str, float]) -> None:
        for guard in guards:
            guard.call("on_epoch_end", epoch - 1, dict(row))

    try:
        yield on_epoch
    finally:
        for guard in guards:
            guard.call("on_train_end")


class _Guard:
    """Calls a logger until it fails."""

    def __init__(self, logger: keras.callbacks.Callback):
        self.logger, self.failed = logger, False
        self.name = type(logger).__name__

    def begin(self, model: keras.Model) -> None:
        try:
            self.logger.set_model(model)
            self.logger.on_train_begin()
        except Exception as error:
            raise InputError(
                f"the logger {self.name} cannot begin ({reason(error)}); logger=none trains "
                "without it"
            ) from error

    def call(self, method: str, *args: Any) -> None:
        if self.failed:
            return
        try:
            getattr(self.logger, method)(*args)
        except Exception as error:  # a training does not depend on who watches it
            self.failed = True
            log.warning(
                "the logger %s has failed (%s): the training goes on without it",
                self.name,
                reason(error),
            )


def dvclive(folder: Path, run: Path, preview: Path) -> keras.callbacks.Callback:
    """DVCLive's metrics and plots (https://dvc.org/doc/dvclive), which the next training replaces.

    It makes no DVC experiment, and stages nothing in git.

    Args:
        folder: ``dvc.yaml`` and ``dvclive/`` are written there.
        run: not used.
        preview: a picture that is shown beside the plots.

    Raises:
        ValueError: the package is missing.
    """
    _need("dvclive")
    return DVCLive(folder, preview)


class DVCLive(keras.callbacks.Callback):
    """``dvclive.keras.DVCLiveCallback``, but that it goes on with a training that was killed.

    Its ``Live.end`` is not called: within ``dvc exp run``, it would add files to git's index.
    """

    def __init__(self, folder: Path, preview: Path):
        super().__init__()
        self.folder, self.preview = folder, preview
        self.live: Any = None

    def on_train_begin(self, logs: Mapping[str, float] | None = None) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float]) -> None:
        from dvclive.utils import standardize_metric_name

        number = epoch + 1
        if self.live is None:
            self.live = self._live(resume=epoch > 0)
            # A training that was killed may have shown an epoch more than its checkpoint has.
            if epoch > 0 and self.live.step not in (number, number + 1):
                self.live = self._live(resume=False)  # the files are of another training
            self.live.log_image("augmented.png", self.preview)
        if self.live.step > number:
            return
        self.live.step = number
        for name, value in logs.items():
            self.live.log_metric(standardize_metric_name(name, "dvclive.keras"), value)
        self.live.next_step()

    def _live(self, *, resume: bool) -> Any:
        from dvclive import Live

        return Live(
            dir=str(self.folder / "dvclive"),
            resume=resume,
            save_dvc_exp=False,
            dvcyaml=str(self.folder / "dvc.yaml"),
        )


@checked
def tensorboard(
    folder: Path, run: Path, preview: Path, *, graph: bool, histograms: Index
) -> keras.callbacks.Callback:
    """Events for TensorBoard (https://www.tensorflow.org/tensorboard): a folder for each training.

    Args:
        folder: not used.
        run: the folder, the same for a training that goes on.
        preview: a picture that is shown beside the curves.
        graph: shows the layers of the model.
        histograms: of the weights, every so many epochs; 0 for none.

    Raises:
        ValueError: the package is missing.
    """
    _need("tensorboard")
    return TensorBoard(preview, graph, log_dir=run, write_graph=False, histogram_freq=histograms)


class TensorBoard(keras.callbacks.TensorBoard):
    """Keras' own, but that its epochs count from 1, and that they are on the disk at once.

    Its graph is that of the layers, which TensorBoard opens first: Keras' own is in a second place.
    """

    def __init__(self, preview: Path, graph: bool, **options: Any):
        super().__init__(**options)
        self.preview, self.graph = preview, graph

    def on_train_begin(self, logs: Mapping[str, float] | None = None) -> None:
        import tensorflow as tf
        from tensorboard.plugins.graph.keras_util import keras_model_to_graph_def

        super().on_train_begin(logs)
        with self._train_writer.as_default():
            picture = tf.io.decode_png(self.preview.read_bytes())
            self.summary.image("augmented", picture[None], step=0)
            if self.graph:
                layers = keras_model_to_graph_def(json.loads(self.model.to_json()))
                self.summary.graph(tf.compat.v1.GraphDef.FromString(layers.SerializeToString()))
        self._flush()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        super().on_epoch_end(epoch + 1, logs)
        self._flush()

    def _flush(self) -> None:
        for writer in (self._train_writer, self._val_writer):
            writer.flush()


def _need(package: str) -> None:
    if find_spec(package) is None:
        raise ValueError(f"the package {package} is missing: make setup WITH=live")
