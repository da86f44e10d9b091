"""What a convolution computes, and the parameters it saves: python examples/convolution.py

Prints valid, same and full convolutions, strides and pooling of a small array; the size of their
output by the rule and by Keras; and the number of parameters of dense and convolutional layers.
Keras computes every number except the rule's. ``--picture`` draws the three kinds of convolution.
"""

import argparse
import math
from pathlib import Path

import keras
import numpy as np
import pandas as pd
from keras import layers

# A bright rectangle on a dark background, and a kernel that responds to its left and right edges.
IMAGE = np.zeros((6, 6), np.float32)
IMAGE[2:4, 2:5] = 9
KERNEL = np.array([[1, 0, -1], [2, 0, -2], [1, 0, -1]], np.float32)  # Sobel operator


def apply(layer: layers.Layer, image: np.ndarray) -> np.ndarray:
    """A layer's output for one image of one channel, (H, W) to (H', W')."""
    return np.asarray(layer(image[None, :, :, None]))[0, :, :, 0]


def convolution(**options: object) -> layers.Layer:
    """A convolutional layer with KERNEL as its weights."""
    layer = layers.Conv2D(1, 3, use_bias=False, **options)
    layer.build((None, *IMAGE.shape, 1))
    layer.set_weights([KERNEL[:, :, None, None]])
    return layer


def full(image: np.ndarray) -> np.ndarray:
    """The convolution at all positions where the kernel covers at least one pixel.

    Keras has no such padding: so many zeros around the image, then ``valid``.
    """
    return apply(convolution(padding="valid"), np.pad(image, len(KERNEL) - 1))


def show(title: str, values: np.ndarray) -> None:
    print(f"{title}: {' x '.join(map(str, values.shape))}")
    table = pd.DataFrame(values).map("{:g}".format)
    print(table.to_string(index=False, header=False), end="\n\n")


def by_rule(size: int, window: int, stride: int, padding: str) -> int:
    """The output's height or width: Dumoulin and Visin, A guide to convolution arithmetic, 2016.

    ``valid`` keeps the positions where the window is completely inside the image. ``same`` pads
    with zeros, so that only the stride makes the output smaller.
    """
    return (size - window) // stride + 1 if padding == "valid" else math.ceil(size / stride)


def sizes() -> pd.DataFrame:
    """One row per size, window, stride and padding: the output size by the rule and by Keras."""
    rows = []
    for size in (28, 29):
        for window in (3, 5):
            for stride in (1, 2):
                for padding in ("valid", "same"):
                    layer = layers.Conv2D(1, window, strides=stride, padding=padding)
                    by_keras = layer.compute_output_shape((None, size, size, 1))[1]
                    rule = by_rule(size, window, stride, padding)
                    rows.append((size, window, stride, padding, rule, by_keras))
    return pd.DataFrame(rows, columns=["size", "window", "stride", "padding", "rule", "keras"])


def parameters() -> pd.DataFrame:
    """Parameters and outputs of dense and convolutional layers, per image shape."""
    rows = []
    for shape in ((28, 28, 1), (96, 96, 3)):
        for name, steps in (
            ("Dense(64)", [layers.Flatten(), layers.Dense(64)]),
            ("Conv2D(64, 3)", [layers.Conv2D(64, 3, padding="same")]),
            ("SeparableConv2D(64, 3)", [layers.SeparableConv2D(64, 3, padding="same")]),
        ):
            model = keras.Sequential([keras.Input(shape), *steps])
            outputs = math.prod(model.output_shape[1:])
            rows.append((" x ".join(map(str, shape)), name, model.count_params(), outputs))
    return pd.DataFrame(rows, columns=["image", "layer", "parameters", "outputs"])


def draw(path: Path) -> None:
    """Draws the image with the kernel's first position, and the output, of each padding."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    same = apply(convolution(padding="same"), IMAGE)
    valid = apply(convolution(padding="valid"), IMAGE)
    figure, axes = plt.subplots(2, 3, figsize=(9, 6.4), layout="constrained")
    for column, (name, zeros, output) in enumerate(
        (
            ("valid", 0, valid),
            ("same: 1 zero around", 1, same),
            ("full: 2 zeros around", 2, full(IMAGE)),
        )
    ):
        padded = np.pad(IMAGE, zeros)
        panels = ((axes[0, column], padded, zeros), (axes[1, column], output, 0))
        for axis, numbers, border in panels:
            axis.imshow(numbers, cmap="PuOr", vmin=-45, vmax=45)
            for (row, place), number in np.ndenumerate(numbers):
                inside = border <= min(row, place) and max(row, place) < len(numbers) - border
                colour = "black" if inside else "silver"
                axis.text(place, row, f"{number:g}", ha="center", va="center", color=colour)
            axis.set(xticks=[], yticks=[])
        # The kernel's first position, and the output there.
        for axis, side in ((axes[0, column], len(KERNEL)), (axes[1, column], 1)):
            frame = plt.Rectangle(
                (-0.5, -0.5), side, side, fill=False, edgecolor="#00796b", linewidth=3
            )
            frame.set_clip_on(False)
            axis.add_patch(frame)
        size = f"{len(output)} x {len(output)}"
        axes[0, column].set_title(name)
        axes[1, column].set_title(f"its output, {size}")
    figure.savefig(path, dpi=110, metadata={"Software": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--picture", type=Path, help="draw it there, and nothing else")
    if picture := parser.parse_args().picture:
        draw(picture)
        return
    show("image", IMAGE)
    show("kernel", KERNEL)
    # valid: only where the kernel is completely inside the image.
    show("valid", apply(convolution(padding="valid"), IMAGE))
    # same: zeros around the image; the kernel responds to that border too.
    show("same", apply(convolution(padding="same"), IMAGE))
    # full: wherever the kernel covers a pixel of the image.
    show("full", full(IMAGE))
    # A stride of 2 skips every other position.
    show("same, strides 2", apply(convolution(padding="same", strides=2), IMAGE))
    # Pooling has no weights: it takes the maximum or the mean of each window.
    show("max pooling 2", apply(layers.MaxPooling2D(2), IMAGE))
    show("average pooling 2", apply(layers.AveragePooling2D(2), IMAGE))

    print("valid: (size - window) // stride + 1; same: ceil(size / stride)")
    print(sizes().to_string(index=False), end="\n\n")
    # A dense layer has a weight per pixel and output. A convolution uses the same few weights at
    # all positions, so that their number does not depend on the image's size.
    print(parameters().to_string(index=False))


if __name__ == "__main__":
    main()
