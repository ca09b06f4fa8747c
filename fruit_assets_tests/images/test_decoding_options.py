"""Tests of the options of decoding: orientation, background, truncated JPEGs, the limit of pixels."""

import io

import numpy as np
import pytest
from PIL import Image, ImageOps

from fruit_assets.images import decoding
from fruit_assets.images.decoding import UnreadableImage, decode
from fruit_assets.images.pixels.decoding_options import DecodingOptions, Traits
from fruit_assets_tests.images.odd_images import encoded, picture, png_that_claims, same_as_keras

_BICUBIC = Image.Resampling.BICUBIC


def _held(orientation: int, kind: str, mode: str = "RGB", **options: object) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(picture().convert(mode), kind, exif=exif.tobytes(), **options)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(("kind", "mode"), [("JPEG", "RGB"), ("JPEG", "L"), ("PNG", "RGB"), ("WEBP", "RGB")])
def test_a_photograph_is_turned_upright_when_wanted_and_counted_in_any_case(orientation, kind, mode):
    content = _held(orientation, kind, mode)
    with Image.open(io.BytesIO(content)) as opened:
        as_it_is = opened.convert("RGB").resize((96, 96), _BICUBIC)
        upright = ImageOps.exif_transpose(opened).convert("RGB").resize((96, 96), _BICUBIC)
    for wanted, expected in ((False, as_it_is), (True, upright)):
        traits = Traits()
        pixels = decode(content, 96, options=DecodingOptions(apply_exif_orientation=wanted), traits=traits)
        assert np.array_equal(pixels, np.asarray(expected))
        assert traits == Traits(rotated=orientation > 1)


def test_a_large_photograph_is_turned_after_it_was_resized(monkeypatch):
    content = _held(6, "JPEG")
    monkeypatch.setattr(decoding, "_LARGE", 100)
    with Image.open(io.BytesIO(content)) as opened:
        expected = opened.resize((96, 96), _BICUBIC).transpose(Image.Transpose.ROTATE_270)
    pixels = decode(content, 96, options=DecodingOptions(apply_exif_orientation=True))
    assert np.array_equal(pixels, np.asarray(expected))


def test_an_orientation_that_cannot_be_read_is_upright():
    content = encoded(picture(), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x02nonsense")
    traits = Traits()
    decode(content, 96, options=DecodingOptions(apply_exif_orientation=True), traits=traits)
    assert not traits.rotated


def _cut_out(kind: str) -> bytes:
    """A red disc that is half opaque, on nothing; the file has black there."""
    y, x = np.mgrid[-40:40, -40:40]
    disc = (x**2 + y**2 < 900).astype(np.uint8)
    red = Image.fromarray(np.stack([disc * 250, disc * 0, disc * 0, disc * 128], axis=-1))
    if kind == "palette":
        return encoded(red.quantize(16), "PNG")
    if kind == "grey":
        return encoded(red.convert("LA"), "PNG")
    return encoded(red, kind, **({"lossless": True, "exact": True} if kind == "WEBP" else {}))


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP", "palette", "grey"])
@pytest.mark.parametrize(("background", "level"), [("white", 255), ("#204060", 0x40)])
def test_transparent_pixels_have_the_background_that_was_chosen(kind, background, level):
    traits = Traits()
    content = _cut_out(kind)
    pixels = decode(content, 80, options=DecodingOptions(background=background), traits=traits)
    with Image.open(io.BytesIO(content)) as opened:
        rgba = opened.convert("RGBA")
    expected = Image.alpha_composite(Image.new("RGBA", rgba.size, background), rgba).convert("RGB")
    assert np.array_equal(pixels, np.asarray(expected))
    assert pixels[0, 0, 1] == level
    assert traits.transparent
    # As it comes, what the file has there.
    assert decode(content, 80)[0, 0].max() <= 2


def test_an_opaque_image_with_an_alpha_channel_is_not_counted_as_transparent():
    traits = Traits()
    content = encoded(picture().convert("RGBA"), "PNG")
    opaque = decode(content, 96, options=DecodingOptions(background="white"), traits=traits)
    assert np.array_equal(opaque, decode(content, 96))
    assert not traits.transparent


def test_a_jpeg_that_lacks_only_its_end_is_used_when_wanted_and_counted():
    whole = encoded(picture(), "JPEG", quality=95)
    cut, options, traits = whole[: int(len(whole) * 0.95)], DecodingOptions(tolerate_truncated=True), Traits()
    pixels = decode(cut, 96, options=options, traits=traits)
    assert traits == Traits(truncated=True)
    assert np.array_equal(pixels[:80], decode(whole, 96)[:80])
    with pytest.raises(UnreadableImage, match="truncated JPEG image: its end is missing"):
        decode(cut, 96)
    with pytest.raises(UnreadableImage, match=r"truncated JPEG image: \d+% of its rows are missing"):
        decode(whole[: len(whole) // 2], 96, options=options)


def test_a_jpeg_that_lacks_only_its_last_two_bytes_has_all_its_pixels():
    whole = encoded(picture(), "JPEG")
    assert np.array_equal(decode(whole[:-2], 96, options=DecodingOptions(tolerate_truncated=True)), decode(whole, 96))


def test_truncated_files_of_other_formats_stay_rejected():
    png = encoded(picture(), "PNG")
    with pytest.raises(UnreadableImage, match="truncated PNG image"):
        decode(png[: len(png) - 200], 96, options=DecodingOptions(tolerate_truncated=True))


@pytest.mark.parametrize(("limit", "is_read"), [(120 * 90, True), (120 * 90 - 1, False)])
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "GIF", "BMP"])
def test_the_limit_of_pixels_is_a_choice(kind, limit, is_read):
    content = encoded(picture(120, 90), kind)
    if is_read:
        decode(content, 96, options=DecodingOptions(max_pixels=limit))
    else:
        with pytest.raises(UnreadableImage, match=r"too many pixels: 120x90.*max_pixels allows 10,799"):
            decode(content, 96, options=DecodingOptions(max_pixels=limit))


def test_a_jpeg_beyond_the_limit_is_rejected_however_plain_it_is():
    with pytest.raises(UnreadableImage, match="too many pixels: 120x90"):
        decode(encoded(picture(120, 90), "JPEG"), 96, options=DecodingOptions(max_pixels=100))


def test_beyond_two_hundred_megapixels_nothing_is_decoded_unless_the_limit_is_raised():
    bomb = png_that_claims(15_000, 15_000)
    with pytest.raises(UnreadableImage, match="decompression bomb"):
        decode(bomb, 96)
    with pytest.raises(UnreadableImage, match="damaged PNG image"):
        decode(bomb, 96, options=DecodingOptions(max_pixels=300_000_000))


@pytest.mark.parametrize(
    "name", ["plain.jpg", "grey.jpg", "rgba.png", "palette.png", "la.png", "lzw.tiff", "animated.gif"]
)
def test_a_large_image_has_the_pixels_of_a_small_one(name, monkeypatch):
    content = same_as_keras()[name]
    expected = decode(content, 96)
    monkeypatch.setattr(decoding, "_LARGE", 100)
    assert np.array_equal(decode(content, 96), expected)


def test_a_very_large_jpeg_is_decoded_at_half_its_size_with_nearly_the_same_pixels(monkeypatch):
    content = encoded(picture(1200, 900), "JPEG", quality=92)
    expected = decode(content, 96).astype(int)
    monkeypatch.setattr(decoding, "_LARGE", 100)
    monkeypatch.setattr(decoding, "_LARGEST_WHOLE_JPEG", 500_000)
    differences = np.abs(decode(content, 96) - expected)
    assert 0 < differences.max() <= 4
    assert differences.mean() < 0.5


@pytest.mark.parametrize(
    "options",
    [
        DecodingOptions(),
        DecodingOptions(apply_exif_orientation=True),
        DecodingOptions(background="#204060", tolerate_truncated=True),
        DecodingOptions(True, "#ffffff", True),
    ],
)
def test_options_can_be_read_from_what_names_them(options):
    assert DecodingOptions.from_identity(options.identity) == options


def test_options_that_give_equal_pixels_have_the_same_name():
    assert DecodingOptions(background="white").identity == DecodingOptions(background="#FFF").identity != ""
    assert DecodingOptions().identity == DecodingOptions(max_pixels=5).identity == ""
