"""From the bytes of an image file to the pixels the extractor sees.

Put here the way of an image through opening, colours, orientation and size, each of which has a module in `pixels/`;
why a file cannot be used belongs in `pixels/faults.py`. The numbers that follow from the pixels (scaling to [-1, 1],
the network) belong to the extractor, which has them built in.
"""

from functools import partial
from typing import TYPE_CHECKING

from fruit_assets.images.pixels.colours import eight_bit_colours
from fruit_assets.images.pixels.decoding_options import DecodingOptions, Traits
from fruit_assets.images.pixels.deep_colours import deep_colours
from fruit_assets.images.pixels.faults import UnreadableImage, reason_for, repaired
from fruit_assets.images.pixels.large_frames import large_frame
from fruit_assets.images.pixels.opening import open_image, orientation_of, sample_format
from fruit_assets.images.pixels.resizing import resize
from fruit_assets.machine_faults import is_short_of_memory, machine_fault

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

__all__ = ["DecodingOptions", "Traits", "UnreadableImage", "decode"]

_START_OF_JPEG = b"\xff\xd8\xff"
# Pixels beyond which memory counts for more than time.
_LARGE = 1 << 24
# Pixels of a JPEG beyond which it is decoded at half, a quarter or an eighth of its size: libjpeg's average of 2x2
# pixels and more, which after the resize differs from PIL's by about a level.
_LARGEST_WHOLE_JPEG = 89_478_485
# Levels between the darkest and the brightest pixel of an image that shows something.
_FEATURELESS_SPAN = 16
# An image with more of its rows missing shows too little.
_MOST_MISSING_ROWS = 0.25
# What PIL's `ImageOps.exif_transpose` does for each orientation, by the names of `Image.Transpose`.
_UPRIGHT = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}


def decode(
    content: bytes | None,
    size: int,
    into: "np.ndarray | None" = None,
    options: DecodingOptions | None = None,
    traits: Traits | None = None,
) -> "np.ndarray":
    """Decode an image to RGB and resize it bicubically, like Keras and PIL; returns uint8 (size, size, 3).

    Greyscale, palette, CMYK and RGBA images become RGB as in `keras.utils.load_img`; samples of more than 8 bits
    are scaled to 8 bits (`pixels/sample_values.py`, `pixels/deep_colours.py`); of an animation the first frame is used.

    Args:
        content: bytes of the file; None when it could not be read.
        size: height and width of the result in pixels.
        into: uint8 array (size, size, 3) to write to; a new one when None.
        options: for rotated, transparent, truncated and very large images.
        traits: filled in with traits of the image.

    Raises:
        UnreadableImage: with the reason.
        MemoryError, OSError: a fault of the machine, not of the file.
    """
    if content is None:
        raise UnreadableImage("could not be read: vanished, not permitted, or larger than 256 MiB")
    if not content:
        raise UnreadableImage("empty file (0 bytes)")
    seen = traits or Traits()
    try:
        pixels = _pixels(content, size, into, options or DecodingOptions(), seen)
    except UnreadableImage:
        raise
    # PIL's plugins raise errors of any type.
    except Exception as error:
        raise _failure(content, error) from error
    seen.featureless = int(pixels.max()) - int(pixels.min()) < _FEATURELESS_SPAN
    return pixels


def _pixels(
    content: bytes, size: int, into: "np.ndarray | None", options: DecodingOptions, seen: Traits
) -> "np.ndarray":
    whole = _plain_jpeg(content, min(options.max_pixels, _LARGE)) if content[:3] == _START_OF_JPEG else None
    if whole is not None:
        seen.rotated = orientation_of(content) in _UPRIGHT
    if whole is None or (seen.rotated and options.apply_exif_orientation):
        return _any_image(content, size, into, options, seen)
    return resize(whole, size, into)


def _failure(content: bytes, error: Exception) -> Exception:
    """The error to raise: the machine's, or else UnreadableImage."""
    if isinstance(error, MemoryError):
        if is_short_of_memory():
            return MemoryError(
                f"A worker has too little memory to decode an image of {len(content):,} bytes: lower max_pixels of "
                "image_features, or give the machine or its container more."
            )
        return UnreadableImage("damaged image: it asks for more memory than its pixels need")
    return machine_fault(error) or UnreadableImage(reason_for(content, error))


def _plain_jpeg(content: bytes, max_pixels: int) -> "np.ndarray | None":
    """The pixels of a sound JPEG in the usual colours, from the same library as PIL's in half the time.

    Everything else is PIL's: None, and it decides what the file is and what is wrong with it.
    """
    import simplejpeg

    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(content)
        if colours != "YCbCr" or height * width > max_pixels:
            return None
        pixels: np.ndarray = simplejpeg.decode_jpeg(content, "RGB", strict=True)
        return pixels
    except ValueError:
        return None


def _any_image(
    content: bytes, size: int, into: "np.ndarray | None", options: DecodingOptions, seen: Traits
) -> "np.ndarray":
    """Decode what is not a plain JPEG; a file with a fault that leaves its pixels whole once more, without it."""
    try:
        return _decoded(content, size, into, options, seen)
    except UnreadableImage:
        raise
    except Exception as error:
        without = repaired(content, error, tolerate_truncated=options.tolerate_truncated)
        if without is None:
            raise
        seen.truncated = content[:3] == _START_OF_JPEG
        return _decoded(without, size, into, options, seen)


def _decoded(
    content: bytes, size: int, into: "np.ndarray | None", options: DecodingOptions, seen: Traits
) -> "np.ndarray":
    with open_image(content, options.max_pixels, on_background=options.background is not None) as image:
        large = image.width * image.height > _LARGE
        _draft(image)
        form = sample_format(image)
        deep = deep_colours(image, partial(open_image, content, options.max_pixels), form)
        frame = large_frame(image) if large else None
        if frame is None:
            image.load()
        # Not before: PIL would load the pixels of a PNG to find it.
        orientation = orientation_of(content, image)
        seen.rotated = orientation in _UPRIGHT
        plain = eight_bit_colours(frame or image, form, options.background, seen) if deep is None else deep
    if seen.truncated:
        _require_most_rows(plain)
    if options.apply_exif_orientation and seen.rotated and not large:
        plain, orientation = _turned(plain, orientation), 1
    pixels = _shrunk(plain, size, into) if large else resize(plain.convert("RGB"), size, into)
    if options.apply_exif_orientation and orientation in _UPRIGHT:
        import numpy as np
        from PIL import Image

        pixels[:] = np.asarray(_turned(Image.fromarray(pixels), orientation))
    return pixels


def _draft(image: "Image.Image") -> None:
    """Let libjpeg decode a very large JPEG at a part of its size."""
    part = 1
    while image.format in ("JPEG", "MPO") and image.width * image.height > _LARGEST_WHOLE_JPEG * part**2:
        part *= 2
    if part > 1:
        image.draft(None, (image.width // part, image.height // part))


def _turned(image: "Image.Image", orientation: int) -> "Image.Image":
    from PIL import Image

    return image.transpose(Image.Transpose[_UPRIGHT[orientation]])


def _require_most_rows(image: "Image.Image") -> None:
    """Refuse a JPEG of which too much is missing: libjpeg makes it mid-grey.

    Raises:
        UnreadableImage: with the share of the missing rows.
    """
    import numpy as np

    shown = np.flatnonzero((np.asarray(image.convert("RGB")) != 128).any(axis=(1, 2)))
    missing = 1 - (shown[-1] + 1 if len(shown) else 0) / image.height
    if missing > _MOST_MISSING_ROWS:
        raise UnreadableImage(f"truncated JPEG image: {missing:.0%} of its rows are missing")


def _shrunk(image: "Image.Image", size: int, into: "np.ndarray | None") -> "np.ndarray":
    """PIL's resize of a large image, colour by colour: the same numbers, with a quarter of the memory."""
    import numpy as np
    from PIL import Image

    pixels = np.empty((size, size, 3), np.uint8) if into is None else into
    for number in range(3):
        pixels[:, :, number] = np.asarray(_colour(image, number).resize((size, size), Image.Resampling.BICUBIC))
    return pixels


def _colour(image: "Image.Image", number: int) -> "Image.Image":
    return image if image.mode == "L" else image.getchannel(number)
