"""Keys of many data files of a table on S3 in few objects, so that reading them is few requests.

A data file gives its keys by one request, and by one more for each row group; a large table has thousands of files.
They never change, so a run that reads many of them copies their keys, and later runs read the copies, and the few files
that were written since. Without copies nothing differs but the requests. On a disk there are none.

Put here how keys are copied and found again. What is done with them belongs in `row_keys.py`.
"""

import io
import json
import uuid
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from itertools import chain, groupby
from threading import Lock
from typing import TYPE_CHECKING

from fruit_assets.object_store.s3_store import S3Store
from fruit_assets.storage.parquet_files import DataFile, in_order, read_file, read_tables

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from fruit_assets.object_store.stores import Store
    from fruit_assets.storage.delta.table import Table

# Folder of a table; readers and vacuum ignore it for its underscore.
_FOLDER = "_keys"
# Fewer data files are read themselves.
MANY_FILES = 16
# Some 6 MB, and one row group.
_ROWS_PER_KEY_FILE = 65536
# Of a key file's own metadata: path and rows of each data file, in the order of its rows.
_HELD = b"fruit_assets.files"


@dataclass(frozen=True)
class _Copy:
    """Keys of some data files.

    Attributes:
        parquet: the key file, whose footer has been read.
        rows: of each data file by its path: which rows of the key file they are.
        lock: held during a read. Several threads read, and one `ParquetFile` read by two of them can crash.
    """

    parquet: "pq.ParquetFile"
    rows: Mapping[str, range]
    lock: Lock = field(default_factory=Lock)

    def holds(self, file: DataFile, columns: Sequence[str]) -> bool:
        return len(self.rows.get(file.path, ())) == file.rows and set(columns) <= set(self.parquet.schema_arrow.names)

    def read(self, files: Sequence[DataFile], columns: Sequence[str]) -> "list[pa.Table]":
        with self.lock:
            table = self.parquet.read(columns).select(columns)
        return [table.slice(self.rows[file.path].start, file.rows) for file in files]


def read_keys(store: "Store", files: Sequence[DataFile], columns: Sequence[str]) -> "Iterator[pa.Table]":
    """`columns` of all rows of each file, in order; copies them where many are read that have no copy.

    Raises:
        StorageError: a file cannot be read.
    """
    if not isinstance(store, S3Store) or len(files) < MANY_FILES:
        return read_tables(store, files, columns)
    return _read_copied(store, files, columns)


def copy_keys(store: "Store", files: Sequence[DataFile], columns: Sequence[str]) -> None:
    """Copy the keys of new data files for later runs, where there are many of them; raises StorageError."""
    if isinstance(store, S3Store) and len(files) >= MANY_FILES:
        deque(_read_copied(store, files, columns), maxlen=0)


def remove_unused_keys(table: "Table") -> None:
    """Remove copies older than the retention when the table has listed none of their data files for as long."""
    oldest = datetime.now(UTC) - table.retention
    old = [item.key for item in table.store.list(f"{_FOLDER}/") if item.modified < oldest]
    if old:
        listed, copies = table.listed_paths(), in_order(partial(_open, table.store, key) for key in old)
        table.store.delete(
            key for key, copy in zip(old, copies, strict=True) if copy is None or not listed & copy.rows.keys()
        )


def _read_copied(store: S3Store, files: Sequence[DataFile], columns: Sequence[str]) -> "Iterator[pa.Table]":
    keys = [item.key for item in store.list(f"{_FOLDER}/")]
    copies = [copy for copy in in_order(partial(_open, store, key) for key in keys) if copy is not None]
    copy_of = {path: copy for copy in copies for path in copy.rows}
    places = [copy if (copy := copy_of.get(file.path)) and copy.holds(file, columns) else None for file in files]
    missing = places.count(None) >= MANY_FILES
    new = _KeyFileWriter(store)

    def pieces() -> "Iterator[partial[list[pa.Table]]]":
        # Neighbours in one key file are one piece; a data file is one by itself.
        placed = zip(files, places, strict=True)
        for _, group in groupby(placed, lambda place: id(place[1]) if place[1] else place[0].path):
            some, (copy, *_) = zip(*group, strict=True)
            yield partial(copy.read, some, columns) if copy else partial(_read_itself, store, some[0], columns)

    tables = chain.from_iterable(in_order(pieces()))
    for file, place, table in zip(files, places, tables, strict=True):
        if missing and place is None:
            new.add(file, table)
        yield table
    new.store_rest()


def _read_itself(store: S3Store, file: DataFile, columns: Sequence[str]) -> "list[pa.Table]":
    return [read_file(store, file, columns)]


def _open(store: "Store", key: str) -> _Copy | None:
    """A key file; None when it cannot be read, or has been removed meanwhile."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with suppress(pa.ArrowException, OSError, KeyError, ValueError):
        parquet = pq.ParquetFile(store.open(key), pre_buffer=True)
        rows, start = {}, 0
        for path, count in json.loads(parquet.schema_arrow.metadata[_HELD]):
            rows[path] = range(start, start + count)
            start += count
        return _Copy(parquet, rows)
    return None


class _KeyFileWriter:
    """Copies the keys of data files, in key files of whole ones."""

    def __init__(self, store: S3Store) -> None:
        self._store = store
        self._held: list[tuple[str, int]] = []
        self._tables: list[pa.Table] = []

    def add(self, file: DataFile, keys: "pa.Table") -> None:
        self._held.append((file.path, file.rows))
        self._tables.append(keys)
        if sum(rows for _, rows in self._held) >= _ROWS_PER_KEY_FILE:
            self.store_rest()

    def store_rest(self) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        if not self._held:
            return
        table = pa.concat_tables(self._tables).replace_schema_metadata({_HELD: json.dumps(self._held).encode()})
        buffer = io.BytesIO()
        pq.write_table(
            table,
            buffer,
            row_group_size=table.num_rows,
            compression="zstd",
            use_dictionary=["label"],
            write_statistics=False,
        )
        self._store.put(f"{_FOLDER}/{uuid.uuid4().hex}.parquet", buffer.getvalue())
        self._held, self._tables = [], []
