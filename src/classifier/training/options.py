"""How a model is trained: what a user sets beside the model and the data."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Tag

from classifier.support.limits import ClassName, Count, Index, Positive, Seed

Sampling = Literal["natural", "balanced"]
KINDS = {dict: "{class: weight}", str: "name", type(None): "name"}


def _kind(value: Any) -> str | None:
    return KINDS.get(type(value))


ClassWeight = Annotated[
    Annotated[Literal["balanced"] | None, Tag("name")]
    | Annotated[dict[ClassName, Positive], Tag("{class: weight}")],
    Discriminator(
        _kind,
        custom_error_type="class_weight",
        custom_error_message="must be null, balanced, or {class: weight, …}",
    ),
]


@dataclass(kw_only=True)
class FitOptions:
    """What :func:`classifier.training.fit.fit` takes; conf/train.yaml explains each value."""

    epochs: Count
    monitor: Literal[
        "val_accuracy",
        "val_balanced_accuracy",
        "val_macro_f1",
        "val_pr_auc",
        "val_loss",
        "accuracy",
        "loss",
    ]
    patience: Count | None
    class_weight: ClassWeight
    sampling: Sampling
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
