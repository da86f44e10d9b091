"""What each stage's configuration may hold: keys and types as dataclasses, values as limits."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from omegaconf import MISSING

from classifier.data.sources import KINDS, Dataset
from classifier.data.splits import STORAGES
from classifier.fit_options import FitOptions
from classifier.session_options import SessionOptions


@dataclass
class Download:
    pipeline: str = MISSING
    source: str = "auto"
    attempts: int = 4  # a URL's, before the next source is tried
    timeout: float = 30.0  # seconds without a byte
    dataset: Dataset = MISSING


@dataclass
class Split:
    pipeline: str = MISSING
    train: float | None = None  # null: what validation and test leave
    validation: float = 0.15  # below 1 a fraction, from 1 on a number of images
    test: float | None = 0.15  # null: the dataset's official test split
    classes: list[str] | None = None  # null: all of the dataset's
    seed: int = 7
    duplicates: str = "keep"
    conflicting_labels: str = "drop"


@dataclass
class Normalize:
    pipeline: str = MISSING
    image_size: int = 96  # pixels, height and width
    channels: int = 3
    fit: str = "crop"
    undecodable: str = "fail"
    method: str = "standardize"
    window: int = 7  # pixels, for local_contrast
    workers: int = 2  # threads that decode
    storage: str = "arrays"  # or tfrecord: shards, for more images than fit into memory
    shard_bytes: int = 100_000_000  # of pixels in a shard, at most


@dataclass
class Augment:
    pipeline: str = MISSING
    seed: int = 7
    copies: int = 0
    policy: dict[str, Any] = field(default_factory=dict)


@dataclass
class Train(FitOptions, SessionOptions):
    pipeline: str = MISSING
    batch_size: int = 64
    workers: int = 2  # threads that augment
    outage: str = "stop"  # or postpone: train without the MLflow store, upload the run later
    model: dict[str, Any] = field(default_factory=dict)
    optimizer: dict[str, Any] = field(default_factory=dict)
    schedule: dict[str, Any] = field(default_factory=dict)
    mixing: dict[str, Any] = field(default_factory=dict)
    views: dict[str, Any] = field(default_factory=dict)
    strategy: dict[str, Any] = field(default_factory=dict)


@dataclass
class Evaluate:
    pipeline: str = MISSING
    batch_size: int = 256
    mistakes: int = 40  # pictures in each grid
    bootstrap: int = 1000  # test sets drawn for the confidence intervals
    seed: int = 7  # of that


@dataclass
class Export:
    pipeline: str = MISSING
    thresholds: dict[str, float] = field(default_factory=dict)  # least metrics of a champion
    verify_images: int = 256
    tolerance: float = 1e-5  # largest difference of a probability from the Keras model's
    runtimes: list[str] = field(default_factory=lambda: ["litert"])  # beside the SavedModel
    accuracy_loss: float = 0.02  # the most that int8 may cost


SCHEMAS: dict[str, type] = {
    schema.__name__.lower(): schema
    for schema in (Download, Split, Normalize, Augment, Train, Evaluate, Export)
}


class Limit(NamedTuple):
    """What a value may be: a test, and its description for the message."""

    allows: Callable[[Any], bool]
    description: str
    choices: tuple[str, ...] = ()


def at_least(low: float) -> Limit:
    return Limit(lambda value: value >= low, f"at least {low}")


def between(low: float, high: float) -> Limit:
    return Limit(lambda value: low <= value <= high, f"between {low} and {high}")


def below(low: float, high: float) -> Limit:
    return Limit(lambda value: low <= value < high, f"at least {low} and below {high}")


def above(low: float) -> Limit:
    return Limit(lambda value: value > low, f"above {low}")


def one_of(*choices: Any) -> Limit:
    text = " | ".join(map(str, choices))
    return Limit(lambda value: value in choices, f"one of {text}", tuple(map(str, choices)))


# By the last word of the key, in any stage and group: a word means the same everywhere.
LIMITS: dict[str, Limit] = {
    "accuracy_loss": between(0, 1),
    "activation": one_of(
        "celu",
        "elu",
        "exponential",
        "gelu",
        "hard_shrink",
        "hard_sigmoid",
        "hard_silu",
        "hard_swish",
        "hard_tanh",
        "leaky_relu",
        "linear",
        "mish",
        "relu",
        "relu6",
        "selu",
        "sigmoid",
        "silu",
        "soft_shrink",
        "softplus",
        "softsign",
        "squareplus",
        "swish",
        "tanh",
        "tanh_shrink",
    ),
    "at": between(0, 1),
    "attempts": at_least(1),
    "batch_size": at_least(1),
    "blocks": at_least(1),
    "bootstrap": at_least(1),
    "bytes": at_least(1),
    "channels": one_of(1, 3),
    "class_weight": one_of("balanced"),
    "clipnorm": above(0),
    "cluster": one_of("tf_config", "slurm"),
    "conflicting_labels": one_of("keep", "drop"),
    "convolutions": at_least(1),
    "copies": at_least(0),
    "dropout": below(0, 1),
    "duplicates": one_of("keep", "drop"),
    "ema_momentum": below(0, 1),
    "epochs": at_least(1),
    "fine_tune_epochs": at_least(0),
    "fine_tune_layers": at_least(1),
    "fine_tune_rate": above(0),
    "filters": at_least(1),
    "final": between(0, 1),
    "fit": one_of("crop", "pad"),
    "format": one_of("folders", "npz"),
    "image_size": between(8, 4096),
    "initial": between(0, 1),
    "kernel_size": at_least(1),
    "kind": one_of(*KINDS),
    "label_smoothing": below(0, 1),
    "learning_rate": above(0),
    "lowest": between(0, 1),
    "max_bytes": at_least(1),
    "max_files": at_least(1),
    "method": one_of("rescale", "standardize", "per_image", "local_contrast"),
    "middle": between(0.1, 1),
    "mistakes": at_least(1),
    "momentum": below(0, 1),
    "monitor": one_of("val_accuracy", "val_loss", "accuracy", "loss"),
    "normalization": one_of("batch", "layer", "group", "none"),
    "outage": one_of("stop", "postpone"),
    "padding": one_of("same", "valid"),
    "patience": at_least(1),
    "pool": one_of("strides", "max", "average"),
    "port": between(1, 65535),
    "precision": one_of("float32", "mixed_bfloat16", "mixed_float16"),
    "replicas": at_least(1),
    "runtimes": one_of("onnx", "litert", "litert_int8"),
    "scaling": one_of("none", "linear"),
    "seed": between(0, 2**31 - 1),
    "shard_bytes": at_least(1),
    "shift": at_least(0),
    "source": one_of("auto", *KINDS),
    "steps_per_execution": at_least(1),
    "stem_kernel_size": at_least(1),
    "stem_strides": at_least(1),
    "storage": one_of(*STORAGES),
    "test": at_least(0),
    "threads": at_least(0),
    "timeout": above(0),
    "tolerance": at_least(0),
    "train": above(0),
    "undecodable": one_of("drop", "fail"),
    "units": at_least(1),
    "validation": above(0),
    "verify_images": at_least(1),
    "wait": at_least(1),
    "warmup": below(0, 1),
    "watch": one_of("val_accuracy", "val_loss", "accuracy", "loss"),
    "weight_decay": at_least(0),
    "window": at_least(3),
    "workers": at_least(1),
}
