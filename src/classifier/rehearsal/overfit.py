"""One batch, learned by heart: a training that cannot do this will not learn anything else.

Karpathy, A recipe for training neural networks, 2019
(https://karpathy.github.io/2019/04/25/recipe).
"""

import time
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from classifier.rehearsal.rate_range import RateRange
from classifier.rehearsal.steps import Steps, Taken, taken, weights_restored
from classifier.training.phases import Phase

LEARNED = 0.9  # of the way from the first loss to its floor
LAST = 3  # steps whose mean is the loss that was reached


class Overfit(NamedTuple):
    """How far the loss of one batch came down.

    Attributes:
        taken: its steps; the losses are without the penalties of the weights.
        floor: the lowest loss that any probabilities have for labels like these.
        cut_short: the time was over before the steps were.
    """

    taken: Taken
    floor: float
    cut_short: bool

    @property
    def way(self) -> float:
        """How much of the way from the first loss to the floor was gone; 1 for all of it."""
        losses = self.taken.losses
        if not len(losses) or not np.isfinite(losses).all():
            return 0.0
        whole = losses[0] - self.floor
        if whole <= 0.01 + 0.02 * abs(self.floor):  # there from the beginning
            return 1.0
        return float((losses[0] - losses[-LAST:].mean()) / whole)

    @property
    def learns(self) -> bool:
        return self.way >= LEARNED

    @property
    def verdict(self) -> str:
        """``learns``, ``learns slowly``: half of the way was gone, or ``does not learn``."""
        if self.learns:
            return "learns"
        return "learns slowly" if self.way >= 0.5 else "does not learn"


def overfit(
    model: keras.Model,
    phase: Phase,
    batch: tuple[tf.Tensor, tf.Tensor],
    rate: float,
    *,
    steps: int,
    seconds: float,
    jit_compile: bool = False,
) -> Overfit:
    """Trains on one batch again and again, until its loss is near the floor.

    The model has its former weights afterwards.

    Args:
        batch: what the model takes, (B, …), and one-hot labels, float32 (B, classes).
        rate: the learning rate, the same at each step.
        steps, seconds: it stops after one of them; the first step, which makes the graph, does not
            count for the seconds.
    """
    floor = loss_floor(phase.loss, int(batch[1].shape[-1]))
    if not model.trainable_weights:
        return Overfit(taken([]), floor, cut_short=False)
    batches = tf.data.Dataset.from_tensors(batch).repeat()
    done: list[tuple[float, float]] = []
    with weights_restored(model):
        stepping = Steps(model, phase, batches.element_spec, jit_compile)
        deadline = float("inf")
        for loss, took in stepping.take(iter(batches), [rate] * steps):
            done.append((loss - stepping.penalty(), took))
            result = Overfit(taken(done), floor, cut_short=False)
            if not np.isfinite(loss) or (len(done) > LAST and result.learns):
                return result
            if len(done) == 1:
                deadline = time.perf_counter() + seconds
            if time.perf_counter() > deadline:
                return result._replace(cut_short=len(done) < steps)
    return result


def loss_floor(loss: keras.losses.Loss, classes: int) -> float:
    """The lowest loss of a one-hot label: with label smoothing it is above 0.

    Found among probabilities whose rest is spread evenly over the other classes.
    """
    rest = np.geomspace(1e-7, 1 - 1 / classes, 200, dtype=np.float32)[:, None]
    labels = np.eye(1, classes, dtype=np.float32).repeat(len(rest), axis=0)
    probabilities = (1 - rest) * labels + rest * (1 - labels) / (classes - 1)
    return float(np.min(loss.call(labels, probabilities)))


def likely_causes(
    result: Overfit,
    model: keras.Model,
    batch: tuple[tf.Tensor, tf.Tensor],
    rate: float,
    test: RateRange | None,
) -> list[str]:
    """What may be the reason that a batch is not learned, the surest first.

    Args:
        test: the range test of the same phase, if there was one.
    """
    if not model.trainable_weights:
        return ["no layer trains: all of them are frozen"]
    found = []
    losses = result.taken.losses
    if not np.isfinite(losses).all():
        found.append(f"the loss became NaN or infinite at step {len(losses)}")
    if np.ptp(np.asarray(batch[0]), axis=0).max() == 0:
        found.append("all images of the batch are equal: look at data/overview")
    if contrary := contradictions(batch):
        found.append(f"{contrary} of its images are equal to another one with another label")
    verdict = test.verdict(rate) if test else "unknown"
    if verdict == "large" or not np.isfinite(losses).all():
        found.append("the learning rate is too large")
    elif verdict != "fits":
        found.append("the learning rate is too small")
    else:
        found.append("dropout, weight_decay or label_smoothing are strong, or the network is small")
    return found


def contradictions(batch: tuple[tf.Tensor, tf.Tensor]) -> int:
    """Images of the batch that are equal to an earlier one with another label."""
    labels: dict[bytes, bytes] = {}
    images, targets = (np.asarray(part) for part in batch)
    return sum(
        labels.setdefault(image.tobytes(), target.tobytes()) != target.tobytes()
        for image, target in zip(images, targets, strict=True)
    )
