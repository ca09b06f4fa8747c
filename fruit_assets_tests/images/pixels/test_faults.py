"""Reasons for unusable files, and faults that leave the pixels intact."""

import io

import numpy as np
import pytest
from PIL import Image

from fruit_assets.images.decoding import UnreadableImage, decode
from fruit_assets_tests.images.odd_images import encoded, odd_metadata, picture, png_with, raw_tiff

_SAMPLES = np.zeros((8, 8), np.float64)
_JPEG = encoded(picture(), "JPEG")
_KINDS = ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "AVIF"]
_REASONS = {
    "html": (b"<!DOCTYPE html><html><body>Sign in</body></html>", "not an image but an HTML page: "),
    "xml": (b"<?xml version='1.0'?><Error></Error>", "not an image but an XML error message: "),
    "json": (b'{"message": "Not Found"}', "not an image but a JSON text"),
    "text": (b"404: Not Found", "not an image but a text file"),
    "pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\n", "a Git-LFS pointer: fetch the files"),
    "zeros": (bytes(5000), "not an image but a file of zeros: the copy was interrupted"),
    "noise": (bytes(range(255, 100, -1)), "not an image but a file of an unknown kind"),
    "pdf": (b"%PDF-1.7\n%\xe2\xe3", "not an image but a PDF document"),
    "zip": (b"PK\x03\x04\x14\0", "not an image but a ZIP archive: unpack it"),
    "heic": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "unsupported HEIC image: convert it to JPEG or PNG"),
    "jp2": (encoded(picture(), "JPEG2000"), "unsupported JPEG 2000 image: convert it"),
    "float64 tiff": (
        raw_tiff(_SAMPLES.tobytes(), 8, 8, t258=64, t262=1, t339=3),
        "unsupported TIFF image: grey, 1 floating-point sample(s) of 64 bits, compression 1",
    ),
    "five colours tiff": (
        raw_tiff(bytes(320), 8, 8, t258=(8,) * 5, t262=5, t277=5, t338=2),
        "unsupported TIFF image: CMYK, 5 sample(s) of 8 bits, compression 1",
    ),
    "unknown compression tiff": (
        raw_tiff(bytes(64), 8, 8, t258=8, t262=1, t259=34887),
        "unsupported TIFF image: grey, 1 sample(s) of 8 bits, compression 34887",
    ),
    "twelve bits jpeg": (
        _JPEG.replace(b"\xff\xc0\0\x11\x08", b"\xff\xc0\0\x11\x0c"),
        "unsupported JPEG image: cannot handle 12-bit layers",
    ),
    "no header jpeg": (b"\xff\xd8\xff\xd9", "damaged JPEG image: "),
    "noise in png": (png_with()[:60] + bytes(range(200)) + png_with()[260:], "damaged PNG image: "),
}  # fmt: skip


def _reason(content: bytes) -> str:
    with pytest.raises(UnreadableImage) as caught:
        decode(content, 64)
    return str(caught.value)


@pytest.mark.parametrize("name", _REASONS)
def test_the_reason_says_what_the_file_is_or_what_is_wrong_with_it(name):
    content, expected = _REASONS[name]
    assert expected in _reason(content)


@pytest.mark.parametrize("kind", _KINDS)
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_file_that_lacks_its_end_is_called_truncated(kind, share):
    whole = encoded(picture(), kind)
    decode(whole, 64)
    assert _reason(whole[: int(len(whole) * share)]) == f"truncated {kind} image: its end is missing"


@pytest.mark.parametrize("name", odd_metadata())
def test_metadata_that_is_damaged_or_too_much_leaves_the_pixels_as_they_are(name):
    expected = picture().resize((64, 64), Image.Resampling.BICUBIC)
    assert np.array_equal(decode(odd_metadata()[name], 64), np.asarray(expected))


def test_a_png_loses_its_transparency_and_not_its_pixels_by_a_wrong_checksum():
    palette = picture().convert("P")
    content = bytearray(encoded(palette, "PNG", transparency=3))
    content[content.index(b"tRNS") + 8] ^= 1
    expected = palette.convert("RGB").resize((64, 64), Image.Resampling.BICUBIC)
    assert np.array_equal(decode(bytes(content), 64), np.asarray(expected))


@pytest.mark.parametrize("chunk", [b"IHDR", b"PLTE", b"IDAT"])
def test_a_png_whose_pixels_are_damaged_is_rejected(chunk):
    content = bytearray(encoded(picture().convert("P"), "PNG"))
    content[content.index(chunk) + 9] ^= 0x55
    assert _reason(bytes(content)).startswith("damaged PNG image: ")


@pytest.mark.parametrize("extra", [1, 2])
def test_a_grey_tiff_with_alpha_has_the_grey_of_its_opaque_pixels(extra):
    grey = np.asarray(picture(64, 64).convert("L"))
    both = np.stack([grey, np.full_like(grey, 255)], axis=-1)
    pixels = decode(raw_tiff(both.tobytes(), 64, 64, t258=(8, 8), t262=1, t277=2, t338=extra), 64)
    assert np.array_equal(pixels, np.stack([grey] * 3, axis=-1))


def test_associated_alpha_is_taken_out_of_the_grey():
    half = np.stack([np.full((64, 64), 60), np.full((64, 64), 127)], axis=-1).astype(np.uint8)
    pixels = decode(raw_tiff(half.tobytes(), 64, 64, t258=(8, 8), t262=1, t277=2, t338=1), 64)
    assert set(pixels.reshape(-1).tolist()) == {120}


def test_a_tiff_turned_on_its_side_is_upright_as_by_pil():
    content = encoded(picture(), "TIFF", tiffinfo={274: 6})
    with Image.open(io.BytesIO(content)) as opened:
        expected = opened.convert("RGB").resize((64, 64), Image.Resampling.BICUBIC)
    assert np.array_equal(decode(content, 64), np.asarray(expected))
