"""Parquet files of a table: what is known of each, and reading them.

Put here what concerns files one by one. Which files make up a version is in `delta/version.py`.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from fruit_assets.errors import StorageError
from fruit_assets.object_store.stores import Store

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

T = TypeVar("T")

# Fact of a version whose row groups all have this many rows, but for the last of a file.
ROW_GROUP_ROWS = "row_group_rows"
# A file on S3 is some requests, one after the other, and a few megabytes.
FILES_AT_A_TIME = 8


@dataclass(frozen=True)
class DataFile:
    """One Parquet file of a table.

    Attributes:
        path: relative to the table's folder.
        bytes: its size.
        rows: its rows.
        least: the least value of some columns, for readers that skip files.
        greatest: the greatest likewise.
    """

    path: str
    bytes: int
    rows: int
    least: Mapping[str, str] = field(default_factory=dict, compare=False)
    greatest: Mapping[str, str] = field(default_factory=dict, compare=False)

    @staticmethod
    def of(path: str, size: int, footer: "pq.FileMetaData", key: str = "path") -> "DataFile":
        """A file with this footer; the extremes are of column `key`, where all row groups have statistics of it."""
        groups = [footer.row_group(number) for number in range(footer.num_row_groups)]
        columns = [group.column(number) for group in groups for number in range(group.num_columns)]
        known = [column.statistics for column in columns if column.path_in_schema == key]
        if not known or not all(each is not None and each.has_min_max for each in known):
            return DataFile(path, size, footer.num_rows)
        least, greatest = min(each.min for each in known), max(each.max for each in known)
        return DataFile(path, size, footer.num_rows, {key: least}, {key: greatest})


@contextmanager
def open_parquet(store: Store, path: str, *, pre_buffer: bool = False) -> "Iterator[pq.ParquetFile]":
    """Open a file; what fails while it is read names it too. `pyarrow.parquet.read_table` would import pandas.

    Args:
        store: of the table.
        path: of the file in it.
        pre_buffer: to fetch columns that lie side by side in one request, before they are decoded.

    Raises:
        StorageError: the file is missing or cannot be read.
    """
    import pyarrow.parquet as pq

    try:
        with store.open(path) as source:
            yield pq.ParquetFile(source, pre_buffer=pre_buffer)
    except FileNotFoundError as error:
        raise StorageError(
            f"Cannot read {store.uri_of(path)}: it no longer exists. Files that were replaced longer ago than "
            "FRUIT_ASSETS_RETENTION_DAYS are removed."
        ) from error
    except (OSError, ValueError) as error:
        raise StorageError(f"Cannot read {store.uri_of(path)}: {error}") from error


def read_tables(store: Store, files: Sequence[DataFile], columns: Sequence[str] | None) -> "Iterator[pa.Table]":
    """All rows of each file, in order; eight are read ahead. Raises StorageError."""
    return in_order(partial(read_file, store, file, columns) for file in files)


def read_file(store: Store, file: DataFile, columns: Sequence[str] | None) -> "pa.Table":
    """All rows of a file. Raises StorageError."""
    with open_parquet(store, file.path, pre_buffer=True) as parquet:
        table = parquet.read(columns)
        return table if columns is None else table.select(columns)


def in_order(calls: Iterable[Callable[[], T]]) -> Iterator[T]:
    """What each call returns, in order; eight are called ahead."""
    ahead: deque[Future[T]] = deque()
    with ThreadPoolExecutor(FILES_AT_A_TIME) as pool:
        for call in calls:
            ahead.append(pool.submit(call))
            if len(ahead) > FILES_AT_A_TIME:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()


def take_rows(
    batches: "Iterable[pa.RecordBatch]", numbers: "np.ndarray", first: int = 0
) -> "Iterator[tuple[pa.RecordBatch, slice]]":
    """The rows with these sorted numbers, and which of the numbers those of a batch are.

    Args:
        batches: rows in order.
        numbers: of the rows wanted; one that is there twice gives its row twice.
        first: number of the first row of the batches.
    """
    import numpy as np
    import pyarrow as pa

    for batch in batches:
        start, end = np.searchsorted(numbers, [first, first + batch.num_rows])
        if start < end:
            yield batch.take(pa.array(numbers[start:end] - first)), slice(int(start), int(end))
        first += batch.num_rows
