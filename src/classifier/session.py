"""Keras's global state, set for a training as in a new process."""

import keras


def begin(*, seed: int, precision: str) -> None:
    """Forgets earlier models' names, seeds every generator, and sets the dtype policy.

    Args:
        seed: of Python's, NumPy's and TensorFlow's generators.
        precision: a name of ``keras.DTypePolicy``: ``float32``, ``mixed_bfloat16``, …
    """
    keras.utils.clear_session()
    keras.utils.set_random_seed(seed)
    keras.config.set_dtype_policy(precision)
