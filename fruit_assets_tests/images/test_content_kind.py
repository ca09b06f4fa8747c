"""Tests of telling what a file is by its first bytes."""

import io

import numpy as np
import pytest
from PIL import Image

from fruit_assets.images.content_kind import HEAD_BYTES, content_kind
from fruit_assets_tests.images import odd_images

_XML = b"<?xml version='1.0' encoding='UTF-8'?>\n"
_HEADS = {
    b"": "empty file",
    bytes(4096): "file of zeros",
    b"  \n<!DOCTYPE html><title>Sign in</title>": "HTML page",
    b"<HTML><body>": "HTML page",
    _XML + b"<Error><Code>AccessDenied</Code></Error>": "XML error message",
    _XML + b"<svg xmlns='http://www.w3.org/2000/svg'/>": "SVG image",
    _XML + b"<annotation><filename>a.jpg</filename></annotation>": "XML text",
    b'\xef\xbb\xbf{"message": "not found"}': "JSON text",
    b"[1, 2]": "JSON text",
    b"404: Not Found": "text file",
    "Äpfel und Bäume, ".encode() * 40: "text file",
    b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n": "Git-LFS pointer",
    b"/annex/objects/SHA256E-s12--4d7a.jpg\n": "git-annex pointer",
    b"\0\0\0\x18ftypheic\0\0\0\0mif1heic": "HEIC image",
    b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic": "HEIC image",
    b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf": "AVIF",
    b"\0\0\0\x1cftypmif1\0\0\0\0mif1miafavif": "AVIF",
    b"\0\0\0\x18ftypisom\0\0\2\0isomiso2": "video",
    b"%PDF-1.7\n": "PDF document",
    b"PK\3\4\x14\0": "ZIP archive",
    b"\x1f\x8b\x08\0": "compressed file",
    b"8BPS\0\1": "Photoshop image",
    b"\xff\x0a\xfa\x1f": "JPEG XL image",
    b"II*\0\x10\0\0\0CR\2\0": "Canon raw image",
    b"%!PS-Adobe-3.0 EPSF-3.0\n": "PostScript image",
    b"\x00\x05\x16\x07\0\2\0\0": "macOS metadata file",
    b"\x93NUMPY\1\0": "NumPy array",
    b"BM, said the bitmap": "text file",
    bytes(range(128, 256)): "file of an unknown kind",
    b"text with\0zeros": "file of an unknown kind",
}


@pytest.mark.parametrize("head", _HEADS, ids=range(len(_HEADS)))
def test_a_file_is_named_by_its_first_bytes(head):
    kind = content_kind(head)
    assert kind.name == _HEADS[head]
    assert kind.decoded == (kind.name == "AVIF")
    assert kind.image == (kind.name.endswith("image") or kind.decoded)


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "AVIF", "JPEG2000", "PPM", "ICO"])
def test_what_pil_writes_is_recognised(format_):
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((32, 32, 3), np.uint8)).save(buffer, format_)
    other = {"JPEG2000": "JPEG 2000 image", "PPM": "PNM image", "ICO": "icon image"}
    kind = content_kind(buffer.getvalue()[:HEAD_BYTES])
    assert (kind.name, kind.image, kind.decoded) == (other.get(format_, format_), True, format_ not in other)


def test_every_odd_but_good_image_is_one_that_is_decoded():
    images = {**odd_images.same_as_keras(), **odd_images.sixteen_bit()}
    assert [name for name, content in images.items() if not content_kind(content[:HEAD_BYTES]).decoded] == []


def test_no_bytes_are_too_odd_to_be_named():
    generator = np.random.default_rng(0)
    for length in range(300):
        assert content_kind(generator.bytes(length)).name
