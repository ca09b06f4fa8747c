"""PIL's bicubic resize, with less of its time where it enlarges.

Put here how the pixels of an image become as many as the network wants. To enlarge, PIL goes along the rows and then
along the columns of what that gave, one number at a time; the second half, two thirds of its work, is a product of
matrices here. What an image is and what is wrong with it belongs in `decoding.py`.
"""

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

# Rows of one product. More of them have fewer source rows in common, fewer are more calls.
_BAND_ROWS = 16
# PIL's bicubic filter: Keys' with a = -0.5 (R. Keys, "Cubic convolution interpolation for digital image processing",
# IEEE Transactions on Acoustics, Speech, and Signal Processing, 1981).
_KEYS_A = -0.5
_SUPPORT = 2.0
# PIL rounds the filter's weights to this fraction, and adds them up as integers.
_FRACTION = 2.0**-22


class _Band(NamedTuple):
    """Some rows of the result as sums of rows of the source.

    Attributes:
        target: rows of the result, at most `_BAND_ROWS`.
        source: the rows of the source that they are made of.
        weights: (target rows, source rows), float64.
    """

    target: slice
    source: slice
    weights: "np.ndarray"


def resize(image: "Image.Image", size: int, into: "np.ndarray | None" = None) -> "np.ndarray":
    """Resize to exactly the pixels of PIL's `Image.resize` with `BICUBIC`.

    Args:
        image: in mode RGB.
        size: height and width of the result in pixels.
        into: uint8 array (size, size, 3) to write to; a new one when None.

    Returns:
        uint8 array of shape (size, size, 3).
    """
    import numpy as np
    from PIL import Image

    pixels = np.empty((size, size, 3), np.uint8) if into is None else into
    height = image.height
    # To shrink, the columns are the smaller part of the work, and some versions of PIL do them first.
    if height >= size:
        pixels[:] = np.asarray(image.resize((size, size), Image.Resampling.BICUBIC))
        return pixels
    rows = np.asarray(image.resize((size, height), Image.Resampling.BICUBIC))
    rows = rows.reshape(height, size * 3).astype(np.float64)
    sums = np.empty((size, size * 3))
    # Exact in every order: all of it are multiples of the fraction, of at most 34 bits.
    for target, source, weights in _bands(height, size):
        np.matmul(weights, rows[source], out=sums[target])
    # Rounded as PIL does it: what follows the point is cut off. Small integers are the fastest to clip.
    sums += 0.5
    levels = sums.astype(np.int16)
    np.clip(levels, 0, 255, out=levels)
    np.copyto(pixels, levels.reshape(pixels.shape), casting="unsafe")
    return pixels


@lru_cache(maxsize=64)  # heights that a collection has, 50 KB each
def _bands(source_rows: int, target_rows: int) -> tuple[_Band, ...]:
    import numpy as np

    weights = _weights(source_rows, target_rows)
    bands = []
    for start in range(0, target_rows, _BAND_ROWS):
        target = slice(start, min(start + _BAND_ROWS, target_rows))
        used = np.flatnonzero(weights[target].any(axis=0))
        source = slice(int(used[0]), int(used[-1]) + 1)
        bands.append(_Band(target, source, np.ascontiguousarray(weights[target, source])))
    return tuple(bands)


def _weights(source_rows: int, target_rows: int) -> "np.ndarray":
    """(target rows, source rows) what every row of an enlarged image takes of the source's; float64.

    At the edges the filter sees fewer rows, and these get the more.
    """
    import numpy as np

    centres = (np.arange(target_rows) + 0.5) * (source_rows / target_rows)
    distances = np.abs(np.arange(source_rows) + 0.5 - centres[:, None])
    near = ((_KEYS_A + 2) * distances - (_KEYS_A + 3)) * distances**2 + 1
    far = (((distances - 5) * distances + 8) * distances - 4) * _KEYS_A
    weights = np.where(distances < 1, near, np.where(distances < _SUPPORT, far, 0.0))
    weights /= weights.sum(axis=1, keepdims=True)
    # To the nearest, halves away from zero.
    rounded: np.ndarray = np.trunc(weights / _FRACTION + np.copysign(0.5, weights)) * _FRACTION
    return rounded
