"""A learning-rate schedule that begins at a later step, for an optimizer that has counted before.

A saved model names it where a training continued another one.
"""

from typing import Any

import keras


@keras.saving.register_keras_serializable("classifier")
class LaterSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """The schedule as if the step ``begin`` was its step 0.

    Args:
        schedule: of the steps from ``begin`` on.
        begin: the steps that the optimizer has counted before.
    """

    def __init__(self, schedule: keras.optimizers.schedules.LearningRateSchedule, begin: int):
        self.schedule = schedule
        self.begin = begin

    def __call__(self, step: Any) -> Any:
        return self.schedule(step - self.begin)

    def get_config(self) -> dict[str, Any]:
        schedule = keras.saving.serialize_keras_object(self.schedule)
        return {"schedule": schedule, "begin": self.begin}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "LaterSchedule":
        return cls(keras.saving.deserialize_keras_object(config["schedule"]), config["begin"])
