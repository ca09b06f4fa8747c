"""Rows of a version, read by Spark's workers themselves.

Put here how a version's files get into Python functions on the workers. Spark's own way there takes every row
apart and puts it together again, which for images and for long lists of floats costs the JVM a good part of
what is done with them; use it (`Version.to_spark`) where rows are joined. What workers write is in
`worker_writing.py`.
"""

import heapq
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from fruit_assets.errors import StorageError
from fruit_assets.storage.stores import Store
from fruit_assets.storage.versions import Version

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession

# `DataFrame.mapInArrow` gives a function the record batches of one partition and takes those it yields.
ArrowFunction = Callable[[Iterable[Any]], Iterable[Any]]
# Fact of a version whose row groups all have this many rows, but for the last of a file.
ROW_GROUP_ROWS = "row_group_rows"


@dataclass(frozen=True)
class Reading:
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
    """A file, or one row group of it."""

    path: str
    row_group: int | None
    rows: int


def map_in_workers(
    version: Version, session: "SparkSession", reading: Reading, function: ArrowFunction, schema: str
) -> "DataFrame":
    """A lazy frame of what `function` yields over the rows of a version, called once per task.

    Args:
        version: a published table.
        session: the Spark session.
        reading: what to read, in what portions; the function gets no empty batch.
        function: from record batches to record batches.
        schema: of what it yields, in Spark's DDL.
    """
    shares = _shares(version, session, reading)
    numbers = session.range(len(shares), numPartitions=len(shares))
    return numbers.mapInArrow(_over_shares(version.store, shares, reading, function), schema)


def task_count(version: Version, session: "SparkSession", reading: Reading) -> int:
    """How many tasks `map_in_workers` makes of it."""
    return len(_shares(version, session, reading))


def row_group_count(version: Version) -> int:
    """Row groups of a version that states their size; files otherwise."""
    return sum(1 for _ in _pieces(version))


def _pieces(version: Version) -> Iterator[_Piece]:
    size = version.manifest.facts.get(ROW_GROUP_ROWS)
    for file in version.manifest.files:
        if size is None:
            if file.rows:
                yield _Piece(file.path, None, file.rows)
        else:
            for number, start in enumerate(range(0, file.rows, size)):
                yield _Piece(file.path, number, min(size, file.rows - start))


def _shares(version: Version, session: "SparkSession", reading: Reading) -> list[list[_Piece]]:
    """The pieces of every task, in the order in which tasks start."""
    pieces, cores = list(_pieces(version)), int(session.sparkContext.defaultParallelism)
    if reading.tapered:
        return _tapered_shares(pieces, cores, reading.rows_per_task)
    wanted = max(cores, math.ceil(version.manifest.row_count / reading.rows_per_task))
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


def _over_shares(store: Store, shares: list[list[_Piece]], reading: Reading, function: ArrowFunction) -> ArrowFunction:
    def over_shares(numbers: "Iterable[pa.RecordBatch]") -> "Iterator[pa.RecordBatch]":
        pieces = [piece for batch in numbers for number in batch.column(0).to_pylist() for piece in shares[number]]
        yield from function(_batches(store, pieces, reading))

    return over_shares


def _batches(store: Store, pieces: Sequence[_Piece], reading: Reading) -> "Iterator[pa.RecordBatch]":
    import pyarrow.parquet as pq

    filesystem, root = store.filesystem()
    for path, group in groupby(pieces, key=lambda piece: piece.path):
        # A file without stated row groups is one piece.
        row_groups = [piece.row_group for piece in group if piece.row_group is not None]
        try:
            with filesystem.open_input_file(f"{root}/{path}") as source:
                parquet = pq.ParquetFile(source, pre_buffer=bool(row_groups))
                # One thread: every core has a worker of its own.
                for batch in parquet.iter_batches(
                    reading.rows_per_batch,
                    row_groups=row_groups or None,
                    columns=list(reading.columns),
                    use_threads=False,
                ):
                    if batch.num_rows:
                        yield batch
        except (OSError, ValueError) as error:
            raise StorageError(f"Cannot read {store.uri_of(path)}: {error}") from error
