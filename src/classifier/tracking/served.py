"""A registered model in MLflow's server: arrays or encoded pictures in, all its answers out.

MLflow copies this file into the registered model and runs it there
(https://mlflow.org/docs/latest/ml/model/models-from-code/): it can import nothing of this project.
"""

import base64
import warnings
from typing import Any

import mlflow
import numpy as np
from mlflow.pyfunc import PythonModel, PythonModelContext

# MLflow would check each input by them, and knows none for an input of two kinds.
warnings.filterwarnings("ignore", ".*[Tt]ype hint")


class ServedClassifier(PythonModel):
    """The SavedModel in the artifact ``saved_model``, as a function of pictures."""

    def load_context(self, context: PythonModelContext) -> None:
        import tensorflow as tf

        self.loaded = tf.saved_model.load(context.artifacts["saved_model"])

    def predict(
        self, context: PythonModelContext, model_input: Any, params: dict[str, Any] | None = None
    ) -> dict[str, np.ndarray]:
        """The outputs of the SavedModel's signatures, by name; class names as text.

        Args:
            model_input: one array, or its name and the array: (N,) of encoded pictures, each the
                bytes, base64 text or ``{"b64": text}``; or images (N, H, W, C), uint8 or whole
                numbers 0..255 of Python.

        Raises:
            ValueError: it is neither, or the base64 is damaged.
            tensorflow.errors.InvalidArgumentError: a picture cannot be decoded.
            OverflowError: a number is above 255, or below 0.
        """
        import tensorflow as tf

        given = next(iter(model_input.values())) if isinstance(model_input, dict) else model_input
        values = np.asarray(given)
        if values.ndim == 1:
            contents = tf.constant([_content(value) for value in values.tolist()], tf.string)
            outputs = self.loaded.signatures["encoded"](image_bytes=contents)
        elif values.dtype in (np.uint8, np.object_):
            images = tf.constant(values.astype(np.uint8))
            outputs = self.loaded.signatures["serving_default"](images=images)
        else:
            raise ValueError(f"images have to be uint8, not {values.dtype}")
        answers = {name: output.numpy() for name, output in sorted(outputs.items())}
        names = answers["class_names"].tolist()
        return answers | {"class_names": np.array([name.decode() for name in names], object)}


def _content(value: Any) -> bytes:
    if isinstance(value, np.ndarray):  # of each of MLflow's "instances"
        value = value.item()
    if isinstance(value, dict) and set(value) == {"b64"}:
        value = value["b64"]
    if isinstance(value, str):
        return base64.b64decode("".join(value.split()), validate=True)
    if isinstance(value, bytes):
        return value
    raise ValueError(f"a picture has to be base64 text, not {type(value).__name__}")


mlflow.models.set_model(ServedClassifier())
