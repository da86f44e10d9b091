"""Models edited by their layers' names."""

import keras
import numpy as np
import pytest

from classifier.models.editing import insert_after, remove_layer, replace_head, replace_layer
from classifier.normalization import normalization_layer
from conftest import build_model

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 28, 28, 3), dtype=np.uint8)
FAMILIES = ["convnet", "residual"]  # a Sequential model and a functional one


@pytest.mark.parametrize("family", FAMILIES)
def test_a_new_head_keeps_the_features(family: str) -> None:
    model = build_model(family)
    edited = replace_head(model, 3)
    assert edited.output_shape == (None, 3)
    assert edited.name == family
    before, after = (keras.Model(m.inputs, m.get_layer("features").output) for m in (model, edited))
    np.testing.assert_array_equal(
        before.predict(IMAGES, verbose=0), after.predict(IMAGES, verbose=0)
    )
    assert model.output_shape == (None, 5)


def test_a_new_head_for_as_many_classes_is_new() -> None:
    model = build_model("convnet")
    kernels = [m.layers[-1].kernel.numpy() for m in (model, replace_head(model, 5))]
    assert not np.array_equal(*kernels)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_layer_added_and_removed(family: str) -> None:
    model = build_model(family)
    expected = model.predict(IMAGES, verbose=0)
    longer = insert_after(model, "features", keras.layers.Dense(7, name="extra"))
    assert longer.get_layer("extra").output.shape == (None, 7)
    assert len(longer.layers) == len(keras.Model(model.inputs, model.outputs).layers) + 1
    without = remove_layer(model, "dropout")
    assert "dropout" not in [layer.name for layer in without.layers]
    np.testing.assert_allclose(without.predict(IMAGES, verbose=0), expected, rtol=1e-6)


def test_a_layer_replaced() -> None:
    first = normalization_layer({"method": "per_image"})
    edited = replace_layer(build_model("residual"), "normalization", first)
    assert type(edited.get_layer("normalization")) is type(first)


def test_edits_that_cannot_be() -> None:
    with pytest.raises(ValueError, match=r"convnet has no layer 'haed': it has .*probabilities"):
        remove_layer(build_model("convnet"), "haed")
    with pytest.raises(ValueError, match="merges several inputs"):
        remove_layer(build_model("residual"), "stage2_block1_add")
