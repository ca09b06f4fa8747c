"""Tests of the memory that decoding a large image takes, in a process of its own."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fruit_assets_tests.images.odd_images import raw_tiff

_SIDE = 4500
_WHATEVER_THE_SIZE = 24 * 2**20
_ADDED = """
import sys, PIL.Image, numpy, simplejpeg
from fruit_assets.images.decoding import decode
from fruit_assets_tests.images.test_memory import peak
decode(open(sys.argv[1], "rb").read(), 224)
before = peak()
decode(open(sys.argv[2], "rb").read(), 224)
print(peak() - before)
"""


def peak() -> int:
    """The most memory that this process has held, in bytes."""
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))


def _images() -> dict[str, Image.Image]:
    grey = np.broadcast_to((np.arange(_SIDE) * 65535 // _SIDE).astype(np.uint16), (_SIDE, _SIDE)).copy()
    levels = (grey >> 8).astype(np.uint8)
    colours = Image.fromarray(np.stack([levels, levels.T, levels], axis=-1))
    return {
        "grey16.png": Image.fromarray(grey),
        "float.tif": Image.fromarray(grey.astype(np.float32)),
        "grey.png": Image.fromarray(levels),
        "rgb.png": colours,
        "rgba.png": colours.convert("RGBA"),
        "rgb.jpg": colours,
        "cmyk.jpg": colours.convert("CMYK"),
        "transparent.png": Image.merge("LA", [Image.fromarray(levels), Image.fromarray(levels.T)]),
        "rgb.webp": colours,
        "rgb.avif": colours,
    }


# How to save them, where it is not the usual way: fast.
_SAVED = {
    "png": {"compress_level": 1},
    "cmyk.jpg": {"progressive": True, "subsampling": 0},
    "webp": {"method": 0, "quality": 50},
    "avif": {"speed": 10, "quality": 40},
}


@pytest.mark.skipif(sys.platform != "linux", reason="the peak comes from the Linux kernel")
@pytest.mark.parametrize(
    ("name", "most"),
    [
        ("grey16.png", 4),
        ("float.tif", 6),
        ("grey.png", 2),
        ("rgb.png", 6),
        ("rgba.png", 6),
        ("rgb.jpg", 6),
        ("cmyk.jpg", 13),
        ("transparent.png", 10),
        ("rgb.webp", 13),
        ("rgb.avif", 10),
    ],
)
def test_a_large_image_takes_a_few_bytes_for_each_pixel(name, most, tmp_path):
    kind = name.partition(".")[2]
    Image.new("RGB", (8, 8)).save(tmp_path / f"small.{kind}")
    _images()[name].save(tmp_path / name, **_SAVED.get(name, _SAVED.get(kind, {})))
    added = _added_by(tmp_path / name, tmp_path / f"small.{kind}")
    assert added < most * _SIDE * _SIDE + (tmp_path / name).stat().st_size + _WHATEVER_THE_SIZE


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel of Linux tells the peak")
def test_a_progressive_photograph_of_108_megapixels_takes_what_the_page_says(tmp_path):
    side = 10_392
    Image.new("RGB", (8, 8)).save(tmp_path / "small.jpg")
    # libjpeg keeps as many coefficients of one colour as of a photograph.
    Image.new("RGB", (side, side), (9, 99, 200)).save(tmp_path / "large.jpg", progressive=True, subsampling=0)
    added = _added_by(tmp_path / "large.jpg", tmp_path / "small.jpg")
    assert 6 * side * side < added < 7 * side * side + _WHATEVER_THE_SIZE


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel of Linux tells the peak")
def test_colours_of_16_bits_that_hold_12_are_scaled_in_pieces(tmp_path):
    side = 2500
    Image.new("RGB", (8, 8)).save(tmp_path / "small.tif")
    (tmp_path / "large.tif").write_bytes(
        raw_tiff(np.full((side, side, 3), 2000, "<u2").tobytes(), side, side, t258=(16, 16, 16), t262=2, t277=3)
    )
    added = _added_by(tmp_path / "large.tif", tmp_path / "small.tif")
    # 6 of the file, 4 of the upper bytes and 4 of the lower; a million samples on top, whatever the size.
    assert added < (6 + 4 + 4) * side * side + 5 * _WHATEVER_THE_SIZE


def _added_by(image: Path, small: Path) -> int:
    """Bytes by which the peak of a process grows that has decoded a small image of the same kind before."""
    command = [sys.executable, "-c", _ADDED, small, image]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
