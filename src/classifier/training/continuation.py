"""A training that goes on from a trained model: its weights, and what its optimizer knows."""

import logging
from collections.abc import Sequence
from itertools import zip_longest
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import layers

from classifier.layers.keras_private import flatten_layers
from classifier.layers.views import network_of
from classifier.saved.later_schedule import LaterSchedule
from classifier.support.errors import InputError

# Of a layer's configuration: what another training may set anew, with the same network.
FREE = {"name", "trainable", "dtype", "rate", "seed", "momentum", "epsilon", "scale", "offset"}
AVERAGE = "_average"  # the end of the name of an averaged weight
FREE_ENDINGS = ("_initializer", "_regularizer", "_constraint")
log = logging.getLogger(__name__)


class OptimizerState(NamedTuple):
    """What an optimizer knows after a training.

    Attributes:
        source: the trained model's name in messages.
        kind: the optimizer's class; None if the model was saved without one.
        trained: which of the network's weights it changed, by their numbers.
        steps: that it took.
        values: its variables of these weights, in their order.
    """

    source: str
    kind: str | None = None
    trained: Sequence[int] = ()
    steps: int = 0
    values: Sequence[np.ndarray] = ()

    def give(self, model: keras.Model) -> None:
        """Gives the state to the built optimizer of a compiled model, if it is of its kind.

        The learning rate is not part of it: the optimizer keeps its own, and its schedule begins at
        its first step. Averaged weights (``use_ema``) begin with the model's weights. A line of the
        log says if the optimizer begins anew.
        """
        optimizer = _inner(model.optimizer)
        kind, variables, trained = type(optimizer).__name__, _slots(optimizer), _trained(model)
        shapes = [tuple(variable.shape) for variable in variables]
        if self.kind is None:
            self._anew("it was saved without one")
        elif self.kind != kind:
            self._anew(f"{self.kind} trained it, not {kind}")
        elif self.trained != trained:
            self._anew(f"it trained other weights, {len(self.trained)}, and here {len(trained)}")
        elif [value.shape for value in self.values] != shapes:
            self._anew(f"{kind} has other options here")
        else:
            self._give(model, optimizer, variables)

    def _give(self, model: keras.Model, optimizer: Any, variables: Sequence[Any]) -> None:
        for variable, value in zip(variables, self.values, strict=True):
            variable.assign(value)
        optimizer.iterations.assign(self.steps)
        averages = [one for one in optimizer.variables if one.path.endswith(AVERAGE)]
        if optimizer.use_ema:
            for variable, weight in zip(averages, model.trainable_variables, strict=True):
                variable.assign(weight)
        rate = optimizer.get_config()["learning_rate"]
        if isinstance(rate, dict):  # a schedule, which would be at its end
            schedule = keras.saving.deserialize_keras_object(rate)
            optimizer.learning_rate = LaterSchedule(schedule, self.steps)
        log.info("the optimizer goes on from %s, where it took %d steps", self.source, self.steps)

    def _anew(self, why: str) -> None:
        log.warning("the weights go on from %s, the optimizer begins anew: %s", self.source, why)


def optimizer_state(model: keras.Model, source: str) -> OptimizerState:
    """What the optimizer of a loaded model knows."""
    if not model.compiled or model.optimizer is None or not model.optimizer.built:
        return OptimizerState(source)
    optimizer = _inner(model.optimizer)
    values = [variable.numpy() for variable in _slots(optimizer)]
    steps = int(optimizer.iterations.numpy())
    return OptimizerState(source, type(optimizer).__name__, _trained(model), steps, values)


def continue_from(
    model: keras.Model, trained: keras.Model, source: str, classes: tuple[Sequence[str], Any]
) -> OptimizerState:
    """Gives the model the weights of a trained one, which has the same layers.

    Args:
        model: before training.
        trained: of :func:`classifier.saved.saving.load_model`.
        source: the trained model's name in messages.
        classes: the names of the model's classes, and those of the trained one or None.

    Returns:
        What the optimizer of the trained model knows.

    Raises:
        InputError: the images, the classes or a layer differ; says which.
    """
    network = network_of(trained)
    check_images_and_classes(network, model, source, classes)
    difference = first_difference(network, model)
    if difference:
        raise InputError(f"{source} is another network: {difference}")
    if other_pixels(network, model):
        log.warning(
            "%s was trained on pixels that were normalized by other numbers than those here", source
        )
    state = optimizer_state(trained, source)
    model.set_weights(network.get_weights())
    return state


def check_images_and_classes(
    trained: Any, model: keras.Model, source: str, classes: tuple[Sequence[str], Any]
) -> None:
    """Checks that a trained model and another one take the same images and know the same classes.

    Args:
        trained: has an ``input_shape`` and an ``output_shape``.
        source, classes: as for :func:`continue_from`.

    Raises:
        InputError: they do not.
    """
    if tuple(trained.input_shape[1:]) != tuple(model.input_shape[1:]):
        raise InputError(
            f"{source} takes images of {shown(trained.input_shape[1:])}, and those here are "
            f"{shown(model.input_shape[1:])}: set normalize.image_size and channels to its"
        )
    if trained.output_shape[-1] != model.output_shape[-1]:
        raise InputError(
            f"{source} knows {trained.output_shape[-1]} classes, and the images here are of "
            f"{model.output_shape[-1]}"
        )
    here, there = classes
    if there is None:
        log.warning("the names of the classes of %s are not known: their number is right", source)
        return
    for number, (own, other) in enumerate(zip(here, there, strict=True), 1):
        if own != other:
            raise InputError(
                f"class {number} of {source} is '{other}', and class {number} here is '{own}'"
            )


def first_difference(trained: keras.Model, model: keras.Model) -> str | None:
    """The first layer in which two networks differ, in words; None for the same network.

    Names, dropout, initial values, penalties, and numbers of a normalization may differ.
    """
    pairs = zip_longest(_layers(trained), _layers(model))
    for there, here in pairs:
        if there is None or here is None:
            layer, where = (here, "here") if there is None else (there, "there")
            return f"its layer '{layer.name}' is {where} alone"
        kinds = [type(layer).__name__ for layer in (there, here)]
        if kinds[0] != kinds[1]:
            return (
                f"its layer '{there.name}' is a {kinds[0]}, and in its place '{here.name}' is a "
                f"{kinds[1]} here"
            )
        for old, new in zip_longest(there.weights, here.weights):
            shapes = ["missing" if one is None else shown(one.shape) for one in (old, new)]
            if shapes[0] != shapes[1]:
                name = (old if old is not None else new).name
                return f"{name} of its layer '{there.name}' is {shapes[0]}, and {shapes[1]} here"
        old, new = _configuration(there), _configuration(here)
        for key in sorted({*old, *new}):
            if old.get(key) != new.get(key):
                return (
                    f"{key} of its layer '{there.name}' is {old.get(key)}, and {new.get(key)} here"
                )
    return None


def other_pixels(trained: keras.Model, model: keras.Model) -> bool:
    """Whether two networks of the same layers rescale pixels by other numbers."""
    old, new = (
        [
            layer.get_config()[key]
            for layer in _layers(one)
            if isinstance(layer, layers.Rescaling)
            for key in ("scale", "offset")
        ]
        for one in (trained, model)
    )
    return old != new


def shown(shape: Sequence[int | None]) -> str:
    """A shape in words: ``28 x 28 x 1``."""
    return " x ".join(map(str, shape)) or "one number"


def _layers(model: keras.Model) -> list[keras.layers.Layer]:
    return [layer for layer in flatten_layers(model) if not isinstance(layer, keras.Model)]


def _configuration(layer: keras.layers.Layer) -> dict[str, Any]:
    return {
        key: value
        for key, value in layer.get_config().items()
        if key not in FREE and not key.endswith(FREE_ENDINGS)
    }


def _inner(optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
    # Of float16, whose losses are scaled.
    return getattr(optimizer, "inner_optimizer", optimizer)


def _slots(optimizer: keras.optimizers.Optimizer) -> list[Any]:
    """The variables of the weights; their averages, the rate and the count of steps are left out.

    Their names are of no use: a network that was loaded calls its weights otherwise.
    """
    left_out = (*((AVERAGE,) if optimizer.use_ema else ()), "/learning_rate", "/iteration")
    return [variable for variable in optimizer.variables if not variable.path.endswith(left_out)]


def _trained(model: keras.Model) -> list[int]:
    """The numbers of the weights that train."""
    trainable = {id(weight) for weight in model.trainable_weights}
    return [number for number, weight in enumerate(model.weights) if id(weight) in trainable]
