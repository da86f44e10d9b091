"""Inference with LiteRT, without TensorFlow: it loads faster, and so do its models."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from classifier.serving.outputs import Answers, as_answers
from classifier.support.startup_lines import without_startup_lines


class LiteRTModel:
    """A LiteRT model as a function: from uint8 images (N, H, W, C) to answers.

    Attributes:
        shape: height, width and channels of the images.
    """

    def __init__(self, file: Path):
        with without_startup_lines():
            from ai_edge_litert.interpreter import Interpreter

            self._interpreter = Interpreter(str(file), num_threads=os.cpu_count())
            self._interpreter.allocate_tensors()
        (images,) = self._interpreter.get_input_details()
        self._input = images["index"]
        self._outputs = {
            _name(output): output["index"] for output in self._interpreter.get_output_details()
        }
        _, height, width, channels = map(int, images["shape"])
        self.shape = height, width, channels

    def __call__(self, images: np.ndarray) -> Answers:
        if tuple(self._interpreter.get_input_details()[0]["shape"]) != images.shape:
            self._interpreter.resize_tensor_input(self._input, images.shape)
            self._interpreter.allocate_tensors()
        self._interpreter.set_tensor(self._input, images)
        self._interpreter.invoke()
        get = self._interpreter.get_tensor
        return as_answers({name: get(at) for name, at in self._outputs.items()})


def _name(output: Mapping[str, Any]) -> str:
    """The converter gives outputs names of its own, but each of the three is of another kind."""
    if output["dtype"] is np.bool_:
        return "accepted"
    return "score" if len(output["shape"]) == 1 else "probabilities"
