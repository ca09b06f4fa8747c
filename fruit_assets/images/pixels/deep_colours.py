"""Colour images of 16 bits a sample that hold values of 12 or 8 bits.

Put here what PIL cannot do with them: it keeps the upper byte of every sample, which of such values is next to nothing.
Grey images of more than 8 bits belong in `sample_values.py`.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fruit_assets.images.pixels.opening import has_deep_colours, raw_mode
from fruit_assets.images.pixels.sample_values import (
    SampleFormat,
    black_and_white,
    eight_bits,
    row_bands,
    sample_step,
    without_outliers,
)

if TYPE_CHECKING:
    from PIL import Image

# PIL's names of the byte orders, each with that of the other order; N is the machine's own.
_SWAPPED = {"B": "L", "L": "B", "N": "B"}
# Upper bytes of values below 4096 are smaller.
_TWELVE_BITS = 16


def deep_colours(image: "Image.Image", reopen: "Callable[[], Image.Image]", form: SampleFormat) -> Any:
    """The image in mode RGB, with its values scaled to 8 bits; None when the upper bytes are what it shows.

    Args:
        image: opened and not loaded yet; it is loaded here.
        reopen: opens the same file again.
        form: the sample format that the file states.
    """
    if not has_deep_colours(image):
        return None
    image.load()
    if _brightest(image) >= _TWELVE_BITS:
        return None
    with reopen() as again:
        again.tile = [_swapped(tile) for tile in again.tile]  # type: ignore[attr-defined]
        again.load()
        return _scaled(image, again, form)


def _scaled(upper: "Image.Image", lower: "Image.Image", form: SampleFormat) -> "Image.Image":
    """The image in 8 bits, from one of the upper bytes, which is overwritten, and one of the lower bytes."""
    import numpy as np
    from PIL import Image

    def values(rows: slice) -> np.ndarray:
        box = 0, rows.start, upper.width, rows.stop
        of_both = (np.asarray(half.crop(box))[..., :3].astype(np.uint16) for half in (upper, lower))
        return next(of_both) << 8 | next(of_both)

    step = sample_step(upper)
    some = [values(rows).reshape(-1, 3)[::step].astype(np.float64) for rows in row_bands(upper)]
    low, high = without_outliers(np.concatenate(some).reshape(-1))
    black, white = black_and_white(low, high, SampleFormat(bits=16, brightest=form.brightest))
    whole = upper if upper.mode == "RGB" else Image.new("RGB", upper.size)
    for rows in row_bands(upper):
        whole.paste(Image.fromarray(eight_bits(values(rows), black, white)), (0, rows.start))
    return whole


def _brightest(image: "Image.Image") -> int:
    """The greatest upper byte, but for one sample in a thousand."""
    import numpy as np

    counts = np.array(image.histogram()[: 3 * 256]).reshape(3, 256).sum(axis=0)
    beyond = counts[::-1].cumsum()[::-1]
    return int(np.flatnonzero(beyond > counts.sum() // 1000)[-1])


def _swapped(tile: Any) -> Any:
    """The tile, decoded in the other byte order: PIL then keeps the lower bytes."""
    name = raw_mode(tile)
    other = name[:-1] + _SWAPPED[name[-1]]
    return tile._replace(args=other if isinstance(tile[3], str) else (other, *tile[3][1:]))
