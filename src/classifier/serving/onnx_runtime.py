"""Inference with ONNX Runtime, without TensorFlow."""

from pathlib import Path

import numpy as np


class ONNXModel:
    """An ONNX model as a function: uint8 images (N, H, W, C) to float32 (N, classes).

    Attributes:
        shape: height, width and channels of the images.
    """

    def __init__(self, file: Path):
        import onnxruntime

        self._session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
        (images,) = self._session.get_inputs()
        self._input = images.name
        _, height, width, channels = map(int, (1, *images.shape[1:]))
        self.shape = height, width, channels

    def __call__(self, images: np.ndarray) -> np.ndarray:
        probabilities: np.ndarray = self._session.run(None, {self._input: images})[0]
        return probabilities
