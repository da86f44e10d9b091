"""What differs from task to task, where a model is trained and where its answers are used.

How a task is judged is in :mod:`classifier.reporting`. Keras is imported where it is called, as
programs that only answer do without it.
"""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np


class Task(ABC):
    """A task.

    Attributes:
        activation: of the last layer of a network, which gives a number for each class.
        losses: choices of conf/loss that are for it.
        monitors: metrics, without ``val_``, that may choose the best epoch.
    """

    activation: ClassVar[str]
    losses: ClassVar[tuple[str, ...]]
    monitors: ClassVar[tuple[str, ...]]

    @abstractmethod
    def refusal(self, *, class_weight: Any, sampling: str, taught: bool) -> str | None:
        """Why these options of a training do not fit the task, in one line; None if they do."""

    @abstractmethod
    def refuses_loss(self, kind: str) -> bool:
        """Whether a class of ``keras.losses``, by its name, is for another task."""

    @abstractmethod
    def with_last_activation(self, model: Any) -> None:
        """Gives the last layer of a new network the activation of the task.

        Raises:
            InputError: it has none.
        """

    @abstractmethod
    def problem(self, values: np.ndarray) -> str | None:
        """What is wrong with outputs, finite (N, classes), as probabilities; None if nothing is."""

    @abstractmethod
    def metrics(self, classes: int, monitor: str) -> list[Any]:
        """Keras metrics of a training, ``accuracy`` first.

        Args:
            monitor: without ``val_``, one of ``monitors``.
        """

    @abstractmethod
    def targets(self, labels: Any, classes: int) -> Any:
        """What a loss takes, float32 (B, classes), of labels in a TensorFlow graph."""

    @abstractmethod
    def labels(self, targets: np.ndarray) -> np.ndarray:
        """The labels of :meth:`targets`."""

    @abstractmethod
    def counts(self, labels: np.ndarray, classes: int) -> np.ndarray:
        """The number of images of each class, integers (classes,)."""

    @abstractmethod
    def right(
        self, probabilities: np.ndarray, labels: np.ndarray, thresholds: np.ndarray | None
    ) -> np.ndarray:
        """Whether the answer to each image is right, bool (N,).

        Args:
            probabilities: (N, classes).
            labels: of the N images.
            thresholds: of each class, (classes,), for a task that has them.
        """
