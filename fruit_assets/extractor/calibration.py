"""The images an int8 model is calibrated on.

Put here which images they are and their pixels. What is done with them belongs in `quantization.py`. By
default they are rendered, so that the same extractor has the same int8 model on every collection.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fruit_assets.errors import InputError
from fruit_assets.images.fetching import read_few
from fruit_assets.images.listing import digest_of, list_images
from fruit_assets.images.sampling import SamplePlan, choose

if TYPE_CHECKING:
    import numpy as np

CALIBRATION_IMAGES = 300
# Fewer show too little of an activation's range.
_FEWEST = 16
_SEED = 0
# Bump when the same arguments give other renderings.
_RENDERING = "1"
_RENDERED = "rendered"


@dataclass(frozen=True)
class Calibration:
    """Which images.

    Attributes:
        source: `rendered`, or the folder or `s3://` prefix they come from.
        identity: equal for the same images.
        paths: below the source; empty when they are rendered.
    """

    source: str
    identity: str
    paths: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.source == _RENDERED:
            return f"{CALIBRATION_IMAGES} rendered images, seed {_SEED}"
        return f"{len(self.paths)} images of {self.source}"


def resolve_calibration(location: str | None) -> Calibration:
    """Make definite which images to calibrate on, without reading any.

    Args:
        location: a folder or `s3://` prefix laid out as an image collection; None renders them.

    Raises:
        InputError: the location cannot be listed, or holds too few images.
    """
    if location is None:
        return Calibration(_RENDERED, f"rendering {_RENDERING}, {CALIBRATION_IMAGES} images, seed {_SEED}")
    try:
        listing = list_images(location)
    except InputError as error:
        reason = str(error).split(". ")[0]
        raise InputError(
            f"calibration_images of feature_extractor is {location}: {reason}. Name a folder or s3:// prefix laid out "
            "<anything>/<label>/<file>.jpg, or leave it out to calibrate on rendered images."
        ) from error
    chosen = choose(listing.files, SamplePlan(fraction=min(1.0, CALIBRATION_IMAGES / listing.count), seed=_SEED))
    # Every class gave one at least: with many classes that is more than wanted.
    chosen = chosen.every(math.ceil(chosen.num_rows / CALIBRATION_IMAGES))
    if chosen.num_rows < _FEWEST:
        raise InputError(
            f"calibration_images of feature_extractor is {location}, which holds {chosen.num_rows} image(s): "
            f"name a place with {_FEWEST} or more, or leave it out to calibrate on rendered images."
        )
    return Calibration(
        listing.root,
        digest_of(chosen),
        tuple(path for (path,) in chosen.rows("select path from {table} order by rowid")),
    )


def calibration_pixels(calibration: Calibration, size: int) -> "np.ndarray":
    """The images as the extractor sees them: uint8 (n, size, size, 3); those that cannot be read are left out.

    Raises:
        InputError: hardly any can be read.
    """
    import numpy as np

    from fruit_assets.demo.collection import render_calibration_images
    from fruit_assets.images.decoding import UnreadableImage, decode

    rendered = calibration.source == _RENDERED
    contents = (
        render_calibration_images(CALIBRATION_IMAGES, _SEED)
        if rendered
        else read_few(calibration.source, list(calibration.paths))
    )
    pixels = []
    for content in contents:
        try:
            pixels.append(decode(content, size))
        except UnreadableImage:
            continue
    if len(pixels) < _FEWEST:
        raise InputError(
            f"Only {len(pixels)} of {calibration} can be read, and {_FEWEST} are needed. Name another place as "
            "calibration_images of feature_extractor, or leave it out to calibrate on rendered images."
        )
    return np.stack(pixels)
