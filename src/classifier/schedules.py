"""Learning-rate schedules over a training's steps: functions that build Keras schedules."""

import keras


def constant(learning_rate: float, steps: int) -> float:
    """The same rate at every step."""
    return learning_rate


def cosine(
    learning_rate: float, steps: int, *, warmup: float, final: float
) -> keras.optimizers.schedules.LearningRateSchedule:
    """Linear warm-up from nothing, then half a cosine down (Loshchilov and Hutter, SGDR, 2017).

    Args:
        learning_rate: the peak.
        steps: of the whole training.
        warmup: the share of the steps that warms up.
        final: the last rate, as a share of the peak.
    """
    rising = round(warmup * steps)
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=learning_rate if rising == 0 else 0.0,
        decay_steps=max(1, steps - rising),
        alpha=final,
        warmup_target=learning_rate if rising else None,
        warmup_steps=rising,
    )
