"""A small drawn sample of five kinds of flower, for a machine that reaches no photos.

The kinds can be told apart as real ones can: by petals, centre, colour and shape. The drawings
are a function of the seed alone.
"""

import io
import math
import random
import tarfile
from collections.abc import Callable
from pathlib import Path

from PIL import Image, ImageDraw, ImageFilter

SIZE = 128  # pixels, height and width of a drawing
SCALE = 2  # drawn larger, then reduced: smooth edges
Colour = tuple[int, int, int]
Point = tuple[float, float]


def write_drawings(destination: Path, *, per_class: int = 120, seed: int = 7) -> None:
    """Draws ``per_class`` flowers of each kind, JPEG RGB, into a tar with a sub-folder a kind."""
    with tarfile.open(destination, "w", format=tarfile.PAX_FORMAT) as archive:
        for kind, draw in KINDS.items():
            for number in range(per_class):
                picture = draw_flower(draw, random.Random(f"{seed}/{kind}/{number}"))
                content = io.BytesIO()
                picture.save(content, "JPEG", quality=88)
                entry = tarfile.TarInfo(f"{kind}/{number:04d}.jpg")
                entry.size = content.tell()
                content.seek(0)
                archive.addfile(entry, content)


def draw_flower(draw: Callable[..., None], chance: random.Random) -> Image.Image:
    """One drawing: a blurred background, one to three flowers at chance places and sizes."""
    side = SIZE * SCALE
    base = chance.choice(
        [(70, 110, 50), (110, 140, 90), (60, 80, 60), (140, 160, 190), (95, 80, 60)]
    )
    picture = Image.new("RGB", (side, side), vary(base, chance, 30))
    canvas = ImageDraw.Draw(picture)
    for _ in range(40):
        x, y, radius = (
            chance.random() * side,
            chance.random() * side,
            side * chance.uniform(0.03, 0.2),
        )
        canvas.ellipse((x - radius, y - radius, x + radius, y + radius), vary(base, chance, 40))
    picture = picture.filter(ImageFilter.GaussianBlur(side / 40))
    canvas = ImageDraw.Draw(picture)
    for _ in range(chance.choice([1, 1, 2, 3])):
        centre = (side * chance.uniform(0.3, 0.7), side * chance.uniform(0.3, 0.65))
        radius = side * chance.uniform(0.15, 0.32)
        stem(canvas, centre, side, vary((60, 120, 40), chance, 20), radius * 0.1)
        draw(canvas, centre, radius, chance)
    return picture.resize((SIZE, SIZE), Image.Resampling.LANCZOS)


def daisy(canvas: ImageDraw.ImageDraw, centre: Point, radius: float, chance: random.Random) -> None:
    """White narrow petals around a small yellow centre."""
    petals(
        canvas,
        centre,
        radius,
        16 + chance.randrange(8),
        0.13,
        vary((240, 240, 236), chance, 12),
        chance,
    )
    disc(canvas, centre, radius * 0.28, vary((235, 190, 40), chance, 20))


def dandelion(
    canvas: ImageDraw.ImageDraw, centre: Point, radius: float, chance: random.Random
) -> None:
    """A dense yellow head of many thin rays, or a grey seed head."""
    seeds = chance.random() < 0.35
    colour = vary((215, 215, 210) if seeds else (245, 205, 30), chance, 15)
    for ring in (1.0, 0.75, 0.5, 0.25):
        shade = vary(colour, chance, 14)
        for ray in range(36):
            angle = 2 * math.pi * (ray + chance.random()) / 36
            end = towards(centre, angle, radius * ring * chance.uniform(0.85, 1))
            canvas.line((centre, end), shade, max(1, int(radius * (0.02 if seeds else 0.07))))
            if seeds:
                disc(canvas, end, radius * 0.035, shade)


def roses(canvas: ImageDraw.ImageDraw, centre: Point, radius: float, chance: random.Random) -> None:
    """Round overlapping petals, red to pink, darker towards a spiral centre."""
    colour = vary(chance.choice([(190, 20, 40), (220, 90, 120), (240, 170, 175)]), chance, 20)
    for ring in (1.0, 0.78, 0.56, 0.36, 0.18):
        turn = chance.random() * math.pi
        for petal in range(6):
            place = towards(centre, turn + petal * math.pi / 3, radius * ring * 0.5)
            disc(
                canvas,
                place,
                radius * ring * 0.55,
                darker(colour, 0.55 + 0.45 * ring),
                darker(colour, 0.5),
            )


def sunflowers(
    canvas: ImageDraw.ImageDraw, centre: Point, radius: float, chance: random.Random
) -> None:
    """Broad yellow petals around a large dark disc."""
    petals(
        canvas,
        centre,
        radius,
        18 + chance.randrange(6),
        0.2,
        vary((240, 180, 20), chance, 15),
        chance,
    )
    disc(canvas, centre, radius * 0.52, vary((80, 50, 20), chance, 15))
    disc(canvas, centre, radius * 0.25, vary((50, 30, 15), chance, 10))


def tulips(
    canvas: ImageDraw.ImageDraw, centre: Point, radius: float, chance: random.Random
) -> None:
    """A closed cup of three upright petals, seen from the side."""
    colour = vary(
        chance.choice([(200, 30, 60), (235, 200, 60), (170, 60, 150), (240, 130, 60)]), chance, 25
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
    chance: random.Random,
) -> None:
    """A ring of pointed petals; ``width`` is in radii."""
    turn = chance.random()
    for petal in range(count):
        angle = turn + 2 * math.pi * petal / count
        length = radius * chance.uniform(0.9, 1)
        tip = towards(centre, angle, length)
        side = towards((0, 0), angle + math.pi / 2, radius * width)
        middle = towards(centre, angle, length * 0.6)
        outline = [
            centre,
            (middle[0] + side[0], middle[1] + side[1]),
            tip,
            (middle[0] - side[0], middle[1] - side[1]),
        ]
        canvas.polygon(outline, vary(colour, chance, 12), darker(colour, 0.75))


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


def vary(colour: Colour, chance: random.Random, by: int) -> Colour:
    red, green, blue = (min(255, max(0, part + chance.randint(-by, by))) for part in colour)
    return red, green, blue


def darker(colour: Colour, factor: float) -> Colour:
    red, green, blue = (int(part * factor) for part in colour)
    return red, green, blue
