"""Which task a dataset's labels are for."""

import numpy as np

from classifier.tasks.multi_label import MultiLabel
from classifier.tasks.single_label import SingleLabel
from classifier.tasks.task import Task


def task_of(labels: np.ndarray) -> Task:
    """The task whose labels have this shape: (N,) or (N, classes)."""
    return SingleLabel() if labels.ndim == 1 else MultiLabel()
