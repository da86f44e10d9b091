"""How a pipeline makes pixels of images: recorded once, and the same for training and answers."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from classifier.images.colours import Colour
from classifier.images.pixels import Fit, to_pixels
from classifier.support.atomic import write_json
from classifier.support.errors import InputError
from classifier.support.limits import STRICT, ImageSize, ValueRange, sides

PREPROCESSING = "preprocessing.json"  # its file, in each folder that has one


@dataclass(kw_only=True, frozen=True, config=STRICT)
class Preprocessing:
    """What :func:`classifier.images.pixels.to_pixels` does with each image of a pipeline.

    A field with one possible value is a fact about this function. It is in the file for programs
    in other languages, and for versions of this project that know other values.
    """

    image_size: ImageSize  # pixels: a square's height and width, or [height, width]
    channels: Literal[1, 3]  # 1: grey, ITU-R 601-2 luma | 3: RGB
    fit: Fit
    dtype: Literal["uint8"] = "uint8"  # of the pixels, values 0..255
    # The values that become 0 and 255; null: those of the image's format. Files of 8 bits always
    # keep 0..255.
    value_range: Annotated[ValueRange | None, Field(strict=False)] = None
    orientation: Literal["exif"] = "exif"
    transparency: Colour = "white"  # what replaces it: a colour's name, or #rrggbb
    borders: Literal["black"] = "black"  # of fit: pad
    resampling: Literal["lanczos"] = "lanczos"

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels of the pixels."""
        return *sides(self.image_size), self.channels

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments of :func:`classifier.images.pixels.to_pixels`, without the image."""
        return {
            "size": self.image_size,
            "channels": self.channels,
            "fit": self.fit,
            "value_range": self.value_range,
            "transparency": self.transparency,
        }

    def __call__(self, content: bytes | np.ndarray) -> np.ndarray:
        """Decodes one image to uint8 ``shape``, values 0..255.

        Args:
            content: an encoded image, or uint8 (H, W[, C]) pixels, which have no other range.

        Raises:
            ImageError: the image cannot be decoded.
        """
        drawn = {"value_range": None} if isinstance(content, np.ndarray) else {}
        return to_pixels(content, **self.arguments | drawn)

    def write(self, file: Path) -> None:
        """Writes the fields as JSON, for :func:`read_preprocessing`."""
        write_json(file, asdict(self))


def read_preprocessing(file: Path) -> Preprocessing:
    """Reads a file of :meth:`Preprocessing.write`.

    Raises:
        InputError: the file is damaged, or says what this version of the project cannot do.
    """
    try:
        return TypeAdapter(Preprocessing).validate_json(file.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        reason = " ".join([*map(str, first["loc"]), first["msg"]])
        raise InputError(
            f"{file} cannot be used ({reason}): it is damaged, or of another version of this "
            "project; export the model again"
        ) from None
