"""Large WebP files take another way from the decoder, to the same pixels and the same reasons."""

import io

import numpy as np
import pytest
from PIL import Image

from fruit_assets.images import decoding
from fruit_assets.images.decoding import DecodingOptions, Traits, UnreadableImage, decode
from fruit_assets_tests.images.odd_images import encoded, picture


def _with_transparency() -> Image.Image:
    image = picture(120, 90).convert("RGBA")
    image.putalpha(Image.fromarray(np.tile(np.arange(120, dtype=np.uint8) * 2, (90, 1))))
    return image


def _animation() -> bytes:
    buffer = io.BytesIO()
    frames = [picture(120, 90), picture(120, 90).transpose(Image.Transpose.ROTATE_180)]
    frames[0].save(buffer, "WEBP", save_all=True, append_images=frames[1:])
    return buffer.getvalue()


_FILES = {
    "opaque": encoded(picture(120, 90), "WEBP"),
    "lossless": encoded(picture(120, 90), "WEBP", lossless=True),
    "transparent": encoded(_with_transparency(), "WEBP", lossless=True),
    "animation": _animation(),
    "avif": encoded(picture(120, 90), "AVIF"),
}


@pytest.mark.parametrize("background", [None, "white"])
@pytest.mark.parametrize("kind", _FILES)
def test_a_large_image_has_the_pixels_and_traits_of_a_small_one(monkeypatch, kind, background):
    options = DecodingOptions(background=background)
    traits = Traits(), Traits()
    usual = decode(_FILES[kind], 64, options=options, traits=traits[0])
    monkeypatch.setattr(decoding, "_LARGE", 0)
    large = decode(_FILES[kind], 64, options=options, traits=traits[1])
    assert np.array_equal(usual, large)
    assert traits[0] == traits[1]
    assert traits[1].transparent == (kind == "transparent")


@pytest.mark.parametrize("kind", ["lossless", "transparent"])
def test_a_large_image_that_lacks_its_end_or_is_damaged_is_rejected_with_the_usual_reason(monkeypatch, kind):
    content = _FILES[kind]
    damaged = content[:60] + bytes(len(content) - 60)
    reasons = []
    for large in (1 << 24, 0):
        monkeypatch.setattr(decoding, "_LARGE", large)
        for broken in (content[: len(content) // 2], damaged):
            with pytest.raises(UnreadableImage) as caught:
                decode(broken, 64)
            reasons.append(str(caught.value))
    assert reasons[:2] == reasons[2:]
