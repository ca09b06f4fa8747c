"""From samples of more than 8 bits, signed or floating-point, to 8-bit levels.

Put here which value of an image is black and which is white. Reading the samples belongs in `decoding.py`.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

# Samples converted at a time: more than 8 bytes each, so an image is never converted to float64 as a whole.
_AT_A_TIME = 1 << 20
# One sample in so many may be an outlier: a hot pixel, an overshoot of a filter, a marker for missing values.
_OUTLIERS = 1000
# Fewer samples than this have no outliers.
_FEWEST = 100
# What filters add beyond white; unsigned 16-bit samples are taken as they are.
_OVERSHOOT = 1.25
_EIGHT_BITS, _TWELVE_BITS, _FIFTEEN_BITS, _SIXTEEN_BITS = 255.0, 4095.0, 32767.0, 65535.0
# A declared 16-bit image that is darker than this is dark, not one of 8 bits.
_HALF_OF_EIGHT_BITS = 128
# Linear light beyond 1, in which the brightest value is white; 8-bit values that are no brighter would be black.
_MOST_LINEAR = 16.0


@dataclass(frozen=True)
class SampleFormat:
    """The sample format that a file states.

    Attributes:
        floating: floating-point numbers.
        signed: integers that may be negative.
        bits: of a sample; None where the file does not say.
        brightest: the value that the file calls its greatest (TIFF tag 281); None where it does not say.
        white_is_zero: the smallest value is white.
    """

    floating: bool = False
    signed: bool = False
    bits: int | None = None
    brightest: float | None = None
    white_is_zero: bool = False


def eight_bit_levels(image: "Image.Image", form: SampleFormat) -> "Image.Image":
    """The image in mode L, from one in mode I;16, I or F.

    Black and white follow from the stated sample format and from the finite values without the one in a
    thousand at either end: 8, 12 or 16 bits, floats in [0, 1], or the values from darkest to brightest when
    nothing usual fits. What lies beyond is clipped, NaN is black.
    """
    import numpy as np
    from PIL import Image

    black, white = black_and_white(*without_outliers(_some_samples(image, form)), form)
    levels = np.empty((image.height, image.width), np.uint8)
    for rows in row_bands(image):
        levels[rows] = eight_bits(_samples(image, rows, form), black, white)
    if form.white_is_zero:
        np.subtract(255, levels, out=levels)
    return Image.fromarray(levels)


def row_bands(image: "Image.Image") -> list[slice]:
    """Rows of about a million pixels each, from the top."""
    rows = max(1, _AT_A_TIME // image.width)
    return [slice(top, min(top + rows, image.height)) for top in range(0, image.height, rows)]


def sample_step(image: "Image.Image") -> int:
    """Of so many pixels one is looked at for black and white: a million at most."""
    return max(1, image.width * image.height // _AT_A_TIME)


def _samples(image: "Image.Image", rows: slice, form: SampleFormat) -> "np.ndarray":
    import numpy as np

    values = np.asarray(image.crop((0, rows.start, image.width, rows.stop)))
    # PIL keeps unsigned 32-bit samples as signed ones.
    return values.view(np.uint32) if image.mode == "I" and form.bits == 32 and not form.signed else values


def _some_samples(image: "Image.Image", form: SampleFormat) -> "np.ndarray":
    """A million finite samples at most, from all over the image; float64."""
    import numpy as np

    step = sample_step(image)
    parts = [_samples(image, rows, form).reshape(-1)[::step].astype(np.float64) for rows in row_bands(image)]
    samples = np.concatenate(parts)
    return samples[np.isfinite(samples)]


def without_outliers(samples: "np.ndarray") -> tuple[float, float]:
    """The least and the greatest value, without outliers."""
    import numpy as np

    if not samples.size:
        return 0.0, 0.0
    ignored = samples.size // _OUTLIERS + 1 if samples.size >= _FEWEST else 0
    ordered = np.partition(samples, [ignored, samples.size - 1 - ignored])
    low, high = float(ordered[ignored]), float(ordered[-1 - ignored])
    # Something tiny on black is no outlier.
    return (low, high) if low or high else (float(samples.min()), float(samples.max()))


def black_and_white(low: float, high: float, form: SampleFormat) -> tuple[float, float]:
    """Which values are black and white, of the least and the greatest value without outliers."""
    if form.brightest is not None and form.brightest >= high > 0:
        return 0.0, form.brightest
    if form.bits == 12:
        return 0.0, _TWELVE_BITS
    whole_range = form.bits == 16 and not form.floating
    if whole_range and not form.signed:
        depths = (_EIGHT_BITS, _TWELVE_BITS, _SIXTEEN_BITS)
        usual = next(depth for depth in depths if high <= depth)
        return 0.0, usual if high >= _HALF_OF_EIGHT_BITS else _SIXTEEN_BITS
    white = _usual_white(high, _FIFTEEN_BITS if whole_range else _SIXTEEN_BITS, floating=form.floating)
    if low >= -(_OVERSHOOT - 1) * white:
        return 0.0, white
    reach = max(-low, high)
    reach = 1.0 if form.floating and reach <= _OVERSHOOT else reach
    return -reach, reach


def _usual_white(high: float, deepest: float, *, floating: bool) -> float:
    if floating and high < _MOST_LINEAR:
        return 1.0 if high <= _OVERSHOOT else high
    return next((depth for depth in (_EIGHT_BITS, _TWELVE_BITS, deepest) if high <= depth * _OVERSHOOT), high)


def eight_bits(samples: "np.ndarray", black: float, white: float) -> "np.ndarray":
    """Samples as levels from 0 at black to 255 at white; uint8."""
    import numpy as np

    if (black, white) == (0.0, _SIXTEEN_BITS) and samples.dtype.kind == "u" and samples.itemsize == 2:
        return (samples // 257).astype(np.uint8)
    values = np.nan_to_num(samples.astype(np.float64), nan=black, posinf=white, neginf=black)
    values = (values.clip(black, white) - black) * (255.0 / (white - black))
    # PIL cuts off what follows the point of values in [0, 255].
    whole = values if (black, white) == (0.0, _EIGHT_BITS) else np.round(values)
    levels: np.ndarray = whole.astype(np.uint8)
    return levels
