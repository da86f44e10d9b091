"""A registered model in MLflow's server: arrays or encoded pictures in, all its answers out.

MLflow copies this file into the registered model and runs it there
(https://mlflow.org/docs/latest/ml/model/models-from-code/): it can import nothing of this project.
"""

import base64
from typing import Any

import mlflow
import numpy as np
from mlflow.pyfunc import PythonModel, PythonModelContext


class ServedClassifier(PythonModel):
    """The SavedModel in the artifact ``saved_model``, as a function of pictures."""

    def load_context(self, context: PythonModelContext) -> None:
        import tensorflow as tf

        self.loaded = tf.saved_model.load(context.artifacts["saved_model"])

    def predict(
        self,
        context: PythonModelContext,
        model_input: np.ndarray,
        params: dict[str, Any] | None = None,
    ) -> dict[str, np.ndarray]:
        """The outputs of the SavedModel's signatures, by name; class names as text.

        Args:
            model_input: (N,) of encoded pictures, each base64 text or the bytes; or images
                (N, H, W, C), uint8 or whole numbers 0..255 of Python.

        Raises:
            ValueError: it is neither, or the base64 is damaged.
            tensorflow.errors.InvalidArgumentError: a picture cannot be decoded.
            OverflowError: a number is above 255, or below 0.
        """
        import tensorflow as tf

        if model_input.ndim == 1:
            contents = tf.constant([_content(each) for each in model_input.tolist()], tf.string)
            outputs = self.loaded.signatures["encoded"](image_bytes=contents)
        elif model_input.dtype in (np.uint8, np.object_):
            images = tf.constant(model_input.astype(np.uint8))
            outputs = self.loaded.signatures["serving_default"](images=images)
        else:
            raise ValueError(f"images have to be uint8, not {model_input.dtype}")
        answers = {name: output.numpy() for name, output in sorted(outputs.items())}
        names = answers["class_names"].tolist()
        return answers | {"class_names": np.array([name.decode() for name in names], object)}


def _content(picture: Any) -> bytes:
    if isinstance(picture, bytes):
        return picture
    if isinstance(picture, str):
        return base64.b64decode("".join(picture.split()), validate=True)
    raise ValueError(f"a picture has to be base64 text, not {type(picture).__name__}")


mlflow.models.set_model(ServedClassifier())
