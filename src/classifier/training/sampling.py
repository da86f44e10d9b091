"""Sampling balanced by class: which image of the training split comes when."""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf


def balanced_rows(labels: np.ndarray, classes: int) -> Callable[[Any], tf.Tensor]:
    """Draws an epoch of as many images as there are, the same number of each class.

    Numbers of classes that do not divide the images give some classes one image more, others in
    each epoch. Within a class, each image comes equally often, or once more than another: the
    images of a rare class several times, of a frequent one once or not at all, others in each
    epoch.

    Args:
        labels: integers (N,), each of 0 to ``classes`` - 1 at least once.

    Returns:
        A function of a seed, int32 (2,), which decides all: the rows of an epoch, int32 (N,).
    """
    counts = np.bincount(labels, minlength=classes)
    firsts = tf.constant(np.cumsum(counts) - counts, tf.int32)
    sizes, of_rows = tf.constant(counts, tf.int32), tf.constant(np.asarray(labels, np.int32))
    draws = tf.range(len(labels))

    def rows(seed: Any) -> tf.Tensor:
        seeds = [tf.random.experimental.stateless_fold_in(seed, number) for number in (-1, -2, -3)]
        order = tf.random.experimental.stateless_shuffle(draws, seed=seeds[0])
        by_class = tf.gather(order, tf.argsort(tf.gather(of_rows, order), stable=True))
        turns = tf.random.experimental.stateless_shuffle(tf.range(classes), seed=seeds[1])
        drawn = tf.gather(turns, draws % classes)
        within = (draws // classes) % tf.gather(sizes, drawn)
        chosen = tf.gather(by_class, tf.gather(firsts, drawn) + within)
        return tf.random.experimental.stateless_shuffle(chosen, seed=seeds[2])

    return rows
