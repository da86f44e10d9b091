"""Colours by their names."""

from typing import Annotated

from PIL import ImageColor
from pydantic import AfterValidator


def opaque_colour(name: str) -> str:
    """The name of a colour as it is, if Pillow knows it: ``white``, ``#8090a0``, ``hsl(0,50%,50%)``
    (https://pillow.readthedocs.io/en/stable/reference/ImageColor.html).

    Raises:
        ValueError: it is no colour, or one with an opacity.
    """
    try:
        if len(ImageColor.getrgb(name)) == 3:
            return name
    except ValueError:
        pass
    raise ValueError("must be the name of a colour, or '#rrggbb' in quotes") from None


Colour = Annotated[str, AfterValidator(opaque_colour)]
