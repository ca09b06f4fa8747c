"""Writing new files of a table, before anyone sees them.

Put here where one attempt of one run writes, and how few rows get there from the driver. What Spark's workers write
is in `spark/writing.py`; publishing is `delta.Table.commit`.
"""

import io
import uuid
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from fruit_assets.errors import StorageError
from fruit_assets.storage.delta.columns import Columns
from fruit_assets.storage.delta.staged_commit import INPUTS, StagedCommit
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

    def find_latest(self, **facts: Any) -> Version | None:
        """`base`, or the newest version before it, that states all these facts and whose files are all there."""
        return self.table.find_up_to(self.base, facts)

    def stage(
        self, files: Iterable[DataFile], columns: Columns, facts: Mapping[str, Any] | None = None
    ) -> StagedCommit:
        """Describe what the table shall hold; see `Table.stage`."""
        return self.table.stage(files, columns, self.run_id, self.base, facts)


def write_file(table: "pa.Table", writing: VersionWriter, key: str) -> DataFile:
    """Write rows as a file of their own.

    Args:
        table: at least one row.
        writing: the asset's table, run and attempt.
        key: column whose extremes let readers skip the file, where there is such a column.
    """
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    footers: list[pq.FileMetaData] = []
    # A dictionary and the extremes of one long value are copies of it.
    plain: Any = {"compression": "none", "use_dictionary": False, "write_statistics": [key]}
    pq.write_table(table, buffer, metadata_collector=footers, **plain)
    path = f"{writing.prefix}/part-{uuid.uuid4().hex}.parquet"
    writing.table.store.put(path, buffer.getvalue())
    return DataFile.of(path, buffer.tell(), footers[0], key)


def republish(version: Version, writing: VersionWriter) -> StagedCommit:
    """Stage the content of an existing version: no commit when it is the newest, else one that brings it back."""
    return writing.stage(version.files, version.columns, version.facts).with_figures(**version.figures)


def restore(table: Table, number: int, run_id: str = "") -> Version:
    """Make the content of an earlier version the newest again, in a commit of its own.

    Raises:
        StorageError: there is no such version, or some of its files have been removed.
    """
    earlier = table.at(number)
    if not earlier.is_intact():
        raise StorageError(
            f"Version {number} of {table.name} cannot be restored: some of its files were removed. They are kept for "
            f"{table.retention.days} days after they were replaced (FRUIT_ASSETS_RETENTION_DAYS)."
        )
    staged = republish(earlier, VersionWriter(table, run_id)).with_figures(restored_from=number)
    # What a restored version was made from is older than what it replaces: that is its purpose.
    return table.commit(staged.with_facts(**{INPUTS: {}}))
