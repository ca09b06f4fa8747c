"""Opening image files with PIL, and what their headers say.

Put here everything that happens before pixels are decoded. What becomes of the pixels belongs in `decoding.py`.
"""

import io
import re
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

from fruit_assets.images.content_kind import content_kind
from fruit_assets.images.pixels.faults import UnreadableImage, reason_for_kind
from fruit_assets.images.pixels.sample_values import SampleFormat

if TYPE_CHECKING:
    from PIL import Image

# The largest sensors of telephones have 200 megapixels. While it decodes, a worker needs 2 to 7 bytes for each.
MAX_PIXELS = 200_000_000
# These need 8 to 12, and are limited to a part of it: the 108 megapixels of telephones, and some more.
_LIMITED, _LIMITED_TO = ("WEBP", "AVIF"), 0.6
_LIMITED_MODES = ("CMYK", "LAB", "YCbCr", "HSV", "LA", "La", "PA", "RGBa")
_DEEP_COLOURS = re.compile(r"^RGB[AX]?;16[BLN]$")
# Tags of TIFF and EXIF.
_BITS, _PHOTOMETRIC, _ORIENTATION, _GREATEST, _SAMPLE_FORMAT = 258, 262, 274, 281, 339
_WHITE_IS_ZERO, _SIGNED, _FLOATING = 0, 2, 3
# Where a JPEG has its EXIF data, if it has any.
_HEADER = 1 << 16
_PIXELS_OF_A_BAND = 1 << 22


def open_image(content: bytes, max_pixels: int = MAX_PIXELS, *, on_background: bool = False) -> "Image.Image":
    """Open an image of a format that is decoded; its pixels are not decoded yet.

    Args:
        content: bytes of the file.
        max_pixels: limit, of which a part holds for images that need more memory.
        on_background: transparent images will be put on one.

    Raises:
        UnreadableImage: these bytes are something else, or more pixels than `max_pixels`.
    """
    kind = content_kind(content)
    if not kind.decoded:
        raise UnreadableImage(reason_for_kind(kind))
    # Not `Image.open`, which has a limit for the whole process and hides what is wrong with a file.
    image: Image.Image = _plugins()[kind.name][0](io.BytesIO(content), "")
    limited = kind.name in _LIMITED or image.mode in _LIMITED_MODES or has_deep_colours(image)
    limited = limited or (on_background and image.has_transparency_data)
    most = int(max_pixels * _LIMITED_TO) if limited else max_pixels
    if image.width * image.height > most:
        image.close()
        raise UnreadableImage(
            f"too many pixels: {image.width}x{image.height}, a decompression bomb? "
            f"max_pixels allows {most:,} of a {kind.name}{f' in mode {image.mode}' if limited else ''}"
        )
    return image


def has_deep_colours(image: "Image.Image") -> bool:
    """Whether an opened image has 16 bits a colour, of which PIL keeps the upper eight."""
    return bool(image.tile) and all(_DEEP_COLOURS.match(raw_mode(tile)) for tile in image.tile)  # type: ignore[attr-defined]


def raw_mode(tile: Any) -> str:
    """The mode in which a file has its samples, by a tile of an opened image."""
    return str(tile[3] if isinstance(tile[3], str) else tile[3][0])


@cache
def _plugins() -> dict[str, Any]:
    from PIL import Image

    Image.init()
    return Image.OPEN


def orientation_of(content: bytes, image: "Image.Image | None" = None) -> int:
    """The EXIF orientation, 1 (upright) to 8; PIL itself turns a TIFF upright.

    Args:
        content: bytes of the file, a JPEG when `image` is None.
        image: the file, opened.
    """
    found = any(content.find(name, 0, _HEADER) >= 0 for name in (b"Exif\0\0", b"tiff:Orientation"))
    if image is None and not found:
        return 1
    opened = image or _plugins()["JPEG"][0](io.BytesIO(content), "")
    try:
        return 1 if opened.format == "TIFF" else int(opened.getexif().get(_ORIENTATION, 1))
    except Exception:
        return 1


def sample_format(image: "Image.Image") -> SampleFormat:
    """The sample format that an opened file states."""
    if image.format != "TIFF":
        return SampleFormat(bits=16 if image.mode.startswith("I;16") else None)
    tags = image.tag_v2  # type: ignore[attr-defined]
    form = _first(tags.get(_SAMPLE_FORMAT))
    return SampleFormat(
        floating=form == _FLOATING,
        signed=form == _SIGNED,
        bits=_first(tags.get(_BITS)),
        brightest=_first(tags.get(_GREATEST)),
        white_is_zero=_first(tags.get(_PHOTOMETRIC)) == _WHITE_IS_ZERO,
    )


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, tuple) and value else value


def image_bands(image: "Image.Image") -> "Iterator[Image.Image]":
    """The image in pieces of its whole width, from the top: one, unless it is large."""
    rows = max(1, _PIXELS_OF_A_BAND // image.width)
    if rows >= image.height:
        yield image
        return
    for top in range(0, image.height, rows):
        yield image.crop((0, top, image.width, min(top + rows, image.height)))
