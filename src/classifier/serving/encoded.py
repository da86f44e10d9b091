"""Encoded pictures as pixels in a TensorFlow graph: what ``Preprocessing`` does, without Pillow.

Each step is that of :func:`classifier.images.pixels.to_pixels`, with its rounding, so that nearly
all pixels are the same. Where it differs:

- JPEG and PNG are as in training. GIF (its first frame) and BMP are read too, without their
  transparency, and no other format.
- The orientation comes from the EXIF of a JPEG: not from its XMP, and not from a PNG.
- ``value_range`` scales grey PNGs of 16 bits, as in training. Of 16 bits in several channels the
  high 8 are taken, where training refuses another range.
- There is no limit of pixels but TensorFlow's, 2^29 bytes.
"""

from collections.abc import Callable

import tensorflow as tf
from PIL import ImageColor

from classifier.images.pixels import DRAFT_FACTOR
from classifier.images.preprocessing import Preprocessing
from classifier.images.ranges import BITS_16
from classifier.support.limits import sides

JPEG, PNG = b"\xff\xd8\xff", b"\x89PNG"  # how they begin
# In the header of a PNG: bit depth and colour type of grey, and depths below 8.
GREY_16, FEW_BITS = b"\x10\x00", (b"\x01", b"\x02", b"\x04")
DRAFT_SCALES = (1, 2, 4, 8)  # of libjpeg
APP1, START_OF_SCAN = 0xE1, 0xDA  # markers of a JPEG
HEADERS = 1 << 18  # bytes at the beginning of a JPEG in which the EXIF is looked for
ORIENTATION = 0x0112  # a tag of EXIF: 1 as it is .. 8
MIRRORED, UPSIDE_DOWN, TRANSPOSED = (2, 3, 6, 7), (3, 4, 7, 8), (5, 6, 7, 8)


def pixels_of(preprocessing: Preprocessing) -> Callable[[tf.Tensor], tf.Tensor]:
    """A function for a graph: from encoded pictures, strings (N,), to uint8 (N, H, W, C).

    Each picture has a size of its own. The function raises ``tf.errors.InvalidArgumentError`` if
    one of them cannot be decoded.
    """

    def pixels(contents: tf.Tensor) -> tf.Tensor:
        return tf.map_fn(
            lambda content: _pixels(content, preprocessing),
            contents,
            fn_output_signature=tf.TensorSpec(preprocessing.shape, tf.uint8),
        )

    return pixels


def _pixels(content: tf.Tensor, preprocessing: Preprocessing) -> tf.Tensor:
    height, width, channels = preprocessing.shape
    image = tf.case(
        [
            (_begins(content, JPEG), lambda: _jpeg(content, preprocessing)),
            (_begins(content, PNG), lambda: _png(content, preprocessing)),
        ],
        lambda: _floats(tf.io.decode_image(content, 3, expand_animations=False)),
    )
    if channels == 1:
        image = _grey(image)
    resize = _cropped if preprocessing.fit == "crop" else _padded
    return tf.cast(resize(image, height, width), tf.uint8)


def _floats(image: tf.Tensor) -> tf.Tensor:
    # Whole numbers, of which float32 is exact to 2^24: oneDNN, on many CPUs, has no integers.
    return tf.cast(image, tf.float32)


def _begins(content: tf.Tensor, magic: bytes) -> tf.Tensor:
    return tf.equal(tf.strings.substr(content, 0, len(magic)), magic)


def _jpeg(content: tf.Tensor, preprocessing: Preprocessing) -> tf.Tensor:
    """A JPEG as float32 (H, W, 3), turned, and smaller where Pillow's draft is."""
    wanted = DRAFT_FACTOR * max(sides(preprocessing.image_size))
    shape = tf.io.extract_jpeg_shape(content)
    possible = tf.minimum(shape[0], shape[1]) // wanted
    chosen = tf.reduce_sum(tf.cast(possible >= DRAFT_SCALES[1:], tf.int32))

    def decode(scale: int) -> Callable[[], tf.Tensor]:
        # Pillow's transform: TensorFlow's default is a faster one.
        return lambda: tf.io.decode_jpeg(content, 3, ratio=scale, dct_method="INTEGER_ACCURATE")

    image = tf.switch_case(chosen, [decode(scale) for scale in DRAFT_SCALES])
    return _turned(_floats(image), _orientation(content))


def _orientation(content: tf.Tensor) -> tf.Tensor:
    """The orientation that the EXIF of a JPEG has, else 1.

    The segments of a JPEG and the first directory of EXIF: https://www.cipa.jp/e/std/std-sec.html,
    CIPA DC-008, "Exif file structure".
    """
    values = tf.cast(tf.io.decode_raw(tf.strings.substr(content, 0, HEADERS), tf.uint8), tf.int32)
    end = tf.size(values)
    values = tf.pad(values, [[0, 32]])  # so that what follows reads no byte that is not there

    def is_exif(at: tf.Tensor) -> tf.Tensor:
        name = tf.reduce_all(values[at + 4 : at + 10] == list(b"Exif\0\0"))
        return (values[at + 1] == APP1) & name

    def before(at: tf.Tensor) -> tf.Tensor:
        segment = (values[at] == 0xFF) & (values[at + 1] != START_OF_SCAN)
        return (at < end) & segment & ~is_exif(at)

    def next_segment(at: tf.Tensor) -> tuple[tf.Tensor]:
        return (tf.minimum(at + 2 + 256 * values[at + 2] + values[at + 3], end),)

    (segment,) = tf.while_loop(before, next_segment, (tf.constant(2),))
    tiff = tf.minimum(segment + 10, end)
    little = values[tiff] == ord("I")

    def number(digits: list[tf.Tensor]) -> tf.Tensor:
        ordered = tf.where(little, tf.stack(digits[::-1]), tf.stack(digits))
        return tf.foldl(lambda high, low: 256 * high + low, ordered)

    offset = number([values[tiff + place] for place in range(4, 8)])
    directory = tf.clip_by_value(tiff + offset, 0, end)
    count = number([values[directory], values[directory + 1]])
    entries = values[directory + 2 : directory + 2 + 12 * count]
    entries = tf.reshape(entries[: tf.size(entries) // 12 * 12], (-1, 12))
    tags, short = (number([entries[:, place], entries[:, place + 1]]) for place in (0, 8))
    orientations = tf.concat([short[tags == ORIENTATION], [1]], axis=0)
    return tf.where(is_exif(segment), orientations[0], 1)


def _turned(image: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    def one_of(orientations: tuple[int, ...]) -> tf.Tensor:
        return tf.reduce_any(orientation == orientations)

    image = tf.cond(one_of(TRANSPOSED), lambda: tf.transpose(image, (1, 0, 2)), lambda: image)
    image = tf.cond(one_of(MIRRORED), lambda: tf.reverse(image, [1]), lambda: image)
    return tf.cond(one_of(UPSIDE_DOWN), lambda: tf.reverse(image, [0]), lambda: image)


def _png(content: tf.Tensor, preprocessing: Preprocessing) -> tf.Tensor:
    """A PNG as float32 (H, W, 3), before the colour of transparent pixels."""
    header = tf.strings.join([tf.strings.substr(content, 0, 26), bytes(26)])  # if it is cut off
    low, high = preprocessing.value_range or BITS_16
    colour = tf.constant(ImageColor.getrgb(preprocessing.transparency), tf.float32)

    def scaled() -> tf.Tensor:
        values = _floats(tf.io.decode_png(content, 1, tf.uint16))
        grey = tf.round((values - low) * (255 / (high - low)))
        return tf.repeat(tf.clip_by_value(grey, 0, 255), 3, axis=2)

    def composed(image: tf.Tensor) -> tf.Tensor:
        values, opacity = _floats(image[..., :3]), _floats(image[..., 3:])
        return (values * opacity + colour * (255 - opacity) + 127) // 255

    def of_few_bits() -> tf.Tensor:
        # Asked for four channels, TensorFlow has an opacity of 1, 3 or 15 in these.
        image = tf.io.decode_png(content)
        shape = tf.shape(image)

        def opaque() -> tf.Tensor:
            return tf.broadcast_to(_floats(image), (shape[0], shape[1], 3))

        return tf.cond(shape[2] == 4, lambda: composed(image), opaque)

    is_grey_16 = tf.strings.substr(header, 24, 2) == GREY_16
    few_bits = tf.reduce_any(tf.strings.substr(header, 24, 1) == FEW_BITS)
    return tf.case(
        [(is_grey_16, scaled), (few_bits, of_few_bits)],
        lambda: composed(tf.io.decode_png(content, 4)),
    )


def _grey(image: tf.Tensor) -> tf.Tensor:
    """ITU-R 601-2 luma in the integers of Pillow
    (https://github.com/python-pillow/Pillow/blob/main/src/libImaging/Convert.c, ``L24``)."""
    luma = tf.reduce_sum(image * [19595.0, 38470.0, 7471.0], axis=2, keepdims=True)
    return (luma + 0x8000) // 0x10000


def _cropped(image: tf.Tensor, height: int, width: int) -> tf.Tensor:
    """``ImageOps.fit``: the largest central part of the shape, which need not be whole pixels."""
    there = tf.cast(tf.shape(image)[:2], tf.float64)
    ratio = tf.constant(width / height, tf.float64)
    part = tf.minimum(there, tf.stack([there[1] / ratio, there[0] * ratio]))
    return _resized(image, tf.constant([height, width]), (there - part) / 2, part)


def _padded(image: tf.Tensor, height: int, width: int) -> tf.Tensor:
    """``ImageOps.pad``: the whole image, with black at both sides."""
    whole = tf.constant([height, width])
    there = tf.cast(tf.shape(image)[:2], tf.float64)
    other = tf.stack([there[0] / there[1] * width, there[1] / there[0] * height])
    size = tf.minimum(whole, tf.cast(tf.round(other), tf.int32))
    resized = _resized(image, size, tf.zeros(2, tf.float64), there)
    before = tf.cast(tf.round((whole - size) / 2), tf.int32)
    return tf.image.pad_to_bounding_box(resized, before[0], before[1], height, width)


def _resized(image: tf.Tensor, size: tf.Tensor, start: tf.Tensor, part: tf.Tensor) -> tf.Tensor:
    """A part of an image, float32 (H, W, C), in another size: whole numbers, float32.

    Pillow resizes the rows, rounds, and then resizes the columns.
    """
    scale = tf.cast(size, tf.float64) / part
    shift = tf.cast(-start * scale, tf.float32)
    scale = tf.cast(scale, tf.float32)
    for axis in (1, 0):
        one_axis = tf.one_hot(axis, 2, True, False)
        image = tf.raw_ops.ScaleAndTranslate(
            images=image[tf.newaxis],
            size=tf.where(one_axis, size, tf.shape(image)[:2]),
            scale=tf.where(one_axis, scale, 1),
            translation=tf.where(one_axis, shift, 0),
            kernel_type="lanczos3",
            antialias=True,
        )[0]
        image = tf.clip_by_value(tf.floor(image + 0.5), 0, 255)
    return image
