"""Rows of a new table version, written by Spark's Python workers directly.

Put here how rows that a Python function yields on a worker become files of a table. Each task writes its own files and
returns their names, so that a commit adds exactly the files of attempts that succeeded. Complete files of a failed
attempt can be recovered if the target has a fingerprint (`storage/recovery.py`). Files are never renamed, because S3
would copy them.
"""

import io
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fruit_assets.object_store.stores import Store
from fruit_assets.spark.tasks import task_number
from fruit_assets.storage.delta.columns import columns_of
from fruit_assets.storage.delta.staged_commit import StagedCommit
from fruit_assets.storage.parquet_files import DataFile
from fruit_assets.storage.recovery import marks
from fruit_assets.storage.staging import VersionWriter

if TYPE_CHECKING:
    import pyarrow as pa

# A file is built in memory.
_FILE_BYTES = 32 * 2**20
_ROWS_PER_GROUP = 65536
# A file is stored when its rows have taken this long to compute: a worker that is killed loses only the rows since.
SECONDS_PER_FILE = 20.0


@dataclass(frozen=True)
class WriteTarget:
    """Where tasks write, and the sizes of row groups and files.

    Attributes:
        store: the table's folder.
        prefix: the attempt's folder in it.
        row_group_rows: rows of every row group except the last one of a file.
        fingerprint: of everything that decides the content of a row with a given key. With it, a later run can
            recover files that were completed but not committed; empty disables that.
        one_group_per_file: for row groups smaller than those of other files of the table.
    """

    store: Store
    prefix: str
    row_group_rows: int
    fingerprint: str = ""
    one_group_per_file: bool = False

    @staticmethod
    def of(writing: VersionWriter, row_group_rows: int, fingerprint: str = "") -> "WriteTarget":
        """The target of an attempt; raises StorageError when storage cannot be written."""
        writing.require_writable()
        return WriteTarget(writing.table.store, writing.prefix, row_group_rows, fingerprint)


class RowWriter:
    """Writes the rows of one task to files of about 32 MB at most.

    Args:
        target: where to write.
        notes: called for each file; its JSON is stored in the file, for a run that recovers it.
        seconds_per_file: a file is stored with the first rows that arrive after this time.

    Attributes:
        longest_seconds: the longest time between two stored files.
    """

    def __init__(
        self,
        target: WriteTarget,
        notes: Callable[[], Mapping[str, Any]] = dict,
        seconds_per_file: float = float("inf"),
    ) -> None:
        self._target = target
        self._notes = notes
        self._seconds_per_file = seconds_per_file
        self._stored_at = time.monotonic()
        self.longest_seconds = 0.0
        # Names sort by task, so that two runs give the same order of rows; no two attempts share a name.
        self._name = f"{task_number():06}-{uuid.uuid4().hex}"
        self._pending: list[pa.RecordBatch] = []
        self._pending_rows = 0
        self._buffer = io.BytesIO()
        self._parquet: Any = None
        self._footers: list[Any] = []
        self._files: list[dict[str, Any]] = []

    def write(self, batch: "pa.RecordBatch") -> None:
        """Add rows; complete row groups are encoded, complete files stored."""
        size = self._target.row_group_rows
        while batch.num_rows:
            taken = batch.slice(0, size - self._pending_rows)
            self._pending.append(taken)
            self._pending_rows += taken.num_rows
            batch = batch.slice(taken.num_rows)
            if self._pending_rows == size:
                self._write_row_group()
                if self._target.one_group_per_file or self._buffer.tell() >= _FILE_BYTES:
                    self._store_file()
        if time.monotonic() - self._stored_at >= self._seconds_per_file:
            self._store_rest()

    def close(self) -> list[dict[str, Any]]:
        """Store the remaining rows; returns a description of the task's files, with the fields of `files_schema`."""
        self._store_rest()
        return self._files

    def _store_rest(self) -> None:
        if self._pending_rows:
            self._write_row_group()
        if self._parquet is not None:
            self._store_file()

    def _write_row_group(self) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        table = pa.Table.from_batches(self._pending)
        if self._parquet is None:
            self._parquet = pq.ParquetWriter(
                self._buffer, table.schema, metadata_collector=self._footers, **_encoding(table.schema)
            )
        self._parquet.write_table(table, row_group_size=table.num_rows)
        self._pending, self._pending_rows = [], 0

    def _store_file(self) -> None:
        self._parquet.add_key_value_metadata(marks(self._target.fingerprint, self._notes()))
        self._parquet.close()
        path = f"{self._target.prefix}/part-{self._name}-{len(self._files):05}.parquet"
        self._target.store.put(path, self._buffer.getvalue())
        file = DataFile.of(path, self._buffer.tell(), self._footers.pop())
        extremes = {"least": file.least.get("path"), "greatest": file.greatest.get("path")}
        self._files.append({"path": path, "bytes": file.bytes, "rows": file.rows, **extremes})
        self._buffer, self._parquet = io.BytesIO(), None
        now = time.monotonic()
        self.longest_seconds, self._stored_at = max(self.longest_seconds, now - self._stored_at), now


def files_schema(*others: "pa.Field") -> "pa.Schema":
    """The Arrow schema of the one row that a writing task yields: its files, and other fields."""
    import pyarrow as pa

    texts = [(name, pa.string()) for name in ("path", "least", "greatest")]
    file = pa.struct([*texts, ("bytes", pa.int64()), ("rows", pa.int64())])
    return pa.schema([pa.field("files", pa.list_(file)), *others])


def stage_written(
    writing: VersionWriter, files: Iterable[DataFile], schema: str, facts: dict[str, Any] | None = None
) -> StagedCommit:
    """Stage a version that consists of these files.

    Args:
        writing: the asset's table, run and attempt.
        files: from `data_files_from`, and files of earlier versions that are kept.
        schema: of the rows, in Spark's DDL.
        facts: of the version.
    """
    return writing.stage(files, columns_of(schema), facts)


def stage_rows(writing: VersionWriter, batches: "Iterable[pa.RecordBatch]", schema: str) -> StagedCommit:
    """Write rows from this process, in bounded memory, and stage a version that consists of them."""
    writer = RowWriter(WriteTarget.of(writing, _ROWS_PER_GROUP))
    for batch in batches:
        writer.write(batch)
    return stage_written(writing, [_data_file(**file) for file in writer.close()], schema)


def data_files_from(collected: "pa.Table") -> list[DataFile]:
    """The files of all tasks, from their results."""
    return [_data_file(**file) for files in collected["files"].to_pylist() for file in files]


def _data_file(path: str, bytes: int, rows: int, least: str | None, greatest: str | None) -> DataFile:  # noqa: A002
    extremes = [{} if value is None else {"path": value} for value in (least, greatest)]
    return DataFile(path, bytes, rows, *extremes)


def _encoding(schema: "pa.Schema") -> dict[str, Any]:
    """Parquet options: a dictionary for labels, which repeat; no compression or statistics for images."""
    import pyarrow as pa

    leaves = {
        field.name: f"{field.name}.list.element" if pa.types.is_list(field.type) else field.name for field in schema
    }
    compressed = {leaves[field.name]: "none" if pa.types.is_binary(field.type) else "zstd" for field in schema}
    return {
        "use_dictionary": [name for name in ("label",) if name in leaves],
        "write_statistics": [name for name in ("path", "label") if name in leaves],
        "compression": compressed,
    }
