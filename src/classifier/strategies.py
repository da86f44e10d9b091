"""Where a training runs: one process, the devices of one machine, or workers on several.

Each replica computes the gradients of its share of a batch, and all apply their sum, so that the
weights are those of one replica with the whole batch, but for the order of additions
(https://www.tensorflow.org/guide/distributed_training). Only batch normalization and dropout
differ: each replica has its own share of them.
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from classifier.errors import InputError

# What a collective operation ends with when another process does not answer.
LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.InternalError,
)


class Workers(NamedTuple):
    """What takes part in a training."""

    strategy: tf.distribute.Strategy
    factor: int = 1  # of batch_size and learning_rate
    number: int = 0  # of this process; 0 is the chief, which writes the outputs

    @property
    def chief(self) -> bool:
        return self.number == 0

    def batch_size(self, asked: int) -> int:
        """Images of a step, of all replicas together.

        Raises:
            InputError: the replicas cannot share them evenly.
        """
        replicas = self.strategy.num_replicas_in_sync
        if self.factor * asked % replicas:
            raise InputError(f"batch_size is {asked}: {replicas} replicas cannot share it evenly")
        return self.factor * asked

    def folder(self, chiefs: Path) -> Path:
        """Where this worker keeps what the chief keeps in the folder ``chiefs``: there, or, for
        another worker, in a copy of its own beside it."""
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


def mirrored(*, replicas: int | None, scaling: str) -> Workers:
    """``MirroredStrategy``: a copy of the model on each device of this machine.

    Args:
        replicas: how many; None for one a GPU. On a machine without GPU, its processor is divided
            into so many devices, which shows what would happen and is no faster.
        scaling: of :func:`_factor`.

    Raises:
        ValueError: there are not so many GPUs, or TensorFlow has begun with another number.
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


def multi_worker(*, cluster: str, scaling: str) -> Workers:
    """``MultiWorkerMirroredStrategy``: a process a machine; returns when all have come.

    The workers share a disk: a training that was broken off goes on from the chief's checkpoint.

    Args:
        cluster: ``tf_config`` reads who the workers are from the variable ``TF_CONFIG``, which
            Kubeflow and Vertex AI set; ``slurm`` from Slurm's own, of a job step.
        scaling: of :func:`_factor`.

    Raises:
        ValueError: the environment does not say who the workers are.
    """
    resolvers = tf.distribute.cluster_resolver
    # Slurm's counts a node's tasks by its GPUs: where there are none, by some that are never set.
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
    return join(resolver, scaling)


def join(resolver: tf.distribute.cluster_resolver.ClusterResolver, scaling: str) -> Workers:
    """Joins the cluster that the resolver names, as the task that it says; returns when all have.

    Args:
        scaling: of :func:`_factor`.
    """
    chiefs = len(resolver.cluster_spec().as_dict().get("chief", []))
    strategy = tf.distribute.MultiWorkerMirroredStrategy(resolver)
    number = int(resolver.task_id) + (0 if resolver.task_type == "chief" else chiefs)
    return Workers(strategy, _factor(scaling, strategy.num_replicas_in_sync), number)


def _factor(scaling: str, replicas: int) -> int:
    """``none``: batch_size is that of all together. ``linear``: it is each one's, and the learning
    rate grows with their number (Goyal et al., Accurate, large minibatch SGD, 2017)."""
    return replicas if scaling == "linear" else 1


def distributed_batches(make: Callable[..., tf.data.Dataset]) -> tuple[Any, Any]:
    """The batches of ``make``, and the specification of what a replica gets of one.

    Under a strategy, ``make`` is called with ``context``, a ``tf.distribute.InputContext``, for
    the batches' rows that this process computes with, a replica's at a time.
    """
    if not tf.distribute.has_strategy():
        dataset = make()
        return dataset, dataset.element_spec
    specs: list[Any] = []

    def own(context: tf.distribute.InputContext) -> tf.data.Dataset:
        dataset = make(context=context)
        specs.append(dataset.element_spec)
        return dataset

    distributed = tf.distribute.get_strategy().distribute_datasets_from_function(own)
    return distributed, specs[0]


def distribute(model: keras.Model, spec: Any) -> None:
    """Lets the compiled model's ``fit`` run under the strategy whose scope this is called in.

    Keras builds a model of the mean of the replicas' batches, and takes the mean of their metrics:
    several workers can do neither. So the model is built here, of a batch's shapes, and a step's
    metrics are the first replica's, as they are the same in each.

    Args:
        spec: of :func:`distributed_batches`.
    """
    if not tf.distribute.has_strategy():
        return
    model._symbolic_build(data_batch=spec)
    model._distribute_strategy = None  # Keras takes the scope's then, and builds nothing
    model.steps_per_execution = 1
    model.train_function = _on_each_replica(model.train_step, jit_compile=model.jit_compile)
    model.test_function = _on_each_replica(model.test_step, jit_compile=model.jit_compile)


def images_at_once(spec: Any) -> int:
    """How many images this process computes with at a time.

    Args:
        spec: of :func:`distributed_batches`.
    """
    replicas = 1
    if tf.distribute.has_strategy():
        replicas = len(tf.distribute.get_strategy().extended.worker_devices)
    return int(spec[0].shape[0]) * replicas


def check_agreement(first_epoch: int) -> None:
    """Checks that all workers begin with the same epoch; nothing for one process.

    Raises:
        InputError: they do not, as each has checkpoints of its own.
    """
    strategy = tf.distribute.get_strategy()
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return
    first = tf.constant(first_epoch)
    total = strategy.reduce("SUM", strategy.run(lambda: first), axis=None)
    if total != first_epoch * strategy.num_replicas_in_sync:
        raise InputError(
            "the workers would go on after different epochs: they must share the checkout's disk"
        )


@contextmanager
def no_worker_lost() -> Iterator[None]:
    """A block that the workers compute together.

    Raises:
        InputError: one of them is gone.
    """
    try:
        yield
    except LOST as error:
        if not isinstance(tf.distribute.get_strategy(), tf.distribute.MultiWorkerMirroredStrategy):
            raise
        raise InputError(
            "a worker is gone: start all of them again, to go on after the last finished epoch"
        ) from error


def _on_each_replica(step: Callable[[Any], Any], *, jit_compile: bool) -> Callable[[Any], Any]:
    strategy = tf.distribute.get_strategy()
    compiled = tf.function(step, jit_compile=True) if jit_compile else step

    @tf.function(reduce_retracing=True)
    def run(iterator: Any) -> Any:
        metrics = strategy.run(compiled, args=(next(iterator),))
        return tf.nest.map_structure(lambda of: strategy.experimental_local_results(of)[0], metrics)

    return run
