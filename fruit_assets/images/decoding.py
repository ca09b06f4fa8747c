"""From the bytes of an image file to the pixels the extractor sees.

Put here everything about image formats. The numbers that follow from the pixels (scaling to [-1, 1],
the network) belong to the extractor, which has them built in.
"""

import io
import warnings
from typing import TYPE_CHECKING

from fruit_assets.images.resizing import resize

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

# 89 megapixels is PIL's own idea of suspicious; beyond it a small file can fill the memory of a worker.
MAX_PIXELS = 89_478_485
_START_OF_JPEG = b"\xff\xd8\xff"
# Whatever the suffix says. Not all that PIL knows: it would hand PostScript to Ghostscript, to be run.
_FORMATS = ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP")


class UnreadableImage(Exception):
    """These bytes are no image we can use; the message is the reason shown to people."""


def decode(content: bytes | None, size: int, into: "np.ndarray | None" = None) -> "np.ndarray":
    """Decode an image as the reference does: RGB, then PIL's bicubic resize (see `resizing.py`).

    Greyscale, palette, CMYK and RGBA images become RGB as in `keras.utils.load_img`; 16-bit grey is
    scaled to 8 bits; of an animation the first frame counts. EXIF orientation is not applied, because
    neither the reference nor Keras applies it.

    Args:
        content: bytes of the file; None when it could not be read.
        size: height and width of the result in pixels.
        into: uint8 array (size, size, 3) to write to; a new one when None.

    Returns:
        uint8 array of shape (size, size, 3).

    Raises:
        UnreadableImage: with a reason that names what is wrong with the file.
    """
    from PIL import Image, UnidentifiedImageError

    if content is None:
        raise UnreadableImage("could not be read: vanished, not permitted, or larger than 256 MiB")
    if not content:
        raise UnreadableImage("empty file (0 bytes)")
    try:
        image = _plain_jpeg(content)
        return resize(_any_image(content) if image is None else image, size, into)
    except UnidentifiedImageError as error:
        raise UnreadableImage("not an image") from error
    except Image.DecompressionBombError as error:
        raise UnreadableImage("too many pixels: a decompression bomb?") from error
    except UnreadableImage:
        raise
    except MemoryError as error:
        raise UnreadableImage("too large for the memory of a worker") from error
    # PIL's plugins raise whatever their parsers run into; any of it means that this one file is broken.
    except Exception as error:
        raise UnreadableImage(f"damaged image: {str(error) or type(error).__name__}"[:200]) from error


def _plain_jpeg(content: bytes) -> "np.ndarray | None":
    """The pixels of a sound JPEG in the usual colours, from the same library as PIL's in half the time.

    Everything else is PIL's: None, and it decides what the file is and what is wrong with it.
    """
    import simplejpeg

    if not content.startswith(_START_OF_JPEG):
        return None
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(content)
        if colours != "YCbCr" or height * width > MAX_PIXELS:
            return None
        pixels: np.ndarray = simplejpeg.decode_jpeg(content, "RGB", strict=True)
        return pixels
    except ValueError:
        return None


def _any_image(content: bytes) -> "Image.Image":
    from PIL import Image

    with warnings.catch_warnings():
        # PIL only warns up to twice its limit; we refuse by the number of pixels below.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        image = Image.open(io.BytesIO(content), formats=_FORMATS)
    with image:
        if image.width * image.height > MAX_PIXELS:
            raise UnreadableImage(f"too many pixels ({image.width}x{image.height}): a decompression bomb?")
        return _rgb(image)


def _rgb(image: "Image.Image") -> "Image.Image":
    import numpy as np
    from PIL import Image

    image.load()
    if image.mode.startswith("I") or image.mode == "F":
        values = np.asarray(image, dtype=np.float64)
        # PIL clips 16-bit values to white when it converts; scale them instead. Of the wider modes only the
        # values tell whether they are meant as 8 or 16 bits.
        sixteen = image.mode.startswith("I;16") or values.max(initial=0) > 255
        scaled = values / 257.0 if sixteen else values
        return Image.fromarray(scaled.clip(0, 255).astype(np.uint8)).convert("RGB")
    if image.mode in ("P", "LA", "PA") and "transparency" in image.info:
        image = image.convert("RGBA")
    return image.convert("RGB")
