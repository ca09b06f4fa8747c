"""Rows of a version, read by Spark's workers themselves.

Put here how a version's files get into Python functions on the workers. Spark's own way there takes every row
apart and puts it together again, which for images and for long lists of floats costs the JVM a good part of
what is done with them; delta-spark is there for queries. What workers write is in `spark/writing.py`, how tasks run in
`spark/tasks.py`.
"""

import heapq
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from fruit_assets.object_store.stores import Store
from fruit_assets.spark.tasks import ArrowFunction, run_tasks, stream_of, table_of
from fruit_assets.spark.this_process import LocalRun, TaskRunner
from fruit_assets.storage.delta.version import Version
from fruit_assets.storage.parquet_files import ROW_GROUP_ROWS, open_parquet, take_rows

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq
    from pyspark import RDD

# Column that names the rows wanted of a version, by their number in the order of its files.
ROW = "row"
# Pieces of a version that a look at it may read.
_SPREAD_PIECES = 16


@dataclass(frozen=True)
class ScanOptions:
    """How workers read a version.

    Attributes:
        columns: to read.
        rows_per_task: rows of one task, as far as row groups allow; there are at least as many tasks as cores.
        rows_per_batch: rows that the function gets at most at a time.
        tapered: tasks become smaller towards the end, so that no core waits long for another.
    """

    columns: Sequence[str]
    rows_per_task: int
    rows_per_batch: int
    tapered: bool = False


@dataclass(frozen=True)
class _Piece:
    """A file, or one row group of it.

    Attributes:
        path: of the file.
        row_group: None for all of it.
        rows: that are wanted of it.
        wanted: which these are, and columns to add to them, as a stream; None for all.
    """

    path: str
    row_group: int | None
    rows: int
    wanted: bytes | None = None


def map_batches(
    version: Version,
    context: TaskRunner,
    reading: ScanOptions,
    function: ArrowFunction,
    wanted: "pa.Table | None" = None,
) -> "RDD[bytes] | LocalRun":
    """A lazy run of `function` over the rows of a version, once per task; `worker_tasks.gathered` gives what it yields.

    Args:
        version: a published table.
        context: the Spark context, or this process.
        reading: what to read, in what portions; the function gets no empty batch.
        function: from record batches to record batches.
        wanted: the rows to read, by a sorted column `row` of numbers in the order of the version's files; its other
            columns are added to the rows, and a row named twice is there twice. None reads all.
    """
    store = version.store
    pieces = list(_pieces(version, wanted))
    shares = _shares(pieces, int(context.defaultParallelism), reading)
    return run_tasks(context, shares, lambda share: function(_batches(store, share, reading)))


def map_files(
    version: Version,
    context: TaskRunner,
    reading: ScanOptions,
    function: "Callable[[Sequence[str], Iterable[pa.RecordBatch]], Iterable[pa.RecordBatch]]",
) -> "RDD[bytes] | LocalRun":
    """As `map_batches`, of whole files: the function also gets the paths of those that hold the rows of its task."""
    store = version.store
    files = [_Piece(file.path, None, file.rows) for file in version.files if file.rows]
    shares = _shares(files, int(context.defaultParallelism), reading)
    return run_tasks(
        context, shares, lambda share: function([file.path for file in share], _batches(store, share, reading))
    )


def sample_row_numbers(version: Version, count: int, run: int = 1) -> "np.ndarray":
    """Numbers of at most `count` rows, spread over few pieces of a version however large it is.

    Args:
        version: a published table.
        count: rows wanted.
        run: rows that are taken together wherever some are taken.
    """
    import numpy as np

    sizes = [piece.rows for piece in _whole_pieces(version)]
    firsts = np.cumsum([0, *sizes])
    looked_at = [np.arange(firsts[index], firsts[index + 1]) for index in _evenly(len(sizes), _SPREAD_PIECES)]
    rows: np.ndarray = np.concatenate([np.arange(0), *looked_at])
    if len(rows) <= count:
        return rows
    starts = np.array(_evenly(len(rows) // run, count // run), dtype=np.int64) * run
    taken: np.ndarray = rows[(starts[:, None] + np.arange(run)).reshape(-1)]
    return taken


def _evenly(available: int, wanted: int) -> list[int]:
    """At most `wanted` of the numbers below `available`, evenly spaced."""
    count = min(available, wanted)
    return [number * available // count for number in range(count)]


def _pieces(version: Version, wanted: "pa.Table | None" = None) -> Iterator[_Piece]:
    if wanted is None:
        yield from _whole_pieces(version)
        return
    import numpy as np
    import pyarrow as pa

    numbers, first = wanted[ROW].to_numpy(), 0
    for piece in _whole_pieces(version):
        start, end = np.searchsorted(numbers, [first, first + piece.rows])
        if start < end:
            some = wanted.slice(start, end - start).drop_columns([ROW])
            within = some.append_column(ROW, pa.array(numbers[start:end] - first))
            yield _Piece(piece.path, piece.row_group, int(end - start), stream_of(within))
        first += piece.rows


def _whole_pieces(version: Version) -> Iterator[_Piece]:
    size = version.facts.get(ROW_GROUP_ROWS)
    for file in version.files:
        if size is None:
            if file.rows:
                yield _Piece(file.path, None, file.rows)
        else:
            for number, start in enumerate(range(0, file.rows, size)):
                yield _Piece(file.path, number, min(size, file.rows - start))


def _shares(pieces: Sequence[_Piece], cores: int, reading: ScanOptions) -> list[list[_Piece]]:
    """The pieces of every task, in the order in which tasks start."""
    if reading.tapered:
        return _tapered_shares(pieces, cores, reading.rows_per_task)
    rows = sum(piece.rows for piece in pieces)
    wanted = max(cores, math.ceil(rows / reading.rows_per_task))
    return _even_shares(pieces, max(1, min(wanted, len(pieces))))


def _tapered_shares(pieces: Sequence[_Piece], cores: int, most: int) -> list[list[_Piece]]:
    """Pieces in order; a task gets what is left, shared by twice the cores, but not more than `most` rows."""
    shares: list[list[_Piece]] = [[]]
    left = sum(piece.rows for piece in pieces)
    taken, wanted = 0, min(most, math.ceil(left / (2 * cores)))
    for piece in pieces:
        if taken >= wanted:
            left -= taken
            taken, wanted = 0, min(most, math.ceil(left / (2 * cores)))
            shares.append([])
        shares[-1].append(piece)
        taken += piece.rows
    return shares


def _even_shares(pieces: Iterable[_Piece], count: int) -> list[list[_Piece]]:
    """The pieces in `count` shares of about as many rows each: the largest first, to whoever has least."""
    shares: list[list[_Piece]] = [[] for _ in range(count)]
    loads = [(0, number) for number in range(count)]
    for piece in sorted(pieces, key=lambda piece: -piece.rows):
        load, number = heapq.heappop(loads)
        shares[number].append(piece)
        heapq.heappush(loads, (load + piece.rows, number))
    return shares


def _batches(store: Store, pieces: Iterable[_Piece], reading: ScanOptions) -> "Iterator[pa.RecordBatch]":
    for path, group in groupby(pieces, key=lambda piece: piece.path):
        of_file = list(group)
        with open_parquet(store, path, pre_buffer=of_file[0].row_group is not None) as parquet:
            whole = [piece for piece in of_file if piece.wanted is None]
            if whole:
                yield from _read(parquet, whole, reading)
            for piece in of_file:
                if piece.wanted is not None:
                    yield from _chosen(_read(parquet, [piece], reading), table_of([piece.wanted]))


def _read(parquet: "pq.ParquetFile", pieces: Sequence[_Piece], reading: ScanOptions) -> "Iterator[pa.RecordBatch]":
    # A file without stated row groups is one piece.
    row_groups = [piece.row_group for piece in pieces if piece.row_group is not None] or None
    columns = list(reading.columns)
    # One thread: every core has a worker of its own.
    for batch in parquet.iter_batches(
        reading.rows_per_batch, row_groups=row_groups, columns=columns, use_threads=False
    ):
        if batch.num_rows:
            yield batch


def _chosen(batches: "Iterable[pa.RecordBatch]", wanted: "pa.Table") -> "Iterator[pa.RecordBatch]":
    """The wanted rows of a piece, with the columns that are wanted beside them."""
    added = wanted.drop_columns([ROW])
    for rows, which in take_rows(batches, wanted[ROW].to_numpy()):
        of_these = added.slice(which.start, which.stop - which.start)
        for name, column in zip(added.column_names, of_these.columns, strict=True):
            rows = rows.append_column(name, column.combine_chunks())
        yield rows
