"""Inference with LiteRT, without TensorFlow: it loads faster, and so do its models."""

import os
from pathlib import Path

import numpy as np

from classifier.support.startup_lines import without_startup_lines


class LiteRTModel:
    """A LiteRT model as a function: uint8 images (N, H, W, C) to float32 (N, classes).

    Attributes:
        shape: height, width and channels of the images.
    """

    def __init__(self, file: Path):
        with without_startup_lines():
            from ai_edge_litert.interpreter import Interpreter

            self._interpreter = Interpreter(str(file), num_threads=os.cpu_count())
            self._interpreter.allocate_tensors()
        (images,) = self._interpreter.get_input_details()
        (probabilities,) = self._interpreter.get_output_details()
        self._input, self._output = images["index"], probabilities["index"]
        _, height, width, channels = map(int, images["shape"])
        self.shape = height, width, channels

    def __call__(self, images: np.ndarray) -> np.ndarray:
        if tuple(self._interpreter.get_input_details()[0]["shape"]) != images.shape:
            self._interpreter.resize_tensor_input(self._input, images.shape)
            self._interpreter.allocate_tensors()
        self._interpreter.set_tensor(self._input, images)
        self._interpreter.invoke()
        probabilities: np.ndarray = self._interpreter.get_tensor(self._output)
        return probabilities
