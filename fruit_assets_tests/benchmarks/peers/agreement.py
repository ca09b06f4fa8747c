"""Agreement of the contenders' features with those of Keras, image by image.

Put here the reference and the comparison. The reference is run as `python -m ... IMAGES WEIGHTS COUNT OUT`.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fruit_assets_tests.benchmarks.peers.job import FEATURES, features_of
from fruit_assets_tests.benchmarks.plain_inference import SIDE, pixels_of

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa


class DifferentImages(Exception):
    """A contender did not compute each image exactly once, so there is nothing to compare."""


@dataclass(frozen=True)
class Agreement:
    """How near a contender's features are to the reference.

    Attributes:
        images: that were compared.
        largest_difference: of any feature of any of them, absolute.
        mean_cosine: of the images' vectors with the reference's.
    """

    images: int
    largest_difference: float
    mean_cosine: float


@dataclass(frozen=True)
class Reference:
    """Features by Keras of some images of a set.

    Attributes:
        images: root of the set.
        paths: of all its images, relative to it.
        chosen: the paths whose features Keras has computed.
        features: (len(chosen), 1280).
    """

    images: Path
    paths: frozenset[str]
    chosen: Sequence[str]
    features: "np.ndarray"

    @staticmethod
    def read(images: Path, file: Path) -> "Reference":
        import numpy as np

        paths = frozenset(found.relative_to(images).as_posix() for found in images.rglob("*.jpg"))
        with np.load(file) as saved:
            return Reference(images, paths, [str(path) for path in saved["paths"]], saved["features"])

    def check_paths(self, table: "pa.Table") -> list[str]:
        """The paths of a contender's rows, relative to the set; it may name them as absolute paths or URIs.

        Raises:
            DifferentImages: the rows are not exactly the images of the set.
        """
        paths = [path.split(f"{self.images}/")[-1] for path in table.column("path").to_pylist()]
        if len(paths) != len(self.paths) or set(paths) != self.paths:
            known = len(set(paths) & self.paths)
            raise DifferentImages(f"{len(paths)} rows with {known} of the {len(self.paths)} images")
        return paths

    def agreement(self, table: "pa.Table") -> Agreement:
        """Compare a contender's `path, features`.

        Raises:
            DifferentImages: see `check_paths`.
        """
        import numpy as np

        rows = {path: row for row, path in enumerate(self.check_paths(table))}
        theirs = features_of(table.column(FEATURES).take([rows[path] for path in self.chosen]))
        lengths = np.linalg.norm(theirs, axis=1) * np.linalg.norm(self.features, axis=1)
        cosines = (theirs * self.features).sum(axis=1) / np.maximum(lengths, np.finfo(np.float32).tiny)
        return Agreement(len(self.chosen), float(np.abs(theirs - self.features).max()), float(cosines.mean()))


def main(arguments: Sequence[str]) -> int:
    import numpy as np
    from keras.applications.mobilenet_v2 import preprocess_input

    from fruit_assets_tests.benchmarks.notebook_pipeline import network

    parser = argparse.ArgumentParser()
    parser.add_argument("images", type=Path)
    parser.add_argument("weights")
    parser.add_argument("count", type=int)
    parser.add_argument("out", type=Path)
    given = parser.parse_args(arguments)
    files = sorted(given.images.rglob("*.jpg"))
    count = min(given.count, len(files))
    chosen = [files[number * len(files) // count] for number in range(count)]
    pixels = np.stack([pixels_of(file.read_bytes(), SIDE) for file in chosen]).astype(np.float32)
    features = network(given.weights).predict(preprocess_input(pixels), verbose=0)
    np.savez(given.out, paths=[file.relative_to(given.images).as_posix() for file in chosen], features=features)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
