"""Images that are odd but good, and files that only look like images, as bytes by file name.

Put here what people's collections hold beside plain JPEGs. What becomes of each is said by the tests.
"""

import io
import struct
import zlib

import numpy as np
from PIL import Image


def _photo(width: int = 120, height: int = 90) -> Image.Image:
    """A smooth coloured picture, so that resizing and compression have something to get wrong."""
    y, x = np.mgrid[0:height, 0:width]
    red = 255 * x / max(width - 1, 1)
    green = 255 * y / max(height - 1, 1)
    blue = 127 + 120 * np.sin(x / 9) * np.cos(y / 7)
    return Image.fromarray(np.stack([red, green, blue], axis=-1).astype(np.uint8))


def _encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _rotated() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return _encoded(_photo(), "JPEG", exif=exif.tobytes())


def _translucent(mode: str) -> Image.Image:
    image = _photo().convert("RGBA")
    alpha = np.tile(np.linspace(0, 255, image.width).astype(np.uint8), (image.height, 1))
    image.putalpha(Image.fromarray(alpha))
    return image.convert(mode)


def _animation() -> bytes:
    frames = [_photo().convert("P"), Image.new("P", (120, 90))]
    return _encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])


def ramp_16_bit() -> np.ndarray:
    return np.tile(np.linspace(0, 65535, 64).astype(np.uint16), (64, 1))


def _png_that_claims(width: int, height: int) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(10))) + chunk(b"IEND", b"")
    )


def same_as_keras() -> dict[str, bytes]:
    """Images that must decode to exactly the pixels `keras.utils.load_img` gives."""
    photo = _photo()
    transparent_palette = photo.convert("P")
    return {
        "plain.jpg": _encoded(photo, "JPEG", quality=92),
        "UPPER.JPG": _encoded(photo, "JPEG", quality=40),
        "progressive.jpeg": _encoded(photo, "JPEG", progressive=True),
        "grey.jpg": _encoded(photo.convert("L"), "JPEG"),
        "cmyk.jpg": _encoded(photo.convert("CMYK"), "JPEG"),
        "exif rotated.jpg": _rotated(),
        "palette.png": _encoded(photo.convert("P"), "PNG"),
        "palette transparent.png": _encoded(transparent_palette, "PNG", transparency=3),
        "black and white.png": _encoded(photo.convert("1"), "PNG"),
        "rgba.png": _encoded(_translucent("RGBA"), "PNG"),
        "la.png": _encoded(_translucent("LA"), "PNG"),
        "one pixel.png": _encoded(_photo(1, 1), "PNG"),
        "thin.png": _encoded(_photo(3, 700), "PNG"),
        "two views of a camera.jpg": _encoded(photo, "MPO", save_all=True, append_images=[_photo(60, 60)]),
        "odd size.jpg": _encoded(_photo(333, 47), "JPEG"),
        "animated.gif": _animation(),
        "lossless.webp": _encoded(photo, "WEBP", lossless=True),
        "windows.bmp": _encoded(photo, "BMP"),
        "lzw.tiff": _encoded(photo, "TIFF", compression="tiff_lzw"),
        "a png by mistake.jpg": _encoded(photo, "PNG"),
    }


def sixteen_bit() -> dict[str, bytes]:
    """16-bit grey, which Keras would clip to white."""
    image = Image.fromarray(ramp_16_bit())
    dark = Image.fromarray((ramp_16_bit() // 512).astype(np.uint16))
    return {
        "grey16.png": _encoded(image, "PNG"),
        "grey16.tif": _encoded(image, "TIFF"),
        "dark16.png": _encoded(dark, "PNG"),
    }


def broken() -> dict[str, tuple[bytes, str]]:
    """Files that cannot be used, each with what the reason must say."""
    jpeg = _encoded(_photo(), "JPEG", quality=95)
    png = _encoded(_photo(), "PNG")
    return {
        "zero.jpg": (b"", "empty file"),
        "truncated.jpg": (jpeg[: len(jpeg) // 2], "damaged image: image file is truncated"),
        "cut header.jpg": (jpeg[:12], "damaged image"),
        "truncated.png": (png[: len(png) // 2], "damaged image"),
        "flipped.png": (png[:60] + bytes(byte ^ 255 for byte in png[60:90]) + png[90:], "damaged image"),
        "text.jpg": (b"<html>404 Not Found</html>", "not an image"),
        "postscript.jpg": (
            b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n",
            "not an image",
        ),
        "bomb.png": (_png_that_claims(60_000, 60_000), "decompression bomb"),
        "small bomb.png": (_png_that_claims(10_000, 10_000), "decompression bomb"),
    }
