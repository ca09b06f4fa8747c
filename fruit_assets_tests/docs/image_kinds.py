"""The kinds of image files that `docs/images.md` speaks of, one example each.

Put here bytes by the name that the page gives them; what they show is `picture`, or a ramp from black to white.
"""

import numpy as np
from PIL import Image

from fruit_assets_tests.images.odd_images import encoded, odd_metadata, picture, png_that_claims, raw_tiff, tiff

SIDE = 64
RAMP = np.tile(np.linspace(0, 1, SIDE), (SIDE, 1))
COLOURS = np.stack([RAMP, RAMP.T, RAMP[::-1, ::-1]], axis=-1)


def ramps() -> dict[str, tuple[bytes, np.ndarray]]:
    """Files by name, each with the levels that a person expects."""
    grey, colours = np.round(RAMP * 255), np.round(COLOURS * 255)
    overshoot = (RAMP * 255).astype(np.float32)
    overshoot[0, 0] = 1e6
    twelve = np.unpackbits((RAMP * 4095).astype(">u2").view(np.uint8).reshape(-1, 2), axis=1)[:, 4:]
    files = {
        "16-bit grey PNG": encoded(Image.fromarray((RAMP * 65535).astype(np.uint16)), "PNG"),
        "16-bit grey TIFF that holds 12 bits": tiff((RAMP * 4095).astype(np.uint16)),
        "12-bit grey TIFF": raw_tiff(np.packbits(twelve).tobytes(), SIDE, SIDE, t258=12, t262=1),
        "signed 16-bit TIFF": raw_tiff(
            (RAMP * 65535 - 32768).astype("<i2").tobytes(), SIDE, SIDE, t258=16, t262=1, t339=2
        ),
        "16-bit TIFF, white is zero": tiff((65535 - RAMP * 65535).astype(np.uint16), t262=0),
        "float TIFF in [0, 1]": tiff(RAMP.astype(np.float32)),
        "float TIFF in [0, 255], one value far beyond": tiff(overshoot),
        "16-bit colour TIFF that holds 12 bits": raw_tiff(
            (COLOURS * 4095).astype("<u2").tobytes(), SIDE, SIDE, t258=(16, 16, 16), t262=2, t277=3
        ),
    }
    return {name: (content, colours if "colour" in name else grey) for name, content in files.items()}


def pictures() -> dict[str, bytes]:
    """Files that show `picture`."""
    image = picture()
    rgba = image.convert("RGBA")
    rgba.putalpha(Image.fromarray(np.tile(np.linspace(0, 255, image.width).astype(np.uint8), (image.height, 1))))
    held = Image.Exif()
    held[0x0112] = 6
    whole = encoded(image, "JPEG", quality=95)
    return {
        "JPEG, also progressive or grey": encoded(image, "JPEG", progressive=True),
        "CMYK JPEG": encoded(image.convert("CMYK"), "JPEG"),
        "JPEG with an EXIF orientation": encoded(image, "JPEG", exif=held.tobytes()),
        "JPEG that lacks its end": whole[: int(len(whole) * 0.95)],
        "PNG with a palette": encoded(image.convert("P"), "PNG"),
        "PNG or WebP with transparent pixels": encoded(rgba, "PNG"),
        "16-bit colour PNG": _deep_png(),
        "PNG with more than 1 MiB of text": odd_metadata()["much text.png"],
        "PNG with a wrong checksum beside its pixels": odd_metadata()["text with a wrong checksum.png"],
        "GIF, first frame": encoded(image.convert("P"), "GIF"),
        "WebP": encoded(image, "WEBP", lossless=True),
        "AVIF": encoded(image, "AVIF"),
        "BMP": encoded(image, "BMP"),
        "TIFF": encoded(image, "TIFF", compression="tiff_lzw"),
        "grey TIFF with associated alpha": raw_tiff(
            np.stack([np.asarray(image.convert("L")), np.full((90, 120), 255, np.uint8)], axis=-1).tobytes(),
            120, 90, t258=(8, 8), t262=1, t277=2, t338=1,
        ),
    }  # fmt: skip


def _deep_png() -> bytes:
    import struct
    import zlib

    from fruit_assets_tests.images.odd_images import png_chunk

    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in COLOURS * 65535)
    header = struct.pack(">IIBBBBB", SIDE, SIDE, 16, 2, 0, 0, 0)
    chunks = png_chunk(b"IHDR", header), png_chunk(b"IDAT", zlib.compress(rows)), png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def unusable() -> dict[str, bytes]:
    """Files that show nothing that could be used."""
    png = encoded(picture(), "PNG")
    return {
        "float RGB or 64-bit TIFF": raw_tiff(bytes(8 * 64 * 64), 64, 64, t258=64, t262=1, t339=3),
        "HEIC": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(64),
        "JPEG 2000": encoded(picture(), "JPEG2000"),
        "HTML page, whatever its suffix": b"<!DOCTYPE html><html><body>Not found</body></html>",
        "Git-LFS pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 1\n",
        "PNG that lacks its end": png[: len(png) // 2],
        "more than max_pixels": png_that_claims(15_000, 15_000),
        "empty file": b"",
    }
