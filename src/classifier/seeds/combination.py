"""One model of several trained ones: the mean of their weights, a soup."""

import json
from collections.abc import Callable, Sequence

import keras
import numpy as np

from classifier.support.errors import InputError


def check_same_architecture(models: Sequence[keras.Model], names: Sequence[str]) -> None:
    """Checks that the weights of the models can be averaged.

    Args:
        names: of the models, for the message.

    Raises:
        InputError: their layers or the shapes of their weights differ.
    """
    first, *others = (_architecture(model) for model in models)
    for other, name in zip(others, names[1:], strict=True):
        if other != first:
            raise InputError(
                f"'{names[0]}' and '{name}' have different architectures, so that their weights "
                "have no mean: --how ensemble takes both"
            )


def check_same_outputs(models: Sequence[keras.Model], names: Sequence[str]) -> None:
    """Checks that the models take the same images, and give as many probabilities.

    Raises:
        InputError: they do not.
    """
    first = models[0].input_shape, models[0].output_shape
    for model, name in zip(models, names, strict=True):
        shapes = model.input_shape, model.output_shape
        if shapes != first:
            raise InputError(
                f"'{names[0]}' takes images {first[0][1:]} and knows {first[1][-1]} classes, "
                f"'{name}' {shapes[0][1:]} and {shapes[1][-1]}: they cannot be one model"
            )


def _architecture(model: keras.Model) -> tuple[str, list[tuple[int, ...]]]:
    """The kinds of the layers with their nesting, and the shapes of the weights. Names do not
    count: Keras may number equal layers otherwise."""

    def kinds(layer: keras.layers.Layer) -> list:
        return [type(layer).__name__, *(kinds(part) for part in getattr(layer, "layers", ()))]

    return json.dumps(kinds(model)), [tuple(variable.shape) for variable in model.weights]


def mean_weights(models: Sequence[keras.Model]) -> list[np.ndarray]:
    """The mean of each weight, in the order of ``model.weights``; of whole numbers, the first's.

    Also the running means of batch normalization are averaged.

    Args:
        models: of :func:`check_same_architecture`.
    """
    columns = zip(*(model.get_weights() for model in models), strict=True)
    return [
        np.mean(values, axis=0, dtype=np.float64).astype(values[0].dtype)
        if np.issubdtype(values[0].dtype, np.floating)
        else values[0]
        for values in columns
    ]


def uniform_soup(models: Sequence[keras.Model]) -> keras.Model:
    """A model with the mean weights of all models.

    Wortsman et al., Model soups: averaging weights of multiple fine-tuned models improves accuracy
    without increasing inference time, 2022. That holds for models that began with the same weights:
    from other initial weights, the mean is often worse than each.
    """
    soup = keras.models.clone_model(models[0])
    soup.set_weights(mean_weights(models))
    return soup


def greedy_soup(
    models: Sequence[keras.Model],
    accuracies: Sequence[float],
    accuracy_of: Callable[[keras.Model], float],
) -> tuple[keras.Model, list[int]]:
    """A model with the mean weights of those models that make the mean better.

    Wortsman et al., 2022 (:func:`uniform_soup`), algorithm 1: the models are added from the best to
    the worst, each if the validation accuracy of the mean does not get lower. So the soup is not
    worse than its best member, on the validation split.

    Args:
        accuracies: of the models on the validation split.
        accuracy_of: gives the accuracy of a model on the validation split.

    Returns:
        The model, and which models are in it, the best first.
    """
    order = sorted(range(len(models)), key=lambda at: -accuracies[at])
    kept = order[:1]
    soup, best = models[kept[0]], accuracies[kept[0]]
    for at in order[1:]:
        tried = uniform_soup([models[number] for number in [*kept, at]])
        accuracy = accuracy_of(tried)
        if accuracy >= best:
            soup, best = tried, accuracy
            kept.append(at)
    return soup, kept
