"""Every model family: shapes, options, saved formats, and images that are too small."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from classifier.saved.saving import load_model, save_architecture, save_model
from conftest import ROOT, build_model

FAMILIES = sorted(
    path.stem
    for path in (ROOT / "conf" / "model").glob("*.yaml")
    if path.stem != "transfer"  # its base decides: test_transfer.py
)
IMAGES = np.random.default_rng(0).integers(0, 256, (3, 28, 28, 3), dtype=np.uint8)


@pytest.mark.parametrize("family", FAMILIES)
def test_uint8_images_in_probabilities_out(family: str) -> None:
    model = build_model(family)
    assert model.name == family
    assert (model.input_shape, model.inputs[0].dtype) == ((None, 28, 28, 3), "uint8")
    probabilities = model.predict(IMAGES, verbose=0)
    assert (probabilities.shape, probabilities.dtype) == ((3, 5), np.float32)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    assert model.layers[-1].name == "probabilities"


@pytest.mark.parametrize("size", [(28, 44), (44, 28)])
@pytest.mark.parametrize("family", FAMILIES)
def test_images_that_are_not_square(family: str, size: tuple[int, int]) -> None:
    model = build_model(family, size)
    assert model.input_shape == (None, *size, 3)
    images = np.random.default_rng(0).integers(0, 256, (3, *size, 3), dtype=np.uint8)
    probabilities = model.predict(images, verbose=0)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize("family", ["convnet", "lenet", "residual"])
def test_the_shorter_side_decides_whether_images_are_too_small(family: str) -> None:
    with pytest.raises(ValueError, match="2 pixels are too few"):
        build_model(family, (2, 64))


@pytest.mark.parametrize("family", FAMILIES)
def test_untrained_weights_let_the_signal_through(family: str) -> None:
    keras.utils.set_random_seed(0)
    probabilities = build_model(family, normalization="none").predict(IMAGES, verbose=0)
    assert probabilities.std(axis=0).max() > 1e-3


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("normalization", ["batch", "layer", "group", "none"])
def test_normalization_is_an_option(family: str, normalization: str) -> None:
    model = build_model(family, normalization=normalization, activation="tanh", weight_decay=1e-3)
    kinds = {
        "batch": keras.layers.BatchNormalization,
        "layer": keras.layers.LayerNormalization,
        "group": keras.layers.GroupNormalization,
    }
    every = list(model._flatten_layers())
    for name, kind in kinds.items():
        assert any(isinstance(layer, kind) for layer in every) == (name == normalization)
    activations = [layer.activation for layer in every if hasattr(layer, "activation")]
    assert keras.activations.tanh in activations
    assert keras.activations.relu not in activations
    assert len(model.losses) > 0
    assert all(
        layer.bias is not None
        for layer in every
        if normalization == "none" and isinstance(layer, keras.layers.Conv2D)
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_each_form_of_saving_gives_the_same_outputs(family: str, tmp_path: Path) -> None:
    model = build_model(family)
    rng = np.random.default_rng(1)
    model.set_weights([value + rng.uniform(0, 0.1, value.shape) for value in model.get_weights()])
    expected = model.predict(IMAGES, verbose=0)
    save_model(model, tmp_path / "model.keras")
    save_architecture(model, tmp_path / "architecture.json")
    model.save_weights(tmp_path / "model.weights.h5")

    whole = load_model(tmp_path / "model.keras")
    rebuilt = keras.models.model_from_json((tmp_path / "architecture.json").read_text())
    cloned = type(model).from_config(model.get_config())
    for number, other in enumerate((rebuilt, cloned)):
        save_architecture(other, tmp_path / f"{number}.json")
        again = (tmp_path / f"{number}.json").read_bytes()
        assert again == (tmp_path / "architecture.json").read_bytes()
    rebuilt.load_weights(tmp_path / "model.weights.h5")
    shared = build_model(family)
    shared.set_weights(model.get_weights())
    for other in (whole, rebuilt, shared):
        np.testing.assert_array_equal(other.predict(IMAGES, verbose=0), expected)


@pytest.mark.parametrize("family", [name for name in FAMILIES if name not in ("dense", "lenet")])
def test_an_image_too_small_is_refused(family: str) -> None:
    with pytest.raises(ValueError, match=r"3 pixels are too few for \d halvings \(filters\)"):
        build_model(family, size=3)


def test_lenet_s_strides_and_valid_padding() -> None:
    model = build_model("lenet", size=18, filters=[4, 8], kernel_size=[5, 3], strides=[2, 1])
    assert model.get_layer("features").input.shape == (None, 5, 5, 8)  # 18, 14, 7, 5
    with pytest.raises(ValueError, match="20 pixels are too few for 4 convolutions and "):
        build_model("lenet", size=20)
    assert build_model("lenet", size=21).get_layer("features").input.shape == (None, 1, 1, 64)
    with pytest.raises(ValueError, match="a value for each convolution, but have 2, 4 and 4"):
        build_model("lenet", filters=[4, 8])


def test_convolutions_need_fewer_parameters_than_dense_layers() -> None:
    assert build_model("convnet").count_params() < build_model("dense").count_params() / 5


def test_a_separable_convolution_needs_fewer_parameters() -> None:
    widths: dict[str, Any] = {"filters": [32, 64, 128], "convolutions": 2}
    assert (
        build_model("separable", **widths).count_params()
        < build_model("convnet", **widths).count_params()
    )


@pytest.mark.parametrize(
    ("padding", "pool", "size"),
    [("same", "strides", 4), ("same", "max", 4), ("valid", "average", 4), ("valid", "strides", 4)],
)
def test_convnet_s_padding_and_pooling(padding: str, pool: str, size: int) -> None:
    model = build_model(
        "convnet", size=32, filters=[4, 8, 16], padding=padding, pool=pool, convolutions=1
    )
    last = model.get_layer("features").input.shape[1]
    by_rule = 32
    for _ in range(3):
        if padding == "valid":
            by_rule = (by_rule - 3) // (2 if pool == "strides" else 1) + 1
            by_rule = by_rule if pool == "strides" else by_rule // 2
        else:
            by_rule = -(-by_rule // 2)
    assert last == by_rule
    kinds = {"max": keras.layers.MaxPooling2D, "average": keras.layers.AveragePooling2D}
    pooling = [type(layer) for layer in model.layers if type(layer) in kinds.values()]
    assert pooling == ([] if pool == "strides" else [kinds[pool]] * 3)


@pytest.mark.parametrize(("pool", "windows"), [("strides", 6), ("max", 9)])
def test_convolutions_that_trim_too_much_are_refused(pool: str, windows: int) -> None:
    with pytest.raises(ValueError, match=f"28 pixels are too few for {windows} convolutions"):
        build_model("convnet", size=28, filters=[4, 8, 16], padding="valid", pool=pool)


def test_a_residual_block_begins_as_the_identity() -> None:
    model = build_model("residual", filters=[4], activation="relu")
    before = keras.Model(model.inputs, model.get_layer("stem_activation").output)
    after = keras.Model(model.inputs, model.get_layer("stage1_block1_activation").output)
    np.testing.assert_array_equal(
        before.predict(IMAGES, verbose=0), after.predict(IMAGES, verbose=0)
    )


def test_an_inception_block_merges_four_branches() -> None:
    model = build_model("inception", filters=[8, 16])
    assert len(model.get_layer("block1_merged").input) == 4
    with pytest.raises(ValueError, match="filters 10 is not a multiple of 4"):
        build_model("inception", filters=[8, 10])


def test_siamese_features_share_one_tower() -> None:
    model = build_model("siamese_features")
    tower = model.get_layer("tower")
    assert len(tower._inbound_nodes) >= 2
    separate = 2 * tower.count_params() + model.get_layer("probabilities").count_params()
    assert model.count_params() < separate
