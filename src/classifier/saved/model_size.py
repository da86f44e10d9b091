"""The size of a model: parameters, multiply-adds per image, bytes."""

import math

import keras
import tensorflow as tf

# Multiply-adds per output number, from the shape of the weights of TensorFlow's operation.
PRODUCTS = {
    "Conv2D": lambda shape: math.prod(shape[:3]),  # height, width, channels in, channels out
    "DepthwiseConv2dNative": lambda shape: math.prod(shape[:2]),  # height, width, channels, 1
    "MatMul": lambda shape: shape[0],  # in, out
}


def model_size(model: keras.Model) -> dict[str, int]:
    """The size of a built model.

    Returns:
        ``parameters``; ``multiply_adds`` of the convolutions and matrix products for one image,
        where a shared layer counts for each call; ``bytes`` of the weights in memory.
    """
    image = tf.TensorSpec((1, *model.input_shape[1:]), model.inputs[0].dtype)
    traced = tf.function(lambda images: model(images, training=False)).get_concrete_function(image)
    products = 0
    for operation in traced.graph.get_operations():
        if operation.type in PRODUCTS:
            outputs = operation.outputs[0].shape.num_elements()
            products += outputs * PRODUCTS[operation.type](operation.inputs[1].shape)
    return {
        "parameters": model.count_params(),
        "multiply_adds": products,
        "bytes": sum(
            variable.value.dtype.size * math.prod(variable.shape) for variable in model.weights
        ),
    }


def summary(model: keras.Model) -> str:
    """The text that ``model.summary()`` prints."""
    lines: list[str] = []
    model.summary(print_fn=lines.append, line_length=100)
    return "\n".join(lines)
