"""Tests of resizing: exactly PIL's pixels, whatever the size."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from fruit_assets.images.pixels import resizing
from fruit_assets.images.pixels.resizing import resize

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
        assert np.array_equal(resize(np.asarray(image), size), _by_pil(image, size)), height


@pytest.mark.parametrize("size", _SIZES)
def test_photographs_have_the_pixels_of_pil(size, collection):
    for file in sorted(collection.images.rglob("*.jpg"))[:100]:
        image = Image.open(file).convert("RGB")
        assert np.array_equal(resize(np.asarray(image), size), _by_pil(image, size)), file


@pytest.mark.parametrize(
    ("height", "width"),
    [(223, 100), (100, 223), (100, 224), (224, 100), (225, 30), (900, 60), (60, 900), (500, 400), (1, 1)],
)
def test_what_grows_is_a_product_and_pil_does_the_rest(height, width, monkeypatch):
    made: list[tuple[str, int, int]] = []
    for name in ("_row_bands", "_column_bands"):
        bands = getattr(resizing, name)

        def reported(source, target, name=name, bands=bands):
            made.append((name, source, target))
            return bands(source, target)

        monkeypatch.setattr(resizing, name, reported)
    image = _image(height, width, _KINDS["noise"])
    assert np.array_equal(resize(np.asarray(image), 224), _by_pil(image, 224))
    assert np.array_equal(resize(image, 224), _by_pil(image, 224))
    columns = [("_column_bands", width, 224)] if max(height, width) < 224 else []
    # Once for the array, once for the picture that PIL had opened.
    assert made == 2 * (columns + ([("_row_bands", height, 224)] if height < 224 else []))


def test_the_pixels_are_written_where_they_are_wanted():
    batch = np.full((3, 96, 96, 3), 7, np.uint8)
    image = np.asarray(_image(50, 50, _KINDS["noise"]))
    assert resize(image, 96, into=batch[1]).base is batch
    assert np.array_equal(batch[1], resize(image, 96))
    assert (batch[[0, 2]] == 7).all()


def test_threads_and_sizes_do_not_get_into_each_others_way():
    images = [(_image(height, 30 + height, _KINDS["noise"]), size) for height in range(10, 90) for size in (224, 96)]

    def differs(item: tuple[Image.Image, int]) -> bool:
        return not np.array_equal(resize(np.asarray(item[0]), item[1]), _by_pil(*item))

    with ThreadPoolExecutor(8) as pool:
        assert not any(pool.map(differs, images * 3))


def test_an_image_that_lies_in_memory_otherwise_has_the_same_pixels():
    image = np.asarray(_image(50, 80, _KINDS["noise"]))
    assert np.array_equal(resize(np.asfortranarray(image), 96), resize(image, 96))
    assert np.array_equal(resize(np.repeat(image, 2, axis=1)[:, ::2], 96), resize(image, 96))
