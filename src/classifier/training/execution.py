"""Several training steps per call of TensorFlow, without steps of the next epoch."""

from typing import Any

import keras
import tensorflow as tf


def execute_together(model: keras.Model, steps_per_epoch: int) -> None:
    """Lets ``fit`` of the compiled model keep to the steps of an epoch.

    The calls of an epoch have ``model.steps_per_execution`` steps each, and the last one has the
    rest. Keras would give the last one as many steps as the others, and take their batches from the
    next epoch. Where the number divides the steps of an epoch, nothing is changed.
    """
    most = model.steps_per_execution
    if steps_per_epoch % most == 0:
        return
    step = tf.function(model.train_step, reduce_retracing=True, jit_compile=model.jit_compile)

    @tf.function(reduce_retracing=True)
    @tf.autograph.experimental.do_not_convert
    def run(iterator: Any, count: tf.Tensor) -> Any:
        _, metrics = tf.while_loop(
            lambda number, _: number < count,
            lambda number, _: (number + 1, step(next(iterator))),
            (tf.constant(1), step(next(iterator))),
        )
        return metrics

    executed = 0  # steps of the current epoch

    def train_function(iterator: Any) -> Any:
        nonlocal executed
        count = min(most, steps_per_epoch - executed)
        executed = (executed + count) % steps_per_epoch
        return run(iterator, tf.constant(count))

    model.train_function = train_function
