"""Moments of the features: count, mean and scatter matrix, in one pass over the rows.

Put here what can be added up and the Spark job that does it. Every worker reduces its rows to a count, a
mean and half a scatter matrix (6.6 MB), and these are combined in a tree: the driver's memory depends
neither on the number of images nor on the number of partitions. What follows from them belongs in `pca.py`.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from fruit_assets.errors import InputError
from fruit_assets.spark.arrow_streams import stream_of, table_of
from fruit_assets.spark.reading import ScanOptions, map_batches
from fruit_assets.spark.tasks import collect

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from pyspark import RDD, SparkContext

    from fruit_assets.storage.delta.version import Version

# How many moments one task merges, and how many at most reach the driver (53 MB).
_FAN_IN = 8
# A scatter matrix costs the same for 10 rows as for 1,000, and every task sends one. 2,048 rows are 10 MB.
_READING = ScanOptions(["features"], rows_per_task=32768, rows_per_batch=2048)


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

    def to_batch(self) -> "pa.RecordBatch":
        """One row. Of the symmetric matrix it holds the upper triangle, half the bytes, row by row."""
        import numpy as np
        import pyarrow as pa

        triangle = np.concatenate([row[start:] for start, row in enumerate(self.scatter)])
        row = {"count": [self.count], "mean": [self.mean.tobytes()], "triangle": [triangle.tobytes()]}
        return pa.RecordBatch.from_pydict(row)

    @staticmethod
    def of_rows(batch: "pa.RecordBatch | pa.Table") -> "Iterator[Moments]":
        """The moments of every row that `to_batch` made, one after the other."""
        import numpy as np

        for number in range(batch.num_rows):
            count, mean, triangle = (batch.column(name)[number] for name in ("count", "mean", "triangle"))
            means = np.frombuffer(mean.as_buffer(), np.float64)
            yield Moments(count.as_py(), means, _symmetric(np.frombuffer(triangle.as_buffer(), np.float64), len(means)))


def compute_moments(features: "Version", context: "SparkContext") -> Moments:
    """Moments of a version with a column `features: array<float>`, in one pass with a tree reduction.

    Raises:
        InputError: there are no rows.
    """
    partials = map_batches(features, context, _READING, _partial_moments)
    while (tasks := partials.getNumPartitions()) > _FAN_IN:
        partials = _merged_to(partials, math.ceil(tasks / _FAN_IN))
    merged = _merge_all(Moments.of_rows(collect(partials)))
    if merged is None:
        raise InputError("There are no features to compute components of: every sampled image was rejected.")
    return merged


def feature_matrix(column: "pa.Array | pa.ChunkedArray") -> "np.ndarray":
    """A list column as a matrix (n, d), without copying when it is one chunk."""
    import pyarrow as pa

    combined = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    values = combined.flatten().to_numpy(zero_copy_only=False)
    matrix: np.ndarray = values.reshape(len(combined), -1) if len(combined) else values.reshape(0, 0)
    return matrix


def _partial_moments(batches: Iterable["pa.RecordBatch"]) -> Iterator["pa.RecordBatch"]:
    matrices = (feature_matrix(batch.column("features")) for batch in batches)
    moments = _merge_all(Moments.of(matrix) for matrix in matrices)
    if moments is not None:
        yield moments.to_batch()


def _merged_to(partials: "RDD[bytes]", tasks: int) -> "RDD[bytes]":
    """One level of the tree: the moments of all tasks, merged by fewer tasks."""

    def numbered(task: int, streams: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
        # By number rather than by hash or at random, so that every task gets as many as any other.
        return ((task % tasks, stream) for stream in streams)

    return partials.mapPartitionsWithIndex(numbered).partitionBy(tasks, int).values().mapPartitions(_merged_moments)


def _merged_moments(streams: Iterable[bytes]) -> Iterator[bytes]:
    moments = _merge_all(chain.from_iterable(Moments.of_rows(table_of([stream])) for stream in streams))
    if moments is not None:
        yield stream_of(moments.to_batch())


def _merge_all(parts: Iterable[Moments]) -> Moments | None:
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
