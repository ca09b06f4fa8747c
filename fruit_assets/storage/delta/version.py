"""A table at one version: its files, its rows, and what is known about them.

Put here how a version that is pinned or staged is read. How versions come about belongs in `table.py`, some rows of one
in `rows.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fruit_assets.object_store.stores import Store
from fruit_assets.storage.delta.columns import Columns, to_arrow
from fruit_assets.storage.parquet_files import DataFile, read_files

if TYPE_CHECKING:
    import pyarrow as pa

# Number of a version that has not been committed.
STAGED = -1


@dataclass(frozen=True)
class Version:
    """A table at one version; no data is read until asked.

    Attributes:
        store: the table's folder.
        number: Delta's version number, or `STAGED`.
        files: the files that hold the rows, in the order in which rows are numbered.
        columns: of the rows.
        facts: what identifies the content (fingerprints, settings, data version); JSON types only.
        figures: what the run that made it measured (seconds, counts); JSON types only.
        run_id: the Dagster run that made it.
        table_id: of the Delta table, which changes when the table is deleted and made anew.
        published: number of the commit that published this content; compaction makes a new number of the same content.
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
        if not self.files:
            return to_arrow(
                [column for column in self.columns if columns is None or column.name in columns]
            ).empty_table()
        return read_files(self.store, self.files, columns)

    def is_intact(self) -> bool:
        """Whether every file is there, with the size it was published with."""
        folders = {file.path.rpartition("/")[0] for file in self.files}
        prefixes = {f"{folder}/" if folder else "" for folder in folders}
        sizes = {item.key: item.size for prefix in prefixes for item in self.store.list(prefix)}
        return all(sizes.get(file.path) == file.bytes for file in self.files)
