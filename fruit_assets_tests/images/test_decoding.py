"""Tests of decoding: the pixels Keras would give, or a reason why there are none."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fruit_assets.images.decoding import UnreadableImage, decode
from fruit_assets_tests.images import odd_images

_SAME, _BROKEN = odd_images.same_as_keras(), odd_images.broken()


@pytest.mark.parametrize("name", _SAME)
def test_an_odd_image_has_the_pixels_that_keras_gives(name, tmp_path):
    import keras

    (tmp_path / name).write_bytes(_SAME[name])
    reference = keras.utils.load_img(tmp_path / name, target_size=(224, 224), interpolation="bicubic")
    pixels = decode(_SAME[name], 224)
    assert (pixels.shape, pixels.dtype) == ((224, 224, 3), np.uint8)
    assert np.array_equal(pixels, np.asarray(reference))


@pytest.mark.parametrize("name", ["grey16.png", "grey16.tif"])
def test_sixteen_bits_are_scaled_to_eight_instead_of_clipped_to_white(name):
    pixels = decode(odd_images.sixteen_bit()[name], 64)
    expected = np.round(odd_images.ramp_16_bit() / 257)
    assert np.abs(pixels[..., 0] - expected).max() <= 1
    assert (pixels[..., 0] == pixels[..., 2]).all()


def test_a_dark_image_of_sixteen_bits_stays_dark():
    assert decode(odd_images.sixteen_bit()["dark16.png"], 64).max() == 0


@pytest.mark.parametrize("name", _BROKEN)
def test_a_file_that_is_no_usable_image_is_rejected_with_a_reason(name):
    content, reason = _BROKEN[name]
    with pytest.raises(UnreadableImage) as caught:
        decode(content, 224)
    assert reason in str(caught.value)
    assert len(str(caught.value)) <= 220


def test_an_image_without_bytes_is_rejected_as_one_that_could_not_be_read():
    with pytest.raises(UnreadableImage, match="could not be read: vanished, not permitted"):
        decode(None, 224)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(_SAME)), st.data())
def test_whatever_happened_to_the_bytes_the_worker_survives(name, data):
    content = bytearray(_SAME[name])
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(content)))
    try:
        shape = decode(bytes(content[:cut]), 32).shape
    except UnreadableImage:
        shape = None
    assert shape in (None, (32, 32, 3))


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 300), st.integers(1, 300), st.sampled_from([96, 160, 224]), st.sampled_from(["RGB", "L"]))
def test_every_size_is_resized_as_pil_does_it(width, height, size, mode):
    image = Image.effect_noise((width, height), 80).convert(mode)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    expected = image.convert("RGB").resize((size, size), Image.Resampling.BICUBIC)
    assert np.array_equal(decode(buffer.getvalue(), size), np.asarray(expected))


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 90),
    st.integers(1, 90),
    st.integers(1, 100),
    st.sampled_from(["4:4:4", "4:2:2", "4:2:0"]),
    st.booleans(),
    st.sampled_from(["RGB", "L", "CMYK"]),
)
def test_a_jpeg_of_any_making_has_the_pixels_that_pil_gives(width, height, quality, subsampling, progressive, mode):
    noise = np.random.default_rng(width).integers(0, 255, (height, width, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    image = Image.fromarray(noise).convert(mode)
    image.save(buffer, "JPEG", quality=quality, subsampling=subsampling, progressive=progressive)
    expected = Image.open(buffer).convert("RGB").resize((96, 96), Image.Resampling.BICUBIC)
    assert np.array_equal(decode(buffer.getvalue(), 96), np.asarray(expected))


def test_the_fast_way_is_taken_for_photographs_and_left_for_everything_else(collection):
    from fruit_assets.images.decoding import _plain_jpeg

    photograph = next(collection.images.rglob("*.jpg")).read_bytes()
    assert _plain_jpeg(photograph, 10**6) is not None
    assert _plain_jpeg(photograph[: len(photograph) // 2], 10**6) is None
    assert [
        name
        for name, content in _SAME.items()
        if not name.lower().endswith((".jpg", ".jpeg")) and _plain_jpeg(content, 10**6)
    ] == []
