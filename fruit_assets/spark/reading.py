"""Rows of a table version, read by Spark's Python workers directly.

Put here how a version's files become the input of Python functions on the workers. Spark's DataFrames are not used for
it, because the JVM would convert every row twice, which is expensive for images and long lists of floats. Writing is in
`writing.py`, running tasks in `tasks.py`.
"""

import heapq
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
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

# Column with the numbers of the requested rows, counted in the order of the version's files.
ROW = "row"
# `sample_row_numbers` reads at most this many pieces of a version.
_SAMPLED_PIECES = 16


@dataclass(frozen=True)
class ScanOptions:
    """How workers read a version.

    Attributes:
        columns: to read.
        rows_per_task: approximate rows of one task, in whole row groups; there are at least as many tasks as cores.
        rows_per_batch: maximum rows of one batch.
        tapered: tasks become smaller towards the end, so that all cores finish at about the same time.
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
        row_group: its number; None for the whole file.
        rows: number of rows to read.
        first: number, in the file, of its first row.
        length: of the whole piece, in rows.
        wanted: an Arrow stream of the row numbers to read and columns to add to the rows; None reads all rows.
    """

    path: str
    row_group: int | None
    rows: int
    first: int = 0
    length: int = 0
    wanted: bytes | None = None

    def is_in(self, footer: "pq.FileMetaData") -> bool:
        """Whether the piece is the whole file, or exactly that row group of it."""
        number = self.row_group
        return number is None or (
            number < footer.num_row_groups
            and footer.row_group(number).num_rows == self.length
            and sum(footer.row_group(before).num_rows for before in range(number)) == self.first
        )


def map_batches(
    version: Version,
    context: TaskRunner,
    reading: ScanOptions,
    function: ArrowFunction,
    wanted: "pa.Table | None" = None,
) -> "RDD[bytes] | LocalRun":
    """Lazily run `function` over the rows of a version, once per task; `tasks.collect` runs it and returns the results.

    Args:
        version: a published table.
        context: the Spark context, or this process.
        reading: columns, and sizes of tasks and batches; the function gets no empty batch.
        function: from record batches to record batches.
        wanted: the rows to read, by a sorted column `row` of numbers in the order of the version's files; its other
            columns are added to the rows, and a number given twice yields the row twice. None reads all.
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
    """Like `map_batches`, but each task reads whole files, and the function also gets the paths of its task's files."""
    store = version.store
    files = [_Piece(file.path, None, file.rows, 0, file.rows) for file in version.files if file.rows]
    shares = _shares(files, int(context.defaultParallelism), reading)
    return run_tasks(
        context, shares, lambda share: function([file.path for file in share], _batches(store, share, reading))
    )


def sample_row_numbers(version: Version, count: int, run: int = 1) -> "np.ndarray":
    """Numbers of at most `count` rows, spread evenly over a bounded number of row groups.

    Args:
        version: a published table.
        count: maximum number of rows.
        run: length of the runs of consecutive rows that are chosen.
    """
    import numpy as np

    sizes = [piece.rows for piece in _whole_pieces(version)]
    firsts = np.cumsum([0, *sizes])
    chosen = [np.arange(firsts[piece], firsts[piece + 1]) for piece in _evenly_spaced(len(sizes), _SAMPLED_PIECES)]
    rows: np.ndarray = np.concatenate([np.arange(0), *chosen])
    if len(rows) <= count:
        return rows
    starts = np.array(_evenly_spaced(len(rows) // run, count // run), dtype=np.int64) * run
    sample: np.ndarray = rows[(starts[:, None] + np.arange(run)).reshape(-1)]
    return sample


def _evenly_spaced(available: int, wanted: int) -> list[int]:
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
            yield replace(piece, rows=int(end - start), wanted=stream_of(within))
        first += piece.rows


def _whole_pieces(version: Version) -> Iterator[_Piece]:
    size = version.facts.get(ROW_GROUP_ROWS)
    for file in version.files:
        if size is None:
            if file.rows:
                yield _Piece(file.path, None, file.rows, 0, file.rows)
        else:
            for number, start in enumerate(range(0, file.rows, size)):
                rows = min(size, file.rows - start)
                yield _Piece(file.path, number, rows, start, rows)


def _shares(pieces: Sequence[_Piece], cores: int, reading: ScanOptions) -> list[list[_Piece]]:
    """The pieces of each task, in the order in which tasks start."""
    if reading.tapered:
        return _tapered_shares(pieces, cores, reading.rows_per_task)
    rows = sum(piece.rows for piece in pieces)
    wanted = max(cores, math.ceil(rows / reading.rows_per_task))
    return _even_shares(pieces, max(1, min(wanted, len(pieces))))


def _tapered_shares(pieces: Sequence[_Piece], cores: int, most: int) -> list[list[_Piece]]:
    """Pieces in order; a task gets the remaining rows divided by twice the cores, but at most `most`."""
    shares: list[list[_Piece]] = [[]]
    remaining = sum(piece.rows for piece in pieces)
    taken, wanted = 0, min(most, math.ceil(remaining / (2 * cores)))
    for piece in pieces:
        if taken >= wanted:
            remaining -= taken
            taken, wanted = 0, min(most, math.ceil(remaining / (2 * cores)))
            shares.append([])
        shares[-1].append(piece)
        taken += piece.rows
    return shares


def _even_shares(pieces: Iterable[_Piece], count: int) -> list[list[_Piece]]:
    """The pieces in `count` shares of about equal size: each piece, largest first, goes to the smallest share."""
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
    if not all(piece.is_in(parquet.metadata) for piece in pieces):
        yield from _read_rewritten(parquet, pieces, reading)
        return
    # A file whose row groups are unknown is one piece.
    row_groups = [piece.row_group for piece in pieces if piece.row_group is not None] or None
    columns = list(reading.columns)
    # One thread, because every core has its own worker.
    for batch in parquet.iter_batches(
        reading.rows_per_batch, row_groups=row_groups, columns=columns, use_threads=False
    ):
        if batch.num_rows:
            yield batch


def _read_rewritten(
    parquet: "pq.ParquetFile", pieces: Sequence[_Piece], reading: ScanOptions
) -> "Iterator[pa.RecordBatch]":
    """The same of a file that another program has written, with other row groups; each piece reads the whole file."""
    import numpy as np

    for piece in pieces:
        numbers = np.arange(piece.first, piece.first + piece.length)
        batches = parquet.iter_batches(reading.rows_per_batch, columns=list(reading.columns), use_threads=False)
        for rows, _ in take_rows(batches, numbers):
            yield rows


def _chosen(batches: "Iterable[pa.RecordBatch]", wanted: "pa.Table") -> "Iterator[pa.RecordBatch]":
    """The wanted rows of a piece, with the other columns of `wanted` added."""
    added = wanted.drop_columns([ROW])
    for rows, which in take_rows(batches, wanted[ROW].to_numpy()):
        of_these = added.slice(which.start, which.stop - which.start)
        for name, column in zip(added.column_names, of_these.columns, strict=True):
            rows = rows.append_column(name, column.combine_chunks())
        yield rows
