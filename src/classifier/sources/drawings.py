"""Draws a small sample of five kinds of flower, for machines that cannot reach photos.

The kinds differ in petals, centre, colour and shape. The same seed gives the same drawings.
"""

import io
import math
import random
import tarfile
from collections.abc import Callable
from pathlib import Path

from PIL import Image, ImageDraw, ImageFilter

SIZE = 128  # pixels, height and width of a drawing
SCALE = 2  # drawn at twice the size, then reduced: the edges are smooth
Colour = tuple[int, int, int]
Point = tuple[float, float]


def write_drawings(destination: Path, *, per_class: int = 120, seed: int = 7) -> None:
    """Writes a tar of ``per_class`` RGB JPEGs of each kind, with one sub-folder per kind."""
    with tarfile.open(destination, "w", format=tarfile.PAX_FORMAT) as archive:
        for kind, draw in KINDS.items():
            for number in range(per_class):
                image = draw_flower(draw, random.Random(f"{seed}/{kind}/{number}"))
                content = io.BytesIO()
                image.save(content, "JPEG", quality=88)
                entry = tarfile.TarInfo(f"{kind}/{number:04d}.jpg")
                entry.size = content.tell()
                content.seek(0)
                archive.addfile(entry, content)


def draw_flower(draw: Callable[..., None], rng: random.Random) -> Image.Image:
    """Draws one to three flowers, at random places and of random sizes, on a blurred background.

    Args:
        draw: one of the functions of KINDS.

    Returns:
        An RGB image, SIZE x SIZE.
    """
    side = SIZE * SCALE
    base = rng.choice([(70, 110, 50), (110, 140, 90), (60, 80, 60), (140, 160, 190), (95, 80, 60)])
    image = Image.new("RGB", (side, side), vary(base, rng, 30))
    canvas = ImageDraw.Draw(image)
    for _ in range(40):
        x, y, radius = rng.random() * side, rng.random() * side, side * rng.uniform(0.03, 0.2)
        canvas.ellipse((x - radius, y - radius, x + radius, y + radius), vary(base, rng, 40))
    image = image.filter(ImageFilter.GaussianBlur(side / 40))
    canvas = ImageDraw.Draw(image)
    for _ in range(rng.choice([1, 1, 2, 3])):
        centre = (side * rng.uniform(0.3, 0.7), side * rng.uniform(0.3, 0.65))
        radius = side * rng.uniform(0.15, 0.32)
        stem(canvas, centre, side, vary((60, 120, 40), rng, 20), radius * 0.1)
        draw(canvas, centre, radius, rng)
    return image.resize((SIZE, SIZE), Image.Resampling.LANCZOS)


def daisy(canvas: ImageDraw.ImageDraw, centre: Point, radius: float, rng: random.Random) -> None:
    """Draws narrow white petals around a small yellow centre."""
    count, colour = 16 + rng.randrange(8), vary((240, 240, 236), rng, 12)
    petals(canvas, centre, radius, count, 0.13, colour, rng)
    disc(canvas, centre, radius * 0.28, vary((235, 190, 40), rng, 20))


def dandelion(
    canvas: ImageDraw.ImageDraw, centre: Point, radius: float, rng: random.Random
) -> None:
    """Draws a dense yellow head of many thin rays, or a grey seed head."""
    seeds = rng.random() < 0.35
    colour = vary((215, 215, 210) if seeds else (245, 205, 30), rng, 15)
    for ring in (1.0, 0.75, 0.5, 0.25):
        shade = vary(colour, rng, 14)
        for ray in range(36):
            angle = 2 * math.pi * (ray + rng.random()) / 36
            end = towards(centre, angle, radius * ring * rng.uniform(0.85, 1))
            canvas.line((centre, end), shade, max(1, int(radius * (0.02 if seeds else 0.07))))
            if seeds:
                disc(canvas, end, radius * 0.035, shade)


def roses(canvas: ImageDraw.ImageDraw, centre: Point, radius: float, rng: random.Random) -> None:
    """Draws round overlapping petals, red to pink and darker towards the centre."""
    colour = vary(rng.choice([(190, 20, 40), (220, 90, 120), (240, 170, 175)]), rng, 20)
    for ring in (1.0, 0.78, 0.56, 0.36, 0.18):
        rotation = rng.random() * math.pi
        for petal in range(6):
            place = towards(centre, rotation + petal * math.pi / 3, radius * ring * 0.5)
            fill, outline = darker(colour, 0.55 + 0.45 * ring), darker(colour, 0.5)
            disc(canvas, place, radius * ring * 0.55, fill, outline)


def sunflowers(
    canvas: ImageDraw.ImageDraw, centre: Point, radius: float, rng: random.Random
) -> None:
    """Draws broad yellow petals around a large dark disc."""
    count, colour = 18 + rng.randrange(6), vary((240, 180, 20), rng, 15)
    petals(canvas, centre, radius, count, 0.2, colour, rng)
    disc(canvas, centre, radius * 0.52, vary((80, 50, 20), rng, 15))
    disc(canvas, centre, radius * 0.25, vary((50, 30, 15), rng, 10))


def tulips(canvas: ImageDraw.ImageDraw, centre: Point, radius: float, rng: random.Random) -> None:
    """Draws a closed cup of three upright petals, seen from the side."""
    colour = vary(
        rng.choice([(200, 30, 60), (235, 200, 60), (170, 60, 150), (240, 130, 60)]), rng, 25
    )
    x, y = centre
    for shift, shade in ((-0.38, 0.8), (0.38, 0.8), (0.0, 1.0)):
        left, right = x + radius * (shift - 0.36), x + radius * (shift + 0.36)
        middle, top = x + radius * shift * 1.25, y - radius
        canvas.ellipse((left, y - radius * 0.5, right, y + radius * 0.8), darker(colour, shade))
        canvas.polygon([(left, y), (middle, top), (right, y)], darker(colour, shade))


KINDS: dict[str, Callable[..., None]] = {
    "daisy": daisy,
    "dandelion": dandelion,
    "roses": roses,
    "sunflowers": sunflowers,
    "tulips": tulips,
}


def petals(
    canvas: ImageDraw.ImageDraw,
    centre: Point,
    radius: float,
    count: int,
    width: float,
    colour: Colour,
    rng: random.Random,
) -> None:
    """Draws a ring of pointed petals, ``width`` radii wide."""
    rotation = rng.random()
    for petal in range(count):
        angle = rotation + 2 * math.pi * petal / count
        length = radius * rng.uniform(0.9, 1)
        tip = towards(centre, angle, length)
        side = towards((0, 0), angle + math.pi / 2, radius * width)
        middle = towards(centre, angle, length * 0.6)
        outline = [
            centre,
            (middle[0] + side[0], middle[1] + side[1]),
            tip,
            (middle[0] - side[0], middle[1] - side[1]),
        ]
        canvas.polygon(outline, vary(colour, rng, 12), darker(colour, 0.75))


def stem(
    canvas: ImageDraw.ImageDraw, centre: Point, side: int, colour: Colour, width: float
) -> None:
    canvas.line((centre, (centre[0] + width, side)), colour, max(2, int(width)))


def disc(
    canvas: ImageDraw.ImageDraw,
    centre: Point,
    radius: float,
    fill: Colour,
    outline: Colour | None = None,
) -> None:
    x, y = centre
    canvas.ellipse((x - radius, y - radius, x + radius, y + radius), fill, outline)


def towards(start: Point, angle: float, distance: float) -> Point:
    return start[0] + math.cos(angle) * distance, start[1] + math.sin(angle) * distance


def vary(colour: Colour, rng: random.Random, by: int) -> Colour:
    red, green, blue = (min(255, max(0, part + rng.randint(-by, by))) for part in colour)
    return red, green, blue


def darker(colour: Colour, factor: float) -> Colour:
    red, green, blue = (int(part * factor) for part in colour)
    return red, green, blue
