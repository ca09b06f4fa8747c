"""PIL's bicubic resize, with less of its time where it enlarges.

Put here how the pixels of an image become as many as the network wants. To enlarge, PIL goes along the rows and then
along the columns of what that gave, one number at a time; both are products of matrices here. What an image is and
what is wrong with it belongs in `decoding.py`.
"""

from collections.abc import Iterator
from functools import lru_cache
from threading import local
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

# Pixels of the result in one product, along the direction it is about. More of them have fewer source pixels in common,
# fewer are more calls.
_BAND = 16
_COLOURS = 3
# PIL's bicubic filter: Keys' with a = -0.5 (R. Keys, "Cubic convolution interpolation for digital image processing",
# IEEE Transactions on Acoustics, Speech, and Signal Processing, 1981).
_KEYS_A = -0.5
_SUPPORT = 2.0
# PIL rounds the filter's weights to this fraction, and adds them up as integers.
_FRACTION = 2.0**-22
# Memory that is found anew for every image costs as much as the products.
_scratch = local()


class _Band(NamedTuple):
    """Some rows (or columns) of the result as sums of some of the source.

    Attributes:
        target: of the result, at most `_BAND` pixels.
        source: those of the source that they are made of.
        weights: (target, source) for rows, (source, target) for columns, which have three colours a pixel; float64.
    """

    target: slice
    source: slice
    weights: "np.ndarray"


def resize(image: "Image.Image | np.ndarray", size: int, into: "np.ndarray | None" = None) -> "np.ndarray":
    """Resize to exactly the pixels of PIL's `Image.resize` with `BICUBIC`.

    Args:
        image: PIL's, in mode RGB, or a uint8 array (height, width, 3). Neither becomes the other without need: a
            large picture takes longer to copy than to shrink.
        size: height and width of the result in pixels.
        into: uint8 array (size, size, 3) to write to; a new one when None.

    Returns:
        uint8 array of shape (size, size, 3).
    """
    import numpy as np

    pixels = np.empty((size, size, _COLOURS), np.uint8) if into is None else into
    height, width = image.shape[:2] if isinstance(image, np.ndarray) else (image.height, image.width)
    # To shrink, the columns are the smaller part of the work, and some versions of PIL do them first.
    if height >= size:
        pixels[:] = _by_pil(image, size, size)
        return pixels
    work = _workspace(size)
    rows = work.rows[:height]
    if width >= size:
        rows[:] = _by_pil(image, size, height).reshape(rows.shape)
    else:
        _widen(np.asarray(image), size, rows)
    # Exact in every order: all of it are multiples of the fraction, of at most 34 bits.
    for target, source, weights in _row_bands(height, size):
        np.matmul(weights, rows[source], out=work.sums[target])
    # Rounded as PIL does it: what follows the point is cut off. Small integers are the fastest to clip.
    np.add(work.sums, 0.5, out=work.sums)
    np.copyto(work.levels, work.sums, casting="unsafe")
    np.clip(work.levels, 0, 255, out=work.levels)
    np.copyto(pixels, work.levels.reshape(pixels.shape), casting="unsafe")
    return pixels


def _widen(image: "np.ndarray", size: int, rows: "np.ndarray") -> None:
    """Enlarge the width alone, into float64 rows (height, 3 size) of whole numbers."""
    import numpy as np

    height, width, _ = image.shape
    source_rows = image.reshape(height, _COLOURS * width).astype(np.float64)
    for target, source, weights in _column_bands(width, size):
        np.matmul(source_rows[:, source], weights, out=rows[:, target])
    np.add(rows, 0.5, out=rows)
    np.floor(rows, out=rows)
    np.clip(rows, 0.0, 255.0, out=rows)


def _by_pil(image: "Image.Image | np.ndarray", width: int, height: int) -> "np.ndarray":
    import numpy as np
    from PIL import Image

    whole = Image.fromarray(image) if isinstance(image, np.ndarray) else image
    return np.asarray(whole.resize((width, height), Image.Resampling.BICUBIC))


class _Workspace(NamedTuple):
    """Arrays to calculate in.

    Attributes:
        rows: (size, 3 size), the first of them those of the image with the width wanted; float64.
        sums: (size, 3 size) of the result, before it is rounded; float64.
        levels: the same, rounded; int16.
    """

    rows: "np.ndarray"
    sums: "np.ndarray"
    levels: "np.ndarray"


def _workspace(size: int) -> _Workspace:
    """This thread's, for images of any height below the size."""
    import numpy as np

    kept: _Workspace | None = getattr(_scratch, "workspace", None)
    if kept is None or len(kept.sums) != size:
        shape = size, _COLOURS * size
        kept = _scratch.workspace = _Workspace(np.empty(shape), np.empty(shape), np.empty(shape, np.int16))
    return kept


@lru_cache(maxsize=64)  # heights that a collection has, 50 KB each
def _row_bands(height: int, size: int) -> tuple[_Band, ...]:
    return tuple(_bands(_weights(height, size)))


@lru_cache(maxsize=64)  # widths, 200 KB each
def _column_bands(width: int, size: int) -> tuple[_Band, ...]:
    import numpy as np

    every_colour = np.eye(_COLOURS)
    return tuple(
        _Band(_of_all_colours(target), _of_all_colours(source), np.ascontiguousarray(np.kron(weights.T, every_colour)))
        for target, source, weights in _bands(_weights(width, size))
    )


def _bands(weights: "np.ndarray") -> Iterator[_Band]:
    import numpy as np

    for start in range(0, len(weights), _BAND):
        target = slice(start, min(start + _BAND, len(weights)))
        used = np.flatnonzero(weights[target].any(axis=0))
        source = slice(int(used[0]), int(used[-1]) + 1)
        yield _Band(target, source, np.ascontiguousarray(weights[target, source]))


def _of_all_colours(pixels: slice) -> slice:
    return slice(_COLOURS * pixels.start, _COLOURS * pixels.stop)


def _weights(source: int, target: int) -> "np.ndarray":
    """(target, source) what every pixel of an enlarged row or column takes of the source's; float64.

    At the edges the filter sees fewer pixels, and these get the more.
    """
    import numpy as np

    centres = (np.arange(target) + 0.5) * (source / target)
    distances = np.abs(np.arange(source) + 0.5 - centres[:, None])
    near = ((_KEYS_A + 2) * distances - (_KEYS_A + 3)) * distances**2 + 1
    far = (((distances - 5) * distances + 8) * distances - 4) * _KEYS_A
    weights = np.where(distances < 1, near, np.where(distances < _SUPPORT, far, 0.0))
    weights /= weights.sum(axis=1, keepdims=True)
    # To the nearest, halves away from zero.
    rounded: np.ndarray = np.trunc(weights / _FRACTION + np.copysign(0.5, weights)) * _FRACTION
    return rounded
