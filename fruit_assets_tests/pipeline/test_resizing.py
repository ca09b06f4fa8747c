"""Tests of resizing: exactly PIL's pixels, whatever the size."""

import numpy as np
import pytest
from PIL import Image

from fruit_assets.pipeline import resizing
from fruit_assets.pipeline.resizing import resize

_SIZES = [96, 160, 224]
_KINDS = {"noise": list(range(256)), "black and white": [0, 255], "nearly grey": [127, 128]}


def _image(height: int, width: int, levels: list[int]) -> Image.Image:
    """Noise; of black and white alone the filter overshoots everywhere."""
    return Image.fromarray(np.random.default_rng(height).choice(np.array(levels, np.uint8), (height, width, 3)))


def _by_pil(image: Image.Image, size: int) -> np.ndarray:
    return np.asarray(image.resize((size, size), Image.Resampling.BICUBIC))


@pytest.mark.parametrize("size", _SIZES)
@pytest.mark.parametrize("kind", _KINDS)
def test_an_image_of_any_height_has_the_pixels_of_pil(size, kind):
    for height in range(1, size):
        image = _image(height, (3 * height) % size + 1, _KINDS[kind])
        assert np.array_equal(resize(image, size), _by_pil(image, size)), height


@pytest.mark.parametrize("size", _SIZES)
def test_photographs_have_the_pixels_of_pil(size, collection):
    for file in sorted(collection.images.rglob("*.jpg"))[:100]:
        image = Image.open(file).convert("RGB")
        assert np.array_equal(resize(image, size), _by_pil(image, size)), file


@pytest.mark.parametrize(("height", "width"), [(223, 100), (224, 100), (225, 30), (900, 60), (60, 900), (500, 400)])
def test_what_grows_in_height_is_a_product_and_pil_does_the_rest(height, width, monkeypatch):
    made: list[tuple[int, int]] = []
    bands = resizing._bands
    monkeypatch.setattr(
        resizing, "_bands", lambda source, target: made.append((source, target)) or bands(source, target)
    )
    image = _image(height, width, _KINDS["noise"])
    assert np.array_equal(resize(image, 224), _by_pil(image, 224))
    assert made == ([(height, 224)] if height < 224 else [])


def test_the_pixels_are_written_where_they_are_wanted():
    batch = np.full((3, 96, 96, 3), 7, np.uint8)
    image = _image(50, 50, _KINDS["noise"])
    assert resize(image, 96, into=batch[1]).base is batch
    assert np.array_equal(batch[1], resize(image, 96))
    assert (batch[[0, 2]] == 7).all()
