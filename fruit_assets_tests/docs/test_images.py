"""Tests of the page on images: what it says of fruit_assets, and of Keras' pixels, is true."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import fruit_assets
from fruit_assets.images.decoding import UnreadableImage, decode
from fruit_assets_tests.docs.image_kinds import pictures, ramps, unusable

_PAGE = Path(fruit_assets.__file__).parents[1] / "docs" / "images.md"
_ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in _PAGE.read_text().partition("\n## ")[0].splitlines()
    if line.startswith("| ") and not line.startswith("| image")
]
_SAID = {row[0]: row[1] for row in _ROWS}
_LEVELS = {name: levels for name, (_, levels) in ramps().items()}
_FILES = {**{name: content for name, (content, _) in ramps().items()}, **pictures(), **unusable()}


def test_the_page_speaks_of_every_kind_once_and_of_every_peer():
    assert len(_ROWS) == len(_SAID)
    assert _SAID.keys() == _FILES.keys()
    assert {len(row) for row in _ROWS} == {6}


@pytest.mark.parametrize("name", _FILES)
def test_what_the_page_says_of_a_kind_is_what_becomes_of_it(name):
    assert _outcome(name, _FILES[name]) == _SAID[name]


def _outcome(name: str, content: bytes) -> str:
    try:
        pixels = decode(content, 64)
    except UnreadableImage as error:
        return f"rejected: {str(error).partition(':')[0]}"
    if name in _LEVELS:
        expected = _LEVELS[name] if _LEVELS[name].ndim == 3 else _LEVELS[name][..., None]
        # The one value far beyond is white.
        return "shown" if np.abs(pixels.astype(int) - expected)[1:].max() <= 1 else "something else"
    return "as PIL" if (as_pil := _by_pil(content)) is not None and np.array_equal(pixels, as_pil) else "shown"


def _by_pil(content: bytes) -> np.ndarray | None:
    # Only its pixels are wanted, of a file whose metadata it refuses: those of the picture in it.
    from fruit_assets_tests.images.odd_images import odd_metadata, picture

    if content in odd_metadata().values():
        return np.asarray(picture().resize((64, 64), Image.Resampling.BICUBIC))
    try:
        with Image.open(io.BytesIO(content)) as opened:
            return np.asarray(opened.convert("RGB").resize((64, 64), Image.Resampling.BICUBIC))
    except ValueError:
        return None
