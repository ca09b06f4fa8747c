"""Parquet files of a table: what is known of each, and reading them.

Put here what concerns files one by one. Which files make up a version is in `delta/version.py`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fruit_assets.errors import StorageError
from fruit_assets.object_store.stores import Store

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

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


def read_files(store: Store, files: Sequence[DataFile], columns: list[str] | None) -> "pa.Table":
    """All rows of some files, at least one; raises StorageError."""
    import pyarrow as pa

    with ThreadPoolExecutor(FILES_AT_A_TIME) as pool:
        return pa.concat_tables(pool.map(lambda file: read_file(store, file, columns), files))


def read_file(store: Store, file: DataFile, columns: Sequence[str] | None) -> "pa.Table":
    """All rows of a file; raises StorageError.

    Of the columns, those that lie side by side come in one request. `pyarrow.parquet.read_table` would import pandas.
    """
    import pyarrow.parquet as pq

    with explained_reading(store, file.path), store.open(file.path) as source:
        table = pq.ParquetFile(source, pre_buffer=True).read(columns)
        return table if columns is None else table.select(columns)


@contextmanager
def explained_reading(store: Store, path: str) -> Iterator[None]:
    """Say which file it is that cannot be read; raises StorageError."""
    try:
        yield
    except FileNotFoundError as error:
        raise StorageError(
            f"Cannot read {store.uri_of(path)}: it is gone. Files that were replaced longer ago than "
            "FRUIT_ASSETS_RETENTION_DAYS are removed."
        ) from error
    except (OSError, ValueError) as error:
        raise StorageError(f"Cannot read {store.uri_of(path)}: {error}") from error


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
