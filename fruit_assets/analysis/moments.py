"""Moments of rows: count, mean and scatter matrix, which can be added up and taken away from each other.

Put here the arithmetic and how moments are stored. The pass over the features belongs in `moments_pass.py`, what
follows from moments in `pca.py`.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

# Of the variance of a feature, what must be left after rows were taken away: less would show their rounding.
_LEAST_LEFT = 0.01


@dataclass(frozen=True)
class Moments:
    """Count, mean (d,) and centred scatter matrix (d, d) of some rows; float64."""

    count: int
    mean: "np.ndarray"
    scatter: "np.ndarray"

    @staticmethod
    def of(rows: "np.ndarray") -> "Moments":
        import numpy as np

        mean = rows.mean(axis=0, dtype=np.float64)
        centred = rows - mean
        return Moments(len(rows), mean, centred.T @ centred)

    def merge(self, other: "Moments") -> "Moments":
        """Moments of both sets of rows (Chan, Golub and LeVeque 1979)."""
        import numpy as np

        total = self.count + other.count
        delta = other.mean - self.mean
        mean = self.mean + delta * (other.count / total)
        scatter = np.outer(delta, delta * (self.count * other.count / total))
        # In place: for matrices of 13 MB, finding memory costs more than adding.
        scatter += self.scatter
        scatter += other.scatter
        return Moments(total, mean, scatter)

    def without(self, other: "Moments") -> "Moments | None":
        """Moments of these rows but for `other`, which are some of them.

        None where hardly any variance of a feature is left, and rounding errors would dominate.
        """
        import numpy as np

        count = self.count - other.count
        if count < 1:
            return None
        mean = self.mean + (self.mean - other.mean) * (other.count / count)
        delta = other.mean - mean
        scatter = np.outer(delta, delta * (-count * other.count / self.count))
        scatter += self.scatter
        scatter -= other.scatter
        before, left = np.diag(self.scatter), np.diag(scatter)
        varies = before > self.count * rounding_variance(self.mean)
        return None if (left < _LEAST_LEFT * before)[varies].any() else Moments(count, mean, scatter)

    def to_array(self) -> "np.ndarray":
        """Count, width, mean, and of the symmetric matrix the upper triangle row by row, in one array."""
        import numpy as np

        triangle = [row[start:] for start, row in enumerate(self.scatter)]
        return np.concatenate([[self.count, len(self.mean)], self.mean, *triangle])

    @staticmethod
    def of_array(array: "np.ndarray") -> "Moments":
        """The moments that `to_array` gave, to the last bit."""
        count, width = int(array[0]), int(array[1])
        return Moments(count, array[2 : 2 + width], _symmetric(array[2 + width :], width))

    def to_batch(self) -> "pa.RecordBatch":
        """One row."""
        import pyarrow as pa

        return pa.RecordBatch.from_pydict({"moments": [self.to_array().tobytes()]})

    @staticmethod
    def of_rows(batch: "pa.RecordBatch | pa.Table") -> "Iterator[Moments]":
        """The moments of every row that `to_batch` made, one after the other."""
        import numpy as np

        for number in range(batch.num_rows):
            content = batch.column("moments")[number].as_buffer()
            yield Moments.of_array(np.frombuffer(content, np.float64))


def rounding_variance(mean: "np.ndarray") -> "np.ndarray":
    """Variance below which a float32 feature of this mean is constant but for rounding."""
    import numpy as np

    floor: np.ndarray = (10 * np.finfo(np.float32).eps * np.abs(mean)) ** 2
    return floor


def feature_matrix(column: "pa.Array | pa.ChunkedArray") -> "np.ndarray":
    """A list column as a matrix (n, d), without copying when it is one chunk."""
    import pyarrow as pa

    combined = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    values = combined.flatten().to_numpy(zero_copy_only=False)
    matrix: np.ndarray = values.reshape(len(combined), -1) if len(combined) else values.reshape(0, 0)
    return matrix


def merge_all(parts: Iterable[Moments]) -> Moments | None:
    """The moments of all parts, one part in memory at a time; None of nothing."""
    merged: Moments | None = None
    for part in parts:
        merged = part if merged is None else merged.merge(part)
    return merged


def _symmetric(triangle: "np.ndarray", width: int) -> "np.ndarray":
    """The symmetric matrix (d, d) whose upper triangle is given row by row."""
    import numpy as np

    matrix = np.empty((width, width))
    start = 0
    for row in range(width):
        end = start + width - row
        matrix[row, row:] = matrix[row:, row] = triangle[start:end]
        start = end
    return matrix
