"""Any number of images with distinct pixels, made from few photographs: cropped, mirrored and in other colours.

Put here how they are made. Sets whose images differ in bytes only are in `image_set.py`.
"""

import hashlib
import io
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

from fruit_assets_tests.benchmarks.image_set import Source
from fruit_assets_tests.benchmarks.machine import cores

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image

_PER_TASK = 2000
_DIGEST_BYTES = 16
_LEAST_CROP = 0.8
# Factor and offset of each colour: a photograph under another lamp.
_FACTORS, _OFFSETS = (0.8, 1.2), (-16.0, 16.0)
# A photograph of 100 pixels takes 2 to 4 kB: one block of the disk.
_QUALITY = 75


def make_perturbed_images(origin: Source, count: int, folder: Path, seed: int = 0) -> int:
    """Write `count` images with distinct pixels, laid out as the collection is; the same for the same seed.

    Returns:
        How many of them have pixels, as they are decoded again, that no other one has.
    """
    files = origin.files()
    for label in {file.relative_to(origin.collection).parent for file in files}:
        (folder / label).mkdir(parents=True, exist_ok=True)
    starts = range(0, count, _PER_TASK)
    digests: set[bytes] = set()
    # A process with threads, such as one that runs Spark, must not be forked.
    with ProcessPoolExecutor(cores(), get_context("spawn")) as pool:
        ranges = [range(start, min(start + _PER_TASK, count)) for start in starts]
        for made in pool.map(
            _write_images, repeat(origin.collection), repeat(files), ranges, repeat(folder), repeat(seed)
        ):
            digests.update(made[at : at + _DIGEST_BYTES] for at in range(0, len(made), _DIGEST_BYTES))
    return len(digests)


def _write_images(collection: Path, files: Sequence[Path], numbers: range, folder: Path, seed: int) -> bytes:
    """Write the images with these numbers; the digests of their pixels, one after the other."""
    import numpy as np

    random = np.random.default_rng([seed, numbers.start])
    digests = []
    for number in numbers:
        file = files[number % len(files)]
        jpeg = _encoded(perturbed(_photograph(file), random))
        relative = file.relative_to(collection)
        (folder / relative.with_name(f"{relative.stem}_{number // len(files)}.jpg")).write_bytes(jpeg)
        digests.append(pixels_digest(jpeg))
    return b"".join(digests)


def perturbed(photograph: "Image", random: "np.random.Generator") -> "Image":
    """Another picture of the same: a part of it of at least four fifths, perhaps mirrored, in other colours."""
    from PIL.Image import Transpose

    width, height = (round(size * random.uniform(_LEAST_CROP, 1.0)) for size in photograph.size)
    left, top = (
        int(random.integers(0, whole - part + 1)) for whole, part in zip(photograph.size, (width, height), strict=True)
    )
    part = photograph.crop((left, top, left + width, top + height))
    if random.random() < 0.5:
        part = part.transpose(Transpose.FLIP_LEFT_RIGHT)
    return part.point(_other_colours(random))


def _other_colours(random: "np.random.Generator") -> list[int]:
    """Values to replace the 256 of each of three colours with."""
    import numpy as np

    factors, offsets = (random.uniform(*limits, (3, 1)) for limits in (_FACTORS, _OFFSETS))
    values: list[int] = np.clip(np.arange(256) * factors + offsets, 0, 255).astype(np.uint8).reshape(-1).tolist()
    return values


def pixels_digest(jpeg: bytes) -> bytes:
    """A digest of what an image shows, whatever its bytes are."""
    import simplejpeg

    pixels = simplejpeg.decode_jpeg(jpeg)
    return hashlib.blake2b(pixels, digest_size=_DIGEST_BYTES, key=str(pixels.shape).encode()).digest()


def _encoded(image: "Image") -> bytes:
    import numpy as np
    import simplejpeg

    return bytes(simplejpeg.encode_jpeg(np.asarray(image), quality=_QUALITY, colorsubsampling="420"))


@lru_cache(maxsize=4096)
def _photograph(file: Path) -> "Image":
    from PIL import Image

    with Image.open(io.BytesIO(file.read_bytes())) as opened:
        return opened.convert("RGB")
