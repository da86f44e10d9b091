"""The global state of Keras and TensorFlow, set for a training as in a new process."""

import keras
import tensorflow as tf

from classifier.support.errors import InputError
from classifier.training.options import SessionOptions


def begin(options: SessionOptions) -> None:
    """Clears the session, seeds every random generator, and sets what decides the weights' bits.

    These are the dtype policy (https://keras.io/api/mixed_precision/policy), whether operations are
    deterministic
    (https://www.tensorflow.org/api_docs/python/tf/config/experimental/enable_op_determinism), and
    the number of threads per operation: another number adds up in another order. Determinism
    that was switched on stays on for the process.

    Raises:
        InputError: TensorFlow already runs with another number of threads.
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
                f"threads is {options.threads}: TensorFlow cannot change the number while it runs; "
                "use a new process for each number"
            ) from error
