"""Colour images of 16 bits a sample that hold values of 12 or 8 bits.

Put here what PIL cannot do with them: it keeps the upper byte of every sample, which of such values is next to nothing.
Grey images of more than 8 bits belong in `sample_values.py`.
"""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fruit_assets.images.pixels.sample_values import SampleFormat, black_and_white, eight_bits, without_outliers

if TYPE_CHECKING:
    from PIL import Image

_SIXTEEN_BITS = re.compile(r"^RGB[AX]?;16[BLN]$")
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
    import numpy as np
    from PIL import Image

    names = [_raw_mode(tile) for tile in image.tile]  # type: ignore[attr-defined]
    if not names or not all(_SIXTEEN_BITS.match(name) for name in names):
        return None
    image.load()
    if _brightest(image) >= _TWELVE_BITS:
        return None
    with reopen() as again:
        again.tile = [_swapped(tile) for tile in again.tile]  # type: ignore[attr-defined]
        again.load()
        upper, lower = (np.asarray(half)[..., :3].astype(np.uint16) for half in (image, again))
    values = upper << 8 | lower
    low, high = without_outliers(values.reshape(-1).astype(np.float64))
    black, white = black_and_white(low, high, SampleFormat(bits=16, brightest=form.brightest))
    return Image.fromarray(eight_bits(values, black, white))


def _brightest(image: "Image.Image") -> int:
    """The greatest upper byte, but for one sample in a thousand."""
    import numpy as np

    counts = np.array(image.histogram()[: 3 * 256]).reshape(3, 256).sum(axis=0)
    beyond = counts[::-1].cumsum()[::-1]
    return int(np.flatnonzero(beyond > counts.sum() // 1000)[-1])


def _raw_mode(tile: Any) -> str:
    return str(tile[3] if isinstance(tile[3], str) else tile[3][0])


def _swapped(tile: Any) -> Any:
    """The tile, decoded in the other byte order: PIL then keeps the lower bytes."""
    name = _raw_mode(tile)
    other = name[:-1] + _SWAPPED[name[-1]]
    return tile._replace(args=other if isinstance(tile[3], str) else (other, *tile[3][1:]))
