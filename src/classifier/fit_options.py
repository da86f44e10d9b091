"""How a model is fitted: what ``classifier.training.fit`` takes beside model and data."""

from dataclasses import dataclass


@dataclass
class FitOptions:
    epochs: int = 10
    label_smoothing: float = 0.0
    monitor: str = "val_accuracy"
    patience: int | None = None  # epochs without a better monitor; null: no early stopping
    class_weight: str | None = None  # balanced: every class counts as much
    fine_tune_epochs: int = 0  # after epochs, with the top of a transferred base unfrozen
    fine_tune_layers: int = 10  # of the base, from its top, that train then
    fine_tune_rate: float = 0.1  # of the learning rate until then
    jit_compile: bool = False
    steps_per_execution: int = 1
