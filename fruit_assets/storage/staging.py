"""Writing new files of a table, before anyone sees them.

Put here where one attempt of one run writes, and how small tables get there from the driver. What Spark's workers write
is in `spark/writing.py`; publishing is `delta.Table.commit`.
"""

import io
import uuid
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from fruit_assets.storage.delta.columns import Columns, from_arrow
from fruit_assets.storage.delta.staged_commit import StagedCommit
from fruit_assets.storage.delta.table import Table
from fruit_assets.storage.delta.version import Version
from fruit_assets.storage.parquet_files import DataFile

if TYPE_CHECKING:
    import pyarrow as pa


# Folder of a table that holds the files which runs write.
DATA = "data"
# Folder of small objects that are about runs; readers and vacuum ignore it for its underscore.
RUNS = "_runs"


class VersionWriter:
    """Where and as what one attempt of one run writes.

    Args:
        table: the asset's.
        run_id: the Dagster run.
        attempt: 0 for the first try of the step, 1 for its first retry, ...

    Attributes:
        base: the version that the table has as the attempt begins, None when it has none: a commit that would
            overwrite anything newer is refused.
    """

    def __init__(self, table: Table, run_id: str, attempt: int = 0) -> None:
        self.table = table
        self.run_id = run_id
        self.attempt = attempt
        self.base: Version | None = table.current_or_none()

    @property
    def prefix(self) -> str:
        """Folder of the attempt's files, below the table's."""
        return f"{DATA}/{self.run_id}-{self.attempt}"

    def require_writable(self) -> None:
        """Write a small object, so that storage that refuses us does so in the first second; raises StorageError."""
        self.table.store.put(f"{RUNS}/{self.run_id}-{self.attempt}", b"")

    def stage(
        self, files: Iterable[DataFile], columns: Columns, facts: Mapping[str, Any] | None = None
    ) -> StagedCommit:
        """Describe what the table shall hold; see `Table.stage`."""
        return self.table.stage(files, columns, self.run_id, self.base, facts)


def stage_table(table: "pa.Table", writing: VersionWriter, key: str = "path") -> StagedCommit:
    """Write a small Arrow table as one file, and stage it as all that the table shall hold."""
    return writing.stage([write_file(table, writing, key)] if table.num_rows else [], from_arrow(table.schema))


def write_file(table: "pa.Table", writing: VersionWriter, key: str, compression: str = "zstd") -> DataFile:
    """Write rows as a file of their own.

    Args:
        table: at least one row.
        writing: the asset's table, run and attempt.
        key: column whose extremes let readers skip the file, where there is such a column.
        compression: of all columns.
    """
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    writing.require_writable()
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression=compression)
    path = f"{writing.prefix}/part-{uuid.uuid4().hex}.parquet"
    writing.table.store.put(path, buffer.getvalue())
    if key not in table.column_names:
        return DataFile(path, buffer.tell(), table.num_rows)
    least, greatest = (pc.min(table[key]).as_py(), pc.max(table[key]).as_py())
    return DataFile(path, buffer.tell(), table.num_rows, {key: least}, {key: greatest})


def republish(version: Version, writing: VersionWriter) -> StagedCommit:
    """Stage the content of an existing version: no commit when it is the newest, else one that brings it back."""
    return writing.stage(version.files, version.columns, version.facts).with_figures(**version.figures)
