"""A LiteRT model that answers, without TensorFlow: it starts at once and waits for nothing."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np


def load_litert(file: Path) -> Callable[[np.ndarray], np.ndarray]:
    """A function of uint8 (N, H, W, C) that gives float32 (N, classes)."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(file), num_threads=os.cpu_count())
    interpreter.allocate_tensors()
    (taken,), (given,) = interpreter.get_input_details(), interpreter.get_output_details()

    def predict(images: np.ndarray) -> np.ndarray:
        if tuple(interpreter.get_input_details()[0]["shape"]) != images.shape:
            interpreter.resize_tensor_input(taken["index"], images.shape)
            interpreter.allocate_tensors()
        interpreter.set_tensor(taken["index"], images)
        interpreter.invoke()
        found: np.ndarray = interpreter.get_tensor(given["index"])
        return found

    return predict
