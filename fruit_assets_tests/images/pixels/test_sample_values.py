"""Tests of samples with more than 8 bits: what a person would see, whatever the file's numbers are."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from fruit_assets.images.decoding import decode
from fruit_assets.images.pixels import sample_values
from fruit_assets.images.pixels.decoding_options import Traits
from fruit_assets_tests.images.odd_images import encoded, png_chunk, raw_tiff, tiff

_SIDE = 64
_RAMP = np.tile(np.linspace(0, 1, _SIDE), (_SIDE, 1)) ** 0.8
_LEVELS = np.round(_RAMP * 255)


def _unsigned(greatest: int) -> np.ndarray:
    return np.round(_RAMP * greatest).astype(np.uint16)


def _floats(greatest: float = 1.0, **odd: float) -> np.ndarray:
    """The ramp as float32, with odd values in its first row."""
    values = (_RAMP * greatest).astype(np.float32)
    values[0, : len(odd)] = list(odd.values())
    return values


def _integers(greatest: int, **odd: int) -> np.ndarray:
    values = (_RAMP * greatest).astype(np.int32)
    values[0, : len(odd)] = list(odd.values())
    return values


def _signed(low: int, high: int) -> np.ndarray:
    return np.round(low + _RAMP * (high - low)).astype(np.int16)


def _with_hot_pixel(values: np.ndarray) -> np.ndarray:
    values[0, 0] = 65535
    return values


def _twelve_bits() -> bytes:
    """Two samples in three bytes."""
    bits = np.unpackbits(_unsigned(4095).astype(">u2").view(np.uint8).reshape(-1, 2), axis=1)[:, 4:]
    return np.packbits(bits).tobytes()


def _strip(samples: np.ndarray, order: str = "<", **tags: int) -> bytes:
    in_order = samples.astype(samples.dtype.newbyteorder(order)).tobytes()
    return raw_tiff(in_order, _SIDE, _SIDE, order=order, t258=samples.itemsize * 8, **{"t262": 1, **tags})


_RAMPS = {
    "float in [0, 1]": tiff(_floats()),
    "float in [0, 1] with an overshoot": tiff(_floats(a=1.2, b=-0.1)),
    "float in [0, 255]": tiff(_floats(255)),
    "float in [0, 255] with an overshoot of 260": tiff(_floats(255, a=260)),
    "float in [0, 255] with an overshoot everywhere": tiff(np.float32(_RAMP * 259)),
    "float in [0, 255] with one infinity": tiff(_floats(255, a=np.inf)),
    "float in [0, 255] with minus infinity and a very bright pixel": tiff(_floats(255, a=-np.inf, b=1e30)),
    "float in [0, 255] with a marker for missing values": tiff(_floats(255, a=-3.4e38)),
    "float in [0, 1] with NaN": tiff(_floats(a=np.nan)),
    "float of 12 bits": tiff(_floats(4095)),
    "float of 16 bits with NaN": tiff(_floats(65535, a=np.nan)),
    "float of linear light": tiff(_floats(7.5)),
    "float beyond 16 bits": tiff(_floats(1e6)),
    "float in [-1, 1]": tiff(_floats(2) - 1),
    "float in which white is zero": tiff(1 - _floats(), t262=0),
    "int32 of 8 bits": tiff(_integers(255)),
    "int32 of 8 bits with one bright pixel": tiff(_integers(255, a=2**31 - 1)),
    "int32 of 8 bits with one dark pixel": tiff(_integers(255, a=-(2**31))),
    "int32 of 16 bits": tiff(_integers(65535)),
    "int32 of 31 bits": tiff(_integers(2**31 - 1)),
    "uint32": _strip(np.round(_RAMP * (2**32 - 1)).astype(np.uint32)),
    "16 bits": tiff(_unsigned(65535)),
    "16 bits, big-endian": _strip(_unsigned(65535), ">"),
    "16 bits, PNG": encoded(Image.fromarray(_unsigned(65535)), "PNG"),
    "16 bits, compressed": encoded(Image.fromarray(_unsigned(65535)), "TIFF", compression="tiff_lzw"),
    "16 bits that hold 12": tiff(_unsigned(4095)),
    "16 bits that hold 12, big-endian": _strip(_unsigned(4095), ">"),
    "16 bits that hold 12, PNG": encoded(Image.fromarray(_unsigned(4095)), "PNG"),
    "16 bits that hold 12, with one hot pixel": tiff(_with_hot_pixel(_unsigned(4095))),
    "16 bits that hold 8": tiff(_unsigned(255)),
    "16 bits that hold 10, and say so": tiff(_unsigned(1023), t281=1023),
    "16 bits in which white is zero": tiff(65535 - _unsigned(65535), t262=0),
    "12 bits": raw_tiff(_twelve_bits(), _SIDE, _SIDE, t258=12, t262=1),
    "signed 16 bits": _strip(_signed(-32768, 32767), t339=2),
    "signed 16 bits, big-endian": _strip(_signed(-32768, 32767), ">", t339=2),
    "signed 16 bits without a sign": _strip(_signed(0, 32767), t339=2),
    "signed 16 bits that hold 12": _strip(_signed(0, 4095), t339=2),
    "signed 16 bits that hold 8": _strip(_signed(0, 255), t339=2),
}


@pytest.mark.parametrize("name", _RAMPS)
def test_a_ramp_is_a_ramp_from_black_to_white_however_it_is_stored(name):
    traits = Traits()
    pixels = decode(_RAMPS[name], _SIDE, traits=traits)[1:].astype(int)
    tolerance = 4 if "everywhere" in name else 1
    assert np.abs(pixels - _LEVELS[1:, :, None]).max() <= tolerance
    assert not traits.featureless


def _colours(greatest: int, samples: int = 3) -> np.ndarray:
    planes = [np.round(plane * greatest).astype(np.uint16) for plane in (_RAMP, _RAMP.T, _RAMP[::-1, ::-1], _RAMP)]
    return np.stack(planes[:samples], axis=-1)


def _colour_png(values: np.ndarray) -> bytes:
    kind = {3: 2, 4: 6}[values.shape[-1]]
    header = struct.pack(">IIBBBBB", _SIDE, _SIDE, 16, kind, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    chunks = png_chunk(b"IHDR", header), png_chunk(b"IDAT", zlib.compress(rows)), png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def _colour_tiff(values: np.ndarray, order: str) -> bytes:
    in_order = values.astype(values.dtype.newbyteorder(order)).tobytes()
    count = values.shape[-1]
    extra = {"t338": 2} if count == 4 else {}
    return raw_tiff(in_order, _SIDE, _SIDE, order=order, t258=(16,) * count, t262=2, t277=count, **extra)


@pytest.mark.parametrize("greatest", [255, 4095, 65535])
@pytest.mark.parametrize("samples", [3, 4])
@pytest.mark.parametrize("kind", ["png", "<", ">"])
def test_colours_of_sixteen_bits_are_shown_whatever_depth_they_hold(greatest, samples, kind):
    values = _colours(greatest, samples)
    content = _colour_png(values) if kind == "png" else _colour_tiff(values, kind)
    pixels = decode(content, _SIDE)
    assert np.abs(pixels.astype(int) - _colours(255)).max() <= 1
    if greatest == 65535:
        expected = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
        assert np.array_equal(pixels, expected)


def test_an_image_that_shows_something_tiny_on_black_is_not_black():
    values = np.zeros((_SIDE, _SIDE), np.float32)
    values[30:32, 30:32] = 200
    assert decode(tiff(values), _SIDE).max() == 200


@pytest.mark.parametrize("levels", [(7, 7), (100, 110)])
def test_an_image_of_nearly_one_level_is_called_featureless(levels):
    noise = np.random.default_rng(0).integers(*levels, (50, 50, 3), dtype=np.uint8, endpoint=True)
    traits = Traits()
    decode(encoded(Image.fromarray(noise), "PNG"), 50, traits=traits)
    assert traits == Traits(featureless=True)


def test_an_image_of_nothing_but_missing_values_is_black_and_featureless():
    traits = Traits()
    assert decode(tiff(np.full((9, 9), np.nan, np.float32)), 32, traits=traits).max() == 0
    assert traits.featureless


def test_a_large_image_is_scaled_by_what_lies_all_over_it(monkeypatch):
    small = decode(tiff(_unsigned(4095)), _SIDE)
    monkeypatch.setattr(sample_values, "_AT_A_TIME", 300)
    assert np.array_equal(decode(tiff(_unsigned(4095)), _SIDE), small)
