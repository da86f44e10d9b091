"""Keras's and TensorFlow's global state, set for a training as in a new process."""

import keras
import tensorflow as tf

from classifier.errors import InputError
from classifier.session_options import SessionOptions


def begin(options: SessionOptions) -> None:
    """Forgets earlier models' names, seeds every generator, and sets what decides the bytes.

    That is the dtype policy (https://keras.io/api/mixed_precision/policy), whether operations are
    deterministic, and how many threads one is divided among, as another number adds up in another
    order (https://www.tensorflow.org/api_docs/python/tf/config/experimental/enable_op_determinism).
    Determinism that was switched on stays so for the process.

    Raises:
        InputError: TensorFlow has begun with another number of threads.
    """
    keras.utils.clear_session()
    keras.utils.set_random_seed(options.seed)
    keras.config.set_dtype_policy(options.precision)
    if options.deterministic:
        tf.config.experimental.enable_op_determinism()
    if options.threads != tf.config.threading.get_intra_op_parallelism_threads():
        try:
            tf.config.threading.set_intra_op_parallelism_threads(options.threads)
        except RuntimeError as error:
            raise InputError(
                f"threads is {options.threads}: TensorFlow keeps the number that it began with; "
                "give each number a process of its own"
            ) from error
