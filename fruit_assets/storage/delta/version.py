"""A table at one version: its files, its rows, and what is known about them.

Put here how a version that is pinned or staged is read. How versions come about belongs in `table.py`; what Spark's
workers read is in `spark/reading.py`.
"""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain
from posixpath import commonpath, dirname
from typing import TYPE_CHECKING, Any

from fruit_assets.object_store.stores import Store
from fruit_assets.storage.delta.columns import Columns, to_arrow
from fruit_assets.storage.parquet_files import FILES_AT_A_TIME, DataFile, open_parquet, read_tables, take_rows

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

# Number of a version that has not been committed.
STAGED = -1
_ROWS_AT_A_TIME = 2048


@dataclass(frozen=True)
class Version:
    """A table at one version; data is read by its methods only.

    Attributes:
        store: the table's folder.
        number: Delta's version number, or `STAGED`.
        files: the files with the rows, in the order in which rows are numbered.
        columns: of the rows.
        facts: what identifies the content (fingerprints, settings, data version); JSON types only.
        figures: measurements of the run that created it (seconds, counts); JSON types only.
        run_id: the Dagster run that created it.
        table_id: of the Delta table, which changes when the table is deleted and created again.
        published: number of the commit that published this content; compaction gives the same content a new number.
    """

    store: Store = field(compare=False)
    number: int
    files: tuple[DataFile, ...]
    columns: Columns
    facts: Mapping[str, Any] = field(default_factory=dict)
    figures: Mapping[str, Any] = field(default_factory=dict)
    run_id: str = ""
    published: int = STAGED
    table_id: str = ""

    @property
    def name(self) -> str:
        """The asset's name: that of the table's folder."""
        return self.store.uri.rstrip("/").rpartition("/")[2]

    @property
    def row_count(self) -> int:
        return sum(file.rows for file in self.files)

    @property
    def bytes(self) -> int:
        return sum(file.bytes for file in self.files)

    def __str__(self) -> str:
        return f"{self.store.uri} {'as staged' if self.number == STAGED else f'version {self.number}'}"

    def read_table(self, columns: list[str] | None = None) -> "pa.Table":
        """All rows, or some of their columns, in the memory of this process.

        Raises:
            StorageError: a file cannot be read.
        """
        import pyarrow as pa

        if not self.files:
            none = to_arrow(self.columns).empty_table()
            return none if columns is None else none.select(columns)
        return pa.concat_tables(read_tables(self.store, self.files, columns))

    def read_rows(self, numbers: "np.ndarray", columns: list[str]) -> "pa.Table":
        """Some rows by their sorted numbers, in the order of the files; holds few others at a time.

        Raises:
            StorageError: a file cannot be read.
        """
        import numpy as np
        import pyarrow as pa

        # Where the rows of every file begin, in the version and among the numbers.
        firsts = np.cumsum([0, *(file.rows for file in self.files)])
        places = np.searchsorted(numbers, firsts)

        def rows_of(index: int) -> "list[pa.RecordBatch]":
            with open_parquet(self.store, self.files[index].path) as parquet:
                batches = parquet.iter_batches(_ROWS_AT_A_TIME, columns=columns)
                return [batch for batch, _ in take_rows(batches, numbers, int(firsts[index]))]

        with ThreadPoolExecutor(FILES_AT_A_TIME) as pool:
            parts = list(chain.from_iterable(pool.map(rows_of, np.flatnonzero(np.diff(places)).tolist())))
        return pa.Table.from_batches(parts) if parts else self.read_table(columns).slice(0, 0)

    def is_intact(self) -> bool:
        """Whether every file exists with its published size."""
        if not self.files:
            return True
        # One listing: the runs that wrote them have a folder each.
        folder = commonpath({dirname(file.path) for file in self.files})
        sizes = {item.key: item.size for item in self.store.list(f"{folder}/" if folder else "")}
        return all(sizes.get(file.path) == file.bytes for file in self.files)
