"""Inference with ONNX Runtime, without TensorFlow."""

from pathlib import Path

import numpy as np

from classifier.serving.outputs import Answers, as_answers


class ONNXModel:
    """An ONNX model as a function: from uint8 images (N, H, W, C) to answers.

    The one output of a model that
    was exported without a score is its probabilities, whatever its name.

    Attributes:
        shape: height, width and channels of the images.
    """

    def __init__(self, file: Path):
        import onnxruntime

        self._session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
        (images,) = self._session.get_inputs()
        self._input = images.name
        names = [output.name for output in self._session.get_outputs()]
        self._outputs = names if len(names) > 1 else ["probabilities"]
        _, height, width, channels = map(int, (1, *images.shape[1:]))
        self.shape = height, width, channels

    def __call__(self, images: np.ndarray) -> Answers:
        values = self._session.run(None, {self._input: images})
        return as_answers(dict(zip(self._outputs, values, strict=True)))
