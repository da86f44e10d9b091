"""Pictures that show none of the classes, made from a seed: to see whether a model says so."""

from collections.abc import Callable
from typing import Literal

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from classifier.images.pixels import to_pixels
from classifier.storage.splits import Images

Kind = Literal[
    "noise", "colours", "textures", "drawings", "text", "crops", "tiles", "digits", "photos"
]
SIDE = 256  # pixels of what is drawn, before it becomes as large as the model's images
CROP = 8  # a crop is so many times smaller than the image
TILES = 4  # in a row


def unknown_images(kind: Kind, known: Images, *, count: int, seed: int) -> np.ndarray:
    """Pictures of a kind, uint8 (count, H, W, C).

    Args:
        kind: ``noise``; ``colours``, one or four that run into one another; ``textures``, blurred
            and striped; ``drawings`` of discs, bars and triangles; ``text``; ``crops``, an eighth
            of a known image's height and width; ``tiles`` of a known image, shuffled; ``digits``,
            handwritten, and ``photos``, parts of one of a palace, both of scikit-learn.
        known: images of the classes, uint8 (N, H, W, C).
        seed: the same pictures for the same seed.
    """
    rng = np.random.default_rng(seed)
    height, width, channels = known.shape[1:]
    draw = KINDS[kind](known, rng)
    return np.stack(
        [
            to_pixels(draw(number), size=(height, width), channels=channels, fit="stretch")
            for number in range(count)
        ]
    )


Draw = Callable[[int], np.ndarray]  # from a number to uint8 (h, w, c)


def _noise(known: Images, rng: np.random.Generator) -> Draw:
    return lambda _: rng.integers(0, 256, known.shape[1:], dtype=np.uint8)


def _colours(known: Images, rng: np.random.Generator) -> Draw:
    return lambda number: _enlarged(rng.integers(0, 256, (1 + number % 2,) * 2 + (3,)))


def _textures(known: Images, rng: np.random.Generator) -> Draw:
    def draw(number: int) -> np.ndarray:
        if number % 2:
            return _enlarged(rng.integers(0, 256, (2 ** rng.integers(2, 6),) * 2 + (3,)))
        y, x = np.mgrid[:SIDE, :SIDE] * 2 * np.pi / rng.uniform(8, SIDE / 3)
        angle = rng.uniform(0, np.pi)
        wave = np.sin(x * np.cos(angle) + y * np.sin(angle))[..., np.newaxis]
        first, second = rng.integers(0, 256, (2, 3))
        stripes: np.ndarray = (first + (second - first) * (wave + 1) / 2).astype(np.uint8)
        return stripes

    return draw


def _drawings(known: Images, rng: np.random.Generator) -> Draw:
    def colour() -> tuple[int, ...]:
        return tuple(rng.integers(0, 256, 3).tolist())

    def draw(_: int) -> np.ndarray:
        image = Image.new("RGB", (SIDE, SIDE), colour())
        canvas = ImageDraw.Draw(image)
        for _ in range(rng.integers(2, 9)):
            (x, y), radius = rng.uniform(0, SIDE, 2), SIDE * rng.uniform(0.05, 0.35)
            match rng.integers(3):
                case 0:
                    canvas.ellipse((x - radius, y - radius, x + radius, y + radius), colour())
                case 1:
                    canvas.rectangle((x - radius, y, x + radius, y + radius), colour())
                case _:
                    canvas.polygon([tuple(rng.uniform(0, SIDE, 2)) for _ in range(3)], colour())
        return np.asarray(image)

    return draw


def _text(known: Images, rng: np.random.Generator) -> Draw:
    def draw(number: int) -> np.ndarray:
        paper, ink = ("white", "black") if number % 2 else ("black", "white")
        image = Image.new("RGB", (SIDE, SIDE), paper)
        size = int(rng.integers(10, 40))
        letters = rng.choice(list("abcdefghijklmnopqrstuvwxyz     "), (SIDE // size, 40))
        text = "\n".join("".join(line) for line in letters)
        ImageDraw.Draw(image).text((4, 4), text, ink, ImageFont.load_default(size))
        return np.asarray(image)

    return draw


def _crops(known: Images, rng: np.random.Generator) -> Draw:
    def draw(_: int) -> np.ndarray:
        image = _chosen(known, rng)
        sides = [max(2, side // CROP) for side in image.shape[:2]]
        top, left = (
            rng.integers(0, whole - side + 1)
            for whole, side in zip(image.shape, sides, strict=False)
        )
        return image[top : top + sides[0], left : left + sides[1]]

    return draw


def _tiles(known: Images, rng: np.random.Generator) -> Draw:
    def draw(_: int) -> np.ndarray:
        image = _chosen(known, rng)
        height, width = (side // TILES for side in image.shape[:2])
        tiles = [
            image[row * height : (row + 1) * height, column * width : (column + 1) * width]
            for row in range(TILES)
            for column in range(TILES)
        ]
        order = rng.permutation(len(tiles)).reshape(TILES, TILES)
        return np.concatenate([np.concatenate([tiles[at] for at in row], axis=1) for row in order])

    return draw


def _digits(known: Images, rng: np.random.Generator) -> Draw:
    from sklearn.datasets import load_digits

    digits = load_digits().images  # 0..16
    return lambda _: _enlarged(digits[rng.integers(len(digits))][..., np.newaxis] * 255 / 16)


def _photos(known: Images, rng: np.random.Generator) -> Draw:
    from sklearn.datasets import load_sample_image

    photo = load_sample_image("china.jpg")

    def draw(_: int) -> np.ndarray:
        side = int(rng.uniform(0.3, 1) * photo.shape[0])
        top, left = (rng.integers(0, whole - side + 1) for whole in photo.shape[:2])
        part: np.ndarray = photo[top : top + side, left : left + side]
        return part

    return draw


def _chosen(known: Images, rng: np.random.Generator) -> np.ndarray:
    return np.asarray(known[int(rng.integers(len(known)))])


def _enlarged(pixels: np.ndarray) -> np.ndarray:
    """Pixels, (h, w, c), 0..255, made SIDE x SIDE with soft edges."""
    colour = np.broadcast_to(pixels.astype(np.uint8), (*pixels.shape[:2], 3))
    image = Image.fromarray(np.ascontiguousarray(colour))
    return np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BICUBIC))


KINDS: dict[Kind, Callable[[Images, np.random.Generator], Draw]] = {
    "noise": _noise,
    "colours": _colours,
    "textures": _textures,
    "drawings": _drawings,
    "text": _text,
    "crops": _crops,
    "tiles": _tiles,
    "digits": _digits,
    "photos": _photos,
}
