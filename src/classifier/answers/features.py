"""What a network sees in an image halfway through: the means of its middle feature maps.

Later features say which class an image is of, and are blind to what no class has: a network of
photos answers noise and drawings with features of photos. Features of the middle differ.
"""

import keras
from keras import layers

from classifier.layers.ensemble import MeanOfMembers, members_of
from classifier.layers.views import MeanOfViews, Views, network_of

ACTIVATIONS = (layers.Activation, layers.ReLU, layers.LeakyReLU, layers.PReLU, layers.ELU)


def with_features(model: keras.Model) -> keras.Model:
    """A model that shares the weights and gives the features in addition.

    Args:
        model: takes uint8 (N, H, W, C) and gives probabilities, (N, classes).

    Returns:
        A model with two outputs: the probabilities, and the features, float32 (N, D): the mean of
        each map of :func:`middle_maps`, and of the views of an image where the model has several.
        A network without feature maps gives the input of its last layer, an ensemble the features
        of its first member.
    """
    if members := members_of(model):
        image = keras.Input(model.input_shape[1:], dtype=model.inputs[0].dtype, name="image")
        first, *others = members
        probabilities, features = with_features(first)(image)
        answers = [probabilities, *(member(image) for member in others)]
        return keras.Model(image, [MeanOfMembers(dtype="float32")(answers), features])
    network = network_of(model)
    maps = middle_maps(network)
    features = network.layers[-1].input if maps is None else _means(maps)
    parts = keras.Model(network.inputs, [*network.outputs, features])
    if network is model:
        return parts
    views = next(layer for layer in model.layers if isinstance(layer, Views))
    image = keras.Input(model.input_shape[1:], dtype=model.inputs[0].dtype, name="image")
    outputs = parts(views(image))
    means = [MeanOfViews(views.count, dtype="float32")(output) for output in outputs]
    return keras.Model(image, means)


def middle_maps(network: keras.Model) -> keras.KerasTensor | None:
    """The last activations of the middle one of a network's sizes of feature maps; None for none.

    Of an even number of sizes, it is the smaller one of the two in the middle. Maps of one place
    are none.
    """
    last: dict[int, keras.KerasTensor] = {}
    for layer in network.layers:
        if isinstance(layer, ACTIVATIONS):
            maps = layer.output
            if len(maps.shape) == 4 and maps.shape[1] * maps.shape[2] > 1:
                last[maps.shape[1] * maps.shape[2]] = maps
    sizes = sorted(last, reverse=True)
    return last[sizes[len(sizes) // 2]] if sizes else None


def _means(maps: keras.KerasTensor) -> keras.KerasTensor:
    return layers.GlobalAveragePooling2D(dtype="float32", name="middle_features")(maps)
