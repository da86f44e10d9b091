"""Where a training runs: in one process, on the devices of one machine, or on several machines.

Each replica computes the gradients of its part of a batch, and all apply their sum. The weights are
therefore those of one replica with the whole batch, except for the order of additions
(https://www.tensorflow.org/guide/distributed_training). Only batch normalization and dropout
differ: each replica computes them on its own part.
"""

import logging
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import keras
import tensorflow as tf

from classifier.layers.keras_private import build_from_batches
from classifier.support.errors import InputError
from classifier.support.limits import Count, checked
from classifier.training.feed import TrainingFeed

# The errors of a collective operation when another process does not answer.
LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.InternalError,
)
log = logging.getLogger(__name__)
Scaling = Literal["none", "linear"]


class Workers(NamedTuple):
    """The processes and devices of a training, and which process this is."""

    strategy: tf.distribute.Strategy
    factor: int = 1  # by which batch_size and learning_rate are multiplied
    number: int = 0  # of this process; 0 is the chief, which writes the outputs

    @property
    def chief(self) -> bool:
        return self.number == 0

    def batch_size(self, asked: int) -> int:
        """The images of a step, of all replicas together.

        Raises:
            InputError: the replicas cannot divide them evenly.
        """
        replicas = self.strategy.num_replicas_in_sync
        if self.factor * asked % replicas:
            raise InputError(f"batch_size is {asked}: {replicas} replicas cannot divide it evenly")
        return self.factor * asked

    def folder(self, chiefs: Path) -> Path:
        """The folder of this worker for what the chief keeps in the folder ``chiefs``.

        It is the same folder for the chief, and a new copy of it next to it for another worker.
        """
        if self.chief:
            return chiefs
        own = chiefs.with_name(f"{chiefs.name}-worker{self.number}")
        shutil.rmtree(own, ignore_errors=True)
        if chiefs.is_dir():
            shutil.copytree(chiefs, own)
        return own


def single() -> Workers:
    """One process, one device."""
    return Workers(tf.distribute.get_strategy())


@checked
def mirrored(*, replicas: Count | None, scaling: Scaling) -> Workers:
    """``MirroredStrategy``: a copy of the model on each device of this machine.

    Args:
        replicas: how many; None for one per GPU. On a machine without a GPU, the CPU is divided
            into that many logical devices: for a trial, as it is no faster.
        scaling: see :func:`_factor`.

    Raises:
        ValueError: there are fewer GPUs, or TensorFlow already runs with another number.
    """
    kind = "GPU" if tf.config.list_physical_devices("GPU") else "CPU"
    devices = tf.config.list_physical_devices(kind)
    wanted = replicas or len(devices)
    if kind == "CPU" and wanted > 1:
        parts = [tf.config.LogicalDeviceConfiguration() for _ in range(wanted)]
        try:
            tf.config.set_logical_device_configuration(devices[0], parts)
        except RuntimeError as error:
            raise ValueError(f"replicas is {replicas}: {error}") from error
    elif wanted > len(devices):
        raise ValueError(f"replicas is {replicas}: this machine has {len(devices)} GPUs")
    names = [f"{kind}:{number}" for number in range(wanted)]
    return Workers(tf.distribute.MirroredStrategy(names), _factor(scaling, wanted))


@checked
def multi_worker(*, cluster: Literal["tf_config", "slurm"], scaling: Scaling) -> Workers:
    """``MultiWorkerMirroredStrategy``: a process per machine; returns when all have connected.

    The workers share a disk: an interrupted training continues from the chief's checkpoint.

    Args:
        cluster: ``tf_config`` reads the workers' addresses from the variable ``TF_CONFIG``, which
            Kubeflow and Vertex AI set; ``slurm`` reads them from the variables of a job step.
        scaling: see :func:`_factor`.

    Raises:
        ValueError: the environment does not name the workers.
    """
    resolvers = tf.distribute.cluster_resolver
    # The resolver counts the tasks of a node by its GPUs; without GPUs it needs other numbers.
    gpus = {"gpus_per_node": 1024, "gpus_per_task": 1, "auto_set_gpu": False}
    kinds: dict[str, Callable[[], Any]] = {
        "tf_config": resolvers.TFConfigClusterResolver,
        "slurm": partial(
            resolvers.SlurmClusterResolver, **({} if shutil.which("nvidia-smi") else gpus)
        ),
    }
    try:
        resolver = kinds[cluster]()
        tasks = resolver.cluster_spec().as_dict()
    except (RuntimeError, ValueError, KeyError) as error:
        raise ValueError(f"cluster is {cluster}: {error}") from error
    if not (tasks.get("chief") or tasks.get("worker")):
        raise ValueError(f"cluster is {cluster}: the environment names no workers (TF_CONFIG)")
    strategy = tf.distribute.MultiWorkerMirroredStrategy(resolver)
    number = int(resolver.task_id)
    if resolver.task_type != "chief":
        number += len(tasks.get("chief", []))
    return Workers(strategy, _factor(scaling, strategy.num_replicas_in_sync), number)


def _factor(scaling: Scaling, replicas: int) -> int:
    """What batch_size and learning rate are multiplied by.

    Args:
        scaling: ``none``: batch_size is that of all replicas together. ``linear``: it is that of
            each replica, and the learning rate grows with their number (Goyal et al., Accurate,
            large minibatch SGD, 2017).
    """
    return replicas if scaling == "linear" else 1


def distributed_batches(feed: TrainingFeed, epochs: range) -> tuple[Any, Any]:
    """The feed's batches of these epochs, and the specification of one replica's part of a batch.

    Under a strategy, they are the rows of each batch that this process computes with, one
    replica's at a time.
    """
    if not tf.distribute.has_strategy():
        dataset = feed.batches(epochs)
        return dataset, dataset.element_spec
    specs: list[Any] = []

    def own_batches(context: tf.distribute.InputContext) -> tf.data.Dataset:
        dataset = feed.batches(epochs, context)
        specs.append(dataset.element_spec)
        return dataset

    strategy = tf.distribute.get_strategy()
    return strategy.distribute_datasets_from_function(own_batches), specs[0]


def distribute(model: keras.Model, spec: Any) -> None:
    """Lets ``fit`` of the compiled model run under the strategy of the current scope.

    Keras builds a model from the mean of the replicas' batches, and takes the mean of their
    metrics; neither works with several workers. So the model is built here from the shapes of a
    batch. The metrics of a training step are the mean over all replicas of all workers: a callback
    that stops the training for a NaN does so at the same step everywhere, or the workers that go on
    would wait for the others.

    Args:
        spec: of :func:`distributed_batches`.
    """
    if not tf.distribute.has_strategy():
        return
    build_from_batches(model, spec)
    if model.steps_per_execution > 1:
        log.warning("steps_per_execution is %d: several replicas run 1", model.steps_per_execution)
    model.steps_per_execution = 1
    train_step, test_step = model.train_step, model.test_step
    if model.jit_compile:
        train_step = tf.function(train_step, jit_compile=True)
        test_step = tf.function(test_step, jit_compile=True)
    model.train_function = _on_each_replica(_with_means(train_step))
    # What validation returns at the end of an epoch, Keras adds up over the replicas itself.
    model.test_function = _on_each_replica(test_step)


def images_at_once(feed: TrainingFeed) -> int:
    """The largest number of images that this process computes with at the same time."""
    replicas = 1
    if tf.distribute.has_strategy():
        replicas = len(tf.distribute.get_strategy().extended.worker_devices)
    return -(-feed.images_per_step // feed.replicas) * replicas


def check_agreement(first_epoch: int) -> None:
    """Checks that all workers start with the same epoch; does nothing in a single process.

    Raises:
        InputError: they do not, because each has its own checkpoints.
    """
    strategy = tf.distribute.get_strategy()
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return
    first = tf.constant(first_epoch)
    total = strategy.reduce("SUM", strategy.run(lambda: first), axis=None)
    if total != first_epoch * strategy.num_replicas_in_sync:
        raise InputError(
            "the workers would continue after different epochs: they must share the checkout's disk"
        )


@contextmanager
def no_worker_lost() -> Iterator[None]:
    """A block that the workers compute together.

    Raises:
        InputError: one of them was lost.
    """
    try:
        yield
    except LOST as error:
        if not isinstance(tf.distribute.get_strategy(), tf.distribute.MultiWorkerMirroredStrategy):
            raise
        raise InputError(
            "a worker was lost: start all of them again to continue after the last finished epoch"
        ) from error


def _with_means(step: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The step, with the mean of each metric over all replicas of all workers."""

    def step_with_means(batch: Any) -> Any:
        metrics = step(batch)
        # One message for all of them: with several workers, the number of messages is the cost.
        means = tf.distribute.get_replica_context().all_reduce(
            "MEAN", tf.stack([tf.cast(value, tf.float32) for value in metrics.values()])
        )
        return dict(zip(metrics, tf.unstack(means), strict=True))

    return step_with_means


def _on_each_replica(step: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The step as a function of an iterator; returns this process's first replica's metrics."""
    strategy = tf.distribute.get_strategy()

    @tf.function(reduce_retracing=True)
    def run(iterator: Any) -> Any:
        metrics = strategy.run(step, args=(next(iterator),))
        return tf.nest.map_structure(
            lambda value: strategy.experimental_local_results(value)[0], metrics
        )

    return run
