"""The keys of a table's rows, with the position of every row, from which increments are planned.

Put here how keys are read from files into a `KeyTable`. The large columns, images and features, are not read.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from fruit_assets.keys.key_files import read_keys
from fruit_assets.keys.key_table import KeyDatabase, KeyTable
from fruit_assets.object_store.stores import Store
from fruit_assets.storage.parquet_files import DataFile

if TYPE_CHECKING:
    import pyarrow as pa


def row_keys(store: Store, files: Sequence[DataFile], columns: Sequence[str], database: KeyDatabase) -> KeyTable:
    """`columns` of every row of the files, with the numbers of its `file` and of the `row` over all files.

    Args:
        store: of the table.
        files: in order.
        columns: of strings or integers.
        database: the database for the keys.

    Raises:
        StorageError: a file cannot be read.
    """
    return number_rows(read_keys(store, files, columns), columns, database)


def number_rows(tables: "Iterable[pa.Table]", columns: Sequence[str], database: KeyDatabase) -> KeyTable:
    """`columns` of all rows, with the numbers of their `file` and of the `row` over all files; one file at a time.

    Args:
        tables: the rows of each file, in order.
        columns: of these, of strings or integers.
        database: the database for the keys.
    """
    import numpy as np
    import pyarrow as pa

    def numbered() -> "Iterator[pa.RecordBatch]":
        row = 0
        for number, table in enumerate(tables):
            rows = np.arange(row, row + table.num_rows)
            row += table.num_rows
            table = table.append_column("file", pa.array(np.full(table.num_rows, number, np.int32)))
            yield from table.append_column("row", pa.array(rows)).combine_chunks().to_batches()

    types = {"size": pa.int64()}
    fields = [(name, types.get(name, pa.string())) for name in columns]
    schema = pa.schema([*fields, ("file", pa.int32()), ("row", pa.int64())])
    return KeyTable.of(pa.RecordBatchReader.from_batches(schema, numbered()), database)
