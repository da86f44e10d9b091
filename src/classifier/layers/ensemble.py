"""An ensemble: the mean of the probabilities of several trained models, as one Keras model."""

from collections.abc import Sequence

import keras


@keras.saving.register_keras_serializable(package="classifier")
class MeanOfMembers(keras.layers.Average):
    """The mean of the members' probabilities, (N, classes). It marks a model as an ensemble."""


def ensemble(members: Sequence[keras.Model], name: str) -> keras.Model:
    """A model that predicts the mean of the members' probabilities.

    Lakshminarayanan et al., Simple and scalable predictive uncertainty estimation using deep
    ensembles, 2017. It shares the members' weights, and names the members member_1, member_2, ….
    A prediction takes as long as those of all members together.

    Args:
        members: two or more; each takes images of the same shape and gives probabilities of the
            same classes. Their architectures may differ.
    """
    first = members[0]
    image = keras.Input(first.input_shape[1:], dtype=first.inputs[0].dtype, name="image")
    for number, member in enumerate(members, start=1):
        member.name = f"member_{number}"
    mean = MeanOfMembers(dtype="float32", name="mean_of_members")
    return keras.Model(image, mean([member(image) for member in members]), name=name)


def members_of(model: keras.Model) -> list[keras.Model]:
    """The members of a model of :func:`ensemble`; none of any other model."""
    if not any(isinstance(layer, MeanOfMembers) for layer in model.layers):
        return []
    return [layer for layer in model.layers if isinstance(layer, keras.Model)]
