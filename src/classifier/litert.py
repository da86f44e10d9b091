"""A LiteRT model that answers, without TensorFlow: it starts at once and waits for nothing."""

import os
from pathlib import Path

import numpy as np


class LiteRTModel:
    """Called with uint8 (N, H, W, C), gives float32 (N, classes).

    Attributes:
        shape: height, width and channels of its images.
    """

    def __init__(self, file: Path):
        from ai_edge_litert.interpreter import Interpreter

        self._interpreter = Interpreter(str(file), num_threads=os.cpu_count())
        self._interpreter.allocate_tensors()
        (taken,), (given,) = (
            self._interpreter.get_input_details(),
            self._interpreter.get_output_details(),
        )
        self._taken, self._given = taken["index"], given["index"]
        _, height, width, channels = map(int, taken["shape"])
        self.shape = height, width, channels

    def __call__(self, images: np.ndarray) -> np.ndarray:
        if tuple(self._interpreter.get_input_details()[0]["shape"]) != images.shape:
            self._interpreter.resize_tensor_input(self._taken, images.shape)
            self._interpreter.allocate_tensors()
        self._interpreter.set_tensor(self._taken, images)
        self._interpreter.invoke()
        found: np.ndarray = self._interpreter.get_tensor(self._given)
        return found
