"""From the modes that PIL opens images in to 8-bit colours.

Put here greyscale, palettes, CMYK and transparency. Values of more than 8 bits belong in `sample_values.py`.
"""

from typing import TYPE_CHECKING

from fruit_assets.images.pixels.decoding_options import Traits
from fruit_assets.images.pixels.opening import image_bands
from fruit_assets.images.pixels.sample_values import SampleFormat, eight_bit_levels

if TYPE_CHECKING:
    from PIL import Image


def eight_bit_colours(image: "Image.Image", form: SampleFormat, background: str | None, seen: Traits) -> "Image.Image":
    """The image in a mode that converts to RGB by leaving things out, of 8 bits."""
    from PIL import Image

    if image.mode.startswith("I") or image.mode == "F":
        return eight_bit_levels(image, form)
    if image.has_transparency_data:
        alphas = (_converted(band, "RGBA").getchannel("A") for band in image_bands(image))
        seen.transparent = any(sum(alpha.histogram()[:255]) for alpha in alphas)
    if seen.transparent and background is not None:
        return _on_background(image, background)
    if image.mode in ("L", "RGB", "RGBA", "RGBX"):
        return image
    whole = Image.new("RGB", image.size)
    top = 0
    for band in image_bands(image):
        # PIL gives the transparent pixels of a palette another colour unless they become RGBA before.
        palette = band.mode in ("P", "LA", "PA") and "transparency" in band.info
        through = "RGBA" if palette or band.mode == "La" else band.mode
        whole.paste(_converted(band, through).convert("RGB"), (0, top))
        top += band.height
    return whole


def _converted(image: "Image.Image", mode: str) -> "Image.Image":
    if image.mode == "La" != mode:
        image = image.convert("LA")
    return image if image.mode == mode else image.convert(mode)


def _on_background(image: "Image.Image", background: str) -> "Image.Image":
    from PIL import Image

    whole = Image.new("RGB", image.size, background)
    top = 0
    for band in image_bands(image):
        rgba = _converted(band, "RGBA")
        opaque = Image.alpha_composite(Image.new("RGBA", rgba.size, background), rgba)
        whole.paste(opaque.convert("RGB"), (0, top))
        top += band.height
    return whole
