"""EfficientNet-Lite: the EfficientNets without what quantized arithmetic cannot do.

Tan and Le, EfficientNet: Rethinking model scaling for convolutional neural networks, 2019. The Lite
networks have no squeeze-and-excitation, ReLU6 in place of swish, and a stem and a head of one size
(https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite).
"""

import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import layers

from classifier.backbones.pytorch_file import WeightsError, read_state_dict
from classifier.layers.batch_normalization import FusedBatchNormalization
from classifier.models.blocks import Layers, chain
from classifier.support.limits import Positive, checked

STEM_WIDTH = 32
HEAD_WIDTH = 1280
EPSILON = 0.001  # of batch normalization


class Stage(NamedTuple):
    """Blocks of one width; the first one has the strides."""

    blocks: int
    kernel_size: int
    strides: int
    expansion: int
    width: int


STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)
# PyTorch's names of a normalization's weights, in Keras's order.
NORMALIZATION = ("weight", "bias", "running_mean", "running_var")
UNUSED = re.compile(r"_fc\..*|.*\.num_batches_tracked")


def efficientnet_lite(width: float, depth: float, image_shape: tuple[int, int, int]) -> keras.Model:
    """Builds the network without its classifier, with random weights.

    Lite0 is width 1.0 and depth 1.0, Lite1 1.0 and 1.1, Lite2 1.1 and 1.2. The layers of a block
    are named after its stage and its place in the stage, whatever the depth: ``block6a_expand``,
    ``block6a_depthwise``, ``block6a_project``, each with ``_normalization`` and all but the last
    with ``_activation``, and ``block6b_add``. ``stem`` is before the blocks, ``top`` after them.

    Args:
        width: factor of the channels, but for those of the stem and the top.
        depth: factor of the blocks of a stage, but for the first and the last stage.
        image_shape: height, width, channels of the images: float (N, H, W, C), (pixel - 127) / 128
            for pixels 0..255. Published weights are for 3 channels, RGB.

    Returns:
        A model of the feature maps: float (N, h, w, 1280), values 0..6; h and w are H / 32 and
        W / 32, rounded up.
    """
    image = keras.Input(image_shape, name="scaled_image")
    return keras.Model(image, _feature_maps(image, width, depth), name="efficientnet_lite")


@checked
def with_pytorch_weights(file: Path, *, width: Positive, depth: Positive) -> keras.Model:
    """Builds the network for images of any size, with the weights of a PyTorch file.

    Args:
        file: see :func:`classifier.backbones.pytorch_file.read_state_dict`.
        width, depth: see :func:`efficientnet_lite`.

    Returns:
        A model of uint8 images (N, H, W, 3), RGB, to the feature maps of
        :func:`efficientnet_lite`.

    Raises:
        WeightsError: the file cannot be read, or has the weights of another network.
    """
    image = keras.Input((None, None, 3), dtype="uint8", name="image")
    scaled = layers.Rescaling(1 / 128, offset=-127 / 128, name="normalization")(image)
    model = keras.Model(image, _feature_maps(scaled, width, depth), name="efficientnet_lite")
    assign_pytorch_weights(model, read_state_dict(file))
    return model


def _feature_maps(image: Any, width: float, depth: float) -> Any:
    stem = layers.Conv2D(STEM_WIDTH, 3, strides=2, padding="same", use_bias=False, name="stem")
    x = chain(image, _unit(stem))
    for number, stage in enumerate(STAGES, 1):
        outer = stage in (STAGES[0], STAGES[-1])
        blocks = stage.blocks if outer else math.ceil(depth * stage.blocks)
        for place in range(blocks):
            name = f"block{number}{chr(ord('a') + place)}"
            x = _block(x, name, stage, _rounded(width * stage.width), first=place == 0)
    top = layers.Conv2D(HEAD_WIDTH, 1, use_bias=False, name="top")
    return chain(x, _unit(top))


def assign_pytorch_weights(model: keras.Model, state_dict: Mapping[str, np.ndarray]) -> None:
    """Sets all weights of an :func:`efficientnet_lite` to those of a PyTorch model.

    The names are those of https://github.com/lukemelas/EfficientNet-PyTorch: ``_conv_stem``,
    ``_bn0``, ``_blocks.0._expand_conv``. The classifier (``_fc``) and counts of batches are not
    used. If it raises an error, the model keeps its weights.

    Args:
        state_dict: names and arrays, of :func:`classifier.backbones.pytorch_file.read_state_dict`.

    Raises:
        WeightsError: a tensor is missing, has another shape, or belongs to no layer. The message
            names the tensor.
    """
    left = {name for name in state_dict if not UNUSED.fullmatch(name)}
    weights = []
    for layer, names in _tensors(model):
        arrays = []
        for name, variable in zip(names, layer.weights, strict=True):
            if name not in state_dict:
                raise WeightsError(f"weights lack the tensor {name}: take those of this network")
            array = _as_keras(state_dict[name], layer)
            if array.shape != tuple(variable.shape):
                raise WeightsError(
                    f"tensor {name} gives {array.shape} for {layer.name}, which has "
                    f"{tuple(variable.shape)}: take the weights of this width and depth"
                )
            arrays.append(array)
            left.discard(name)
        weights.append((layer, arrays))
    if left:
        raise WeightsError(
            f"tensor {min(left)} belongs to no layer: take the weights of this width and depth"
        )
    for layer, arrays in weights:
        layer.set_weights(arrays)


def _block(x: Any, name: str, stage: Stage, width: int, *, first: bool) -> Any:
    """The inverted residual of Sandler et al., MobileNetV2, 2018."""
    strides = stage.strides if first else 1
    channels = x.shape[-1]
    steps: Layers = []
    if stage.expansion > 1:
        expand = layers.Conv2D(channels * stage.expansion, 1, use_bias=False, name=f"{name}_expand")
        steps += _unit(expand)
    depthwise = layers.DepthwiseConv2D(
        stage.kernel_size,
        strides=strides,
        padding="same",
        use_bias=False,
        name=f"{name}_depthwise",
    )
    project = layers.Conv2D(width, 1, use_bias=False, name=f"{name}_project")
    steps += [*_unit(depthwise), *_unit(project, activate=False)]
    outputs = chain(x, steps)
    if strides == 1 and channels == width:
        return layers.Add(name=f"{name}_add")([x, outputs])
    return outputs


def _unit(layer: keras.layers.Layer, *, activate: bool = True) -> Layers:
    normalization = FusedBatchNormalization(epsilon=EPSILON, name=f"{layer.name}_normalization")
    activation = layers.Activation("relu6", name=f"{layer.name}_activation")
    return [layer, normalization, *([activation] if activate else [])]


def _rounded(channels: float) -> int:
    """The nearest multiple of 8; the next one, if the nearest is more than a tenth smaller."""
    nearest = max(8, int(channels + 4) // 8 * 8)
    return nearest if nearest >= 0.9 * channels else nearest + 8


def _tensors(model: keras.Model) -> Iterator[tuple[keras.layers.Layer, list[str]]]:
    """Each layer that has weights, with PyTorch's names of them in Keras's order."""
    ends = {"stem": ("_conv_stem", "_bn0"), "top": ("_conv_head", "_bn1")}
    blocks: list[str] = []
    for layer in model.layers:
        if not layer.weights:
            continue
        block, _, part = layer.name.removesuffix("_normalization").partition("_")
        if block in ends:
            convolution, normalization = ends[block]
        else:
            if block not in blocks:
                blocks.append(block)
            place = f"_blocks.{len(blocks) - 1}"
            convolution = f"{place}._{part}_conv"
            normalization = f"{place}._bn{('expand', 'depthwise', 'project').index(part)}"
        if isinstance(layer, layers.BatchNormalization):
            yield layer, [f"{normalization}.{name}" for name in NORMALIZATION]
        else:
            yield layer, [f"{convolution}.weight"]


def _as_keras(array: np.ndarray, layer: keras.layers.Layer) -> np.ndarray:
    if array.ndim != 4:
        return array
    # From (O, I, H, W) to (H, W, I, O); a depthwise kernel is (C, 1, H, W), and (H, W, C, 1).
    depthwise = isinstance(layer, layers.DepthwiseConv2D)
    return array.transpose((2, 3, 0, 1) if depthwise else (2, 3, 1, 0))
