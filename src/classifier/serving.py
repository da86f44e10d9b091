"""An exported model that answers: its SavedModel, its images' shape and its classes."""

from pathlib import Path

import numpy as np
import tensorflow as tf

from classifier.errors import InputError


class SavedClassifier:
    """What export wrote, loaded.

    Attributes:
        shape: height, width and channels of its images.
        classes: class names, in the order of the probabilities.
    """

    def __init__(self, folder: Path):
        """Loads the SavedModel in ``folder``.

        Raises:
            InputError: there is none, or it is of another making.
        """
        if not (folder / "saved_model.pb").is_file():
            raise InputError(f"{folder} is no SavedModel: it has no saved_model.pb")
        loaded = tf.saved_model.load(folder)
        self._serve = loaded.signatures.get("serving_default")
        names = folder / "assets" / "classes.txt"
        inputs = self._serve.structured_input_signature[1] if self._serve else {}
        if set(inputs) != {"images"} or not names.is_file():
            raise InputError(f"{folder} was not exported by this project: it lacks images or names")
        self.shape = tuple(inputs["images"].shape[1:])
        self.classes = names.read_text("utf-8").splitlines()

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Probabilities, float32 (N, classes), of uint8 images (N, *shape)."""
        return self._serve(images=tf.constant(images))["probabilities"].numpy()
