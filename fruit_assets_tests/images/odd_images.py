"""Images that are odd but good, and files that only look like images, as bytes by file name.

Put here kinds of files that real collections contain besides plain JPEGs. The tests check the result for each.
"""

import io
import struct
import zlib

import numpy as np
from PIL import Image, TiffImagePlugin


def picture(width: int = 120, height: int = 90) -> Image.Image:
    """A smooth coloured picture, so that resizing and compression have something to get wrong."""
    y, x = np.mgrid[0:height, 0:width]
    red = 255 * x / max(width - 1, 1)
    green = 255 * y / max(height - 1, 1)
    blue = 127 + 120 * np.sin(x / 9) * np.cos(y / 7)
    return Image.fromarray(np.stack([red, green, blue], axis=-1).astype(np.uint8))


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _rotated() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(picture(), "JPEG", exif=exif.tobytes())


def _translucent(mode: str) -> Image.Image:
    image = picture().convert("RGBA")
    alpha = np.tile(np.linspace(0, 255, image.width).astype(np.uint8), (image.height, 1))
    image.putalpha(Image.fromarray(alpha))
    return image.convert(mode)


def _animation() -> bytes:
    frames = [picture().convert("P"), Image.new("P", (120, 90))]
    return encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])


def ramp_16_bit() -> np.ndarray:
    return np.tile(np.linspace(0, 65535, 64).astype(np.uint16), (64, 1))


def png_that_claims(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", header)
        + png_chunk(b"IDAT", zlib.compress(bytes(10)))
        + png_chunk(b"IEND", b"")
    )


def same_as_keras() -> dict[str, bytes]:
    """Images that must decode to exactly the pixels `keras.utils.load_img` gives."""
    photo = picture()
    transparent_palette = photo.convert("P")
    return {
        "plain.jpg": encoded(photo, "JPEG", quality=92),
        "UPPER.JPG": encoded(photo, "JPEG", quality=40),
        "progressive.jpeg": encoded(photo, "JPEG", progressive=True),
        "grey.jpg": encoded(photo.convert("L"), "JPEG"),
        "cmyk.jpg": encoded(photo.convert("CMYK"), "JPEG"),
        "exif rotated.jpg": _rotated(),
        "palette.png": encoded(photo.convert("P"), "PNG"),
        "palette transparent.png": encoded(transparent_palette, "PNG", transparency=3),
        "black and white.png": encoded(photo.convert("1"), "PNG"),
        "rgba.png": encoded(_translucent("RGBA"), "PNG"),
        "la.png": encoded(_translucent("LA"), "PNG"),
        "one pixel.png": encoded(picture(1, 1), "PNG"),
        "thin.png": encoded(picture(3, 700), "PNG"),
        "two views of a camera.jpg": encoded(photo, "MPO", save_all=True, append_images=[picture(60, 60)]),
        "odd size.jpg": encoded(picture(333, 47), "JPEG"),
        "animated.gif": _animation(),
        "lossless.webp": encoded(photo, "WEBP", lossless=True),
        "windows.bmp": encoded(photo, "BMP"),
        "lzw.tiff": encoded(photo, "TIFF", compression="tiff_lzw"),
        "a png by mistake.jpg": encoded(photo, "PNG"),
    }


def sixteen_bit() -> dict[str, bytes]:
    """16-bit grey, which Keras would clip to white."""
    image = Image.fromarray(ramp_16_bit())
    dark = Image.fromarray((ramp_16_bit() // 512).astype(np.uint16))
    return {
        "grey16.png": encoded(image, "PNG"),
        "grey16.tif": encoded(image, "TIFF"),
        "dark16.png": encoded(dark, "PNG"),
    }


def tiff(samples: np.ndarray, **tags: int) -> bytes:
    """A TIFF of one sample a pixel; a tag is named `t` and its number."""
    directory = TiffImagePlugin.ImageFileDirectory_v2()
    for name, value in tags.items():
        directory[int(name[1:])] = value
    return encoded(Image.fromarray(samples), "TIFF", tiffinfo=directory)


def raw_tiff(content: bytes, width: int, height: int, *, order: str = "<", **tags: int | tuple[int, ...]) -> bytes:
    """An uncompressed TIFF of one strip, of any kind; a tag is named `t` and its number."""
    wanted = {256: width, 257: height, 259: 1, 277: 1, 278: height, 279: len(content), 273: 0}
    wanted |= {int(name[1:]): value for name, value in tags.items()}
    values = {tag: value if isinstance(value, tuple) else (value,) for tag, value in sorted(wanted.items())}
    end = 8 + 2 + 12 * len(values) + 4
    entries, beyond = b"", b""
    for tag, value in values.items():
        wide = tag in (256, 257, 278, 279, 273)
        if tag == 273:
            value = (end + sum(2 * len(v) for v in values.values() if len(v) > 2),)
        packed = struct.pack(f"{order}{len(value)}{'I' if wide else 'H'}", *value)
        if len(packed) > 4:
            packed, beyond = struct.pack(f"{order}I", end + len(beyond)), beyond + packed
        entries += struct.pack(f"{order}HHI", tag, 4 if wide else 3, len(value)) + packed.ljust(4, b"\0")
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}IH", 8, len(values))
    return head + entries + bytes(4) + beyond + content


def png_chunk(kind: bytes, content: bytes, *, sound: bool = True) -> bytes:
    checksum = zlib.crc32(kind + content) ^ (not sound)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def png_with(*chunks: bytes, image: Image.Image | None = None, at_end: bool = False) -> bytes:
    """A PNG with more chunks, after its header or before its end."""
    png = encoded(image or picture(), "PNG")
    where = len(png) - 12 if at_end else 33
    return png[:where] + b"".join(chunks) + png[where:]


def odd_metadata() -> dict[str, bytes]:
    """Images with good pixels, those of `picture`, and metadata that is too much or damaged."""
    text = b"Comment\0\0" + zlib.compress(b"fruit " * 400_000)
    return {
        "much text.png": png_with(png_chunk(b"zTXt", text)),
        "much international text.png": png_with(
            png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + text.partition(b"\0\0")[2])
        ),
        "much text at the end.png": png_with(png_chunk(b"zTXt", text), at_end=True),
        "text with a wrong checksum.png": png_with(png_chunk(b"tEXt", b"Author\0me", sound=False)),
        "date with a wrong checksum.png": png_with(png_chunk(b"tIME", bytes(7), sound=False), at_end=True),
        "profile with a wrong checksum.png": png_with(
            png_chunk(b"iCCP", b"icc\0\0" + zlib.compress(b"x"), sound=False)
        ),
        "short gamma.png": png_with(png_chunk(b"gAMA", b"\0")),
        "wrong animation.png": png_with(png_chunk(b"acTL", b"\0\0")),
        "unknown chunk with a wrong checksum.png": png_with(png_chunk(b"prVt", b"12", sound=False)),
        "exif that is none.png": png_with(png_chunk(b"eXIf", b"MM\0*\xff\xff\xff\xff")),
        "bytes after the end.png": encoded(picture(), "PNG") + b"appended",
    }


def broken() -> dict[str, tuple[bytes, str]]:
    """Files that cannot be used, each with what the reason must say."""
    jpeg = encoded(picture(), "JPEG", quality=95)
    png = encoded(picture(), "PNG")
    return {
        "zero.jpg": (b"", "empty file"),
        "truncated.jpg": (jpeg[: len(jpeg) // 2], "truncated JPEG image"),
        "cut header.jpg": (jpeg[:12], "truncated JPEG image"),
        "truncated.png": (png[: len(png) // 2], "truncated PNG image"),
        "flipped.png": (png[:60] + bytes(byte ^ 255 for byte in png[60:90]) + png[90:], "damaged PNG image"),
        "text.jpg": (b"<html>404 Not Found</html>", "not an image but an HTML page"),
        "postscript.jpg": (
            b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n",
            "unsupported PostScript image",
        ),
        "bomb.png": (png_that_claims(60_000, 60_000), "decompression bomb"),
        "small bomb.png": (png_that_claims(15_000, 15_000), "decompression bomb"),
    }
