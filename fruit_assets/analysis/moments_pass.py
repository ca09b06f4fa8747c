"""One pass over the features that gives their moments.

Put here the Spark job. Every worker reduces its rows to a count, a mean and half a scatter matrix (6.6 MB), and these
are combined in a tree: the driver's memory depends neither on the number of images nor on the number of partitions.
Which rows a run has to read belongs in `moments_increment.py`.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING

from fruit_assets.analysis.moments import Moments, feature_matrix, merge_all
from fruit_assets.errors import InputError
from fruit_assets.spark.reading import ScanOptions, map_batches
from fruit_assets.spark.tasks import ArrowFunction, broadcast, collect, stream_of, table_of
from fruit_assets.spark.this_process import Held, LocalRun, TaskRunner

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark import RDD, Broadcast

    from fruit_assets.storage.delta.version import Version

# How many moments one task merges, and how many at most reach the driver (53 MB).
_FAN_IN = 8
# A scatter matrix costs the same for 10 rows as for 1,000, and every task sends one. 2,048 rows are 10 MB.
_READING = ScanOptions(["features"], rows_per_task=32768, rows_per_batch=2048)
_ROW_KEYS = ("path", "sha256")


def compute_moments(features: "Version", context: TaskRunner) -> Moments:
    """Moments of a version with a column `features: array<float>`, in one pass with a tree reduction.

    Raises:
        InputError: there are no rows.
    """
    moments = moments_of_rows(features, context)
    if moments is None:
        raise InputError("There are no features to compute components of: every sampled image was rejected.")
    return moments


def moments_of_rows(features: "Version", context: TaskRunner, but: "pa.Array | None" = None) -> Moments | None:
    """Moments of a version of `path, sha256, features, ...`, but for rows with these keys; None when no row is left.

    Args:
        features: the version.
        context: the Spark context, or this process.
        but: keys of rows to leave out, as `row_keys` gives them; all workers get them.
    """
    if but is None or not len(but):
        partials = map_batches(features, context, _READING, _partial_moments)
    else:
        reading = replace(_READING, columns=[*_ROW_KEYS, *_READING.columns])
        partials = map_batches(features, context, reading, _partial_moments_but(broadcast(context, _as_stream(but))))
    while not isinstance(partials, LocalRun) and (tasks := partials.getNumPartitions()) > _FAN_IN:
        partials = _merged_to(partials, math.ceil(tasks / _FAN_IN))
    return merge_all(Moments.of_rows(collect(partials)))


def row_keys(features: "Version") -> "pa.Array":
    """What identifies each row of a version, in the memory of this process: its path and the digest of its bytes."""
    return _keys_of(features.read_table(list(_ROW_KEYS)))


def _partial_moments(batches: Iterable["pa.RecordBatch"]) -> Iterator["pa.RecordBatch"]:
    matrices = (feature_matrix(batch.column("features")) for batch in batches)
    moments = merge_all(Moments.of(matrix) for matrix in matrices)
    if moments is not None:
        yield moments.to_batch()


def _partial_moments_but(shared: "Held | Broadcast[bytes]") -> ArrowFunction:
    def of_the_others(batches: Iterable["pa.RecordBatch"]) -> Iterator["pa.RecordBatch"]:
        import pyarrow.compute as pc

        left_out = table_of([shared.value])["key"].combine_chunks()
        others = (batch.filter(pc.invert(pc.is_in(_keys_of(batch), value_set=left_out))) for batch in batches)
        yield from _partial_moments(batch for batch in others if batch.num_rows)

    return of_the_others


def _keys_of(rows: "pa.RecordBatch | pa.Table") -> "pa.Array":
    import pyarrow as pa
    import pyarrow.compute as pc

    columns = [rows.column(name) for name in _ROW_KEYS]
    keys = pc.binary_join_element_wise(*columns, "\n", null_handling="replace")
    return keys.combine_chunks() if isinstance(keys, pa.ChunkedArray) else keys


def _as_stream(keys: "pa.Array") -> bytes:
    import pyarrow as pa

    return stream_of(pa.table({"key": keys}))


def _merged_to(partials: "RDD[bytes]", tasks: int) -> "RDD[bytes]":
    """One level of the tree: the moments of all tasks, merged by fewer tasks."""

    def numbered(task: int, streams: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
        # By number rather than by hash or at random, so that every task gets as many as any other.
        return ((task % tasks, stream) for stream in streams)

    return partials.mapPartitionsWithIndex(numbered).partitionBy(tasks, int).values().mapPartitions(_merged_moments)


def _merged_moments(streams: Iterable[bytes]) -> Iterator[bytes]:
    moments = merge_all(chain.from_iterable(Moments.of_rows(table_of([stream])) for stream in streams))
    if moments is not None:
        yield stream_of(moments.to_batch())
