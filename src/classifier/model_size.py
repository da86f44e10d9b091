"""How large a model is: its parameters, its multiply-adds for one image, its bytes."""

import math

import keras
import tensorflow as tf

# Multiply-adds of one number of the output, by the weights' shape as TensorFlow's operation has it.
PRODUCTS = {
    "Conv2D": lambda shape: math.prod(shape[:3]),  # height, width, channels in, channels out
    "DepthwiseConv2dNative": lambda shape: math.prod(shape[:2]),  # height, width, channels, 1
    "MatMul": lambda shape: shape[0],  # in, out
}


def model_size(model: keras.Model) -> dict[str, int]:
    """Parameters, ``multiply_adds`` and ``bytes`` of a built model.

    Multiply-adds are those of the convolutions and matrix products for one image, counted on the
    traced graph, so that a shared layer counts as often as it is called; bytes are the weights'.
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
