"""How a model is trained: what a user sets beside the model and the data."""

from dataclasses import dataclass
from typing import Literal

from classifier.support.limits import Count, FractionBelow1, Index, Positive, Seed


@dataclass(kw_only=True)
class FitOptions:
    """What :func:`classifier.training.fit.fit` takes; conf/train.yaml explains each value."""

    epochs: Count
    label_smoothing: FractionBelow1
    monitor: Literal["val_accuracy", "val_loss", "accuracy", "loss"]
    patience: Count | None
    class_weight: Literal["balanced"] | None
    fine_tune_epochs: Index
    fine_tune_layers: Count
    fine_tune_rate: Positive
    jit_compile: bool
    steps_per_execution: Count


@dataclass(kw_only=True)
class SessionOptions:
    """What :func:`classifier.training.session.begin` takes; conf/train.yaml explains each value."""

    seed: Seed
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"]
    deterministic: bool
    threads: Index
