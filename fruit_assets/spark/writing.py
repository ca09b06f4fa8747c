"""Rows of a new version, written by Spark's workers themselves.

Put here how what a Python function makes on a worker gets into a version's files. A task writes files of its own
and tells their names with its result, so a manifest lists exactly those of the attempts that succeeded; what an
attempt that failed leaves behind is listed by nobody. Nothing is renamed, which on S3 would mean copying.
"""

import io
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fruit_assets.storage.stores import Store
from fruit_assets.storage.tables import VersionWriter
from fruit_assets.storage.versions import DataFile, StagedVersion

if TYPE_CHECKING:
    import pyarrow as pa

# A file is held in memory until it is whole.
_FILE_BYTES = 32 * 2**20


@dataclass(frozen=True)
class WriteTarget:
    """Where tasks write, and in what portions.

    Attributes:
        store: the asset's.
        prefix: the version's folder in it.
        row_group_rows: rows of every row group but the last of a file.
    """

    store: Store
    prefix: str
    row_group_rows: int

    @staticmethod
    def of(writing: VersionWriter, row_group_rows: int) -> "WriteTarget":
        """Claim the version's folder; raises StorageError when storage cannot be written."""
        writing.begin()
        return WriteTarget(writing.folder.store, writing.prefix, row_group_rows)


class RowWriter:
    """The rows of one task, in files of some 32 MB at most."""

    def __init__(self, target: WriteTarget) -> None:
        self._target = target
        # Files sort by task, so that two runs give the same rows in the same order; no two attempts share a name.
        self._name = f"{_task_number():06}-{uuid.uuid4().hex}"
        self._pending: list[pa.RecordBatch] = []
        self._pending_rows = 0
        self._buffer = io.BytesIO()
        self._parquet: Any = None
        self._rows_in_file = 0
        self._files: list[dict[str, Any]] = []

    def write(self, batch: "pa.RecordBatch") -> None:
        """Add rows; whole row groups are encoded, whole files stored."""
        size = self._target.row_group_rows
        while batch.num_rows:
            taken = batch.slice(0, size - self._pending_rows)
            self._pending.append(taken)
            self._pending_rows += taken.num_rows
            batch = batch.slice(taken.num_rows)
            if self._pending_rows == size:
                self._write_row_group()
                if self._buffer.tell() >= _FILE_BYTES:
                    self._store_file()

    def close(self) -> list[dict[str, Any]]:
        """Store what is left; what the task tells of its files, as `files_schema` has it."""
        if self._pending_rows:
            self._write_row_group()
        if self._parquet is not None:
            self._store_file()
        return self._files

    def _write_row_group(self) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        table = pa.Table.from_batches(self._pending)
        if self._parquet is None:
            self._parquet = pq.ParquetWriter(self._buffer, table.schema, **_encoding(table.schema))
        self._parquet.write_table(table, row_group_size=table.num_rows)
        self._rows_in_file += table.num_rows
        self._pending, self._pending_rows = [], 0

    def _store_file(self) -> None:
        self._parquet.close()
        path = f"{self._target.prefix}/part-{self._name}-{len(self._files):05}.parquet"
        self._target.store.put(path, self._buffer.getvalue())
        self._files.append({"path": path, "bytes": self._buffer.tell(), "rows": self._rows_in_file})
        self._buffer, self._parquet, self._rows_in_file = io.BytesIO(), None, 0


def files_schema(*others: "pa.Field") -> "pa.Schema":
    """The Arrow schema of the one row that a task which writes yields: its files, and what it tells beside them."""
    import pyarrow as pa

    file = pa.struct([("path", pa.string()), ("bytes", pa.int64()), ("rows", pa.int64())])
    return pa.schema([pa.field("files", pa.list_(file)), *others])


def stage_written(
    writing: VersionWriter, files: Iterable[DataFile], schema: str, facts: dict[str, Any] | None = None
) -> StagedVersion:
    """What all tasks wrote, as a staged version.

    Args:
        writing: the asset's folder, run and attempt.
        files: from `data_files_from`.
        schema: of the rows, in Spark's DDL.
        facts: of the manifest.
    """
    # A flat schema, such as `path string, features array<float>`.
    columns = [dict(zip(("name", "type"), column.split(" ", 1), strict=True)) for column in schema.split(", ")]
    listed = tuple(sorted(files, key=lambda file: file.path)) or (_file_without_rows(writing, columns),)
    return writing.folder.staged(writing.run_id, writing.attempt, listed, columns, facts)


def data_files_from(told: "pa.Table") -> list[DataFile]:
    """The files of all tasks, of what they told."""
    return [DataFile(**file) for files in told["files"].to_pylist() for file in files]


def _task_number() -> int:
    from pyspark import TaskContext

    task = TaskContext.get()
    return 0 if task is None else task.partitionId()


def _file_without_rows(writing: VersionWriter, columns: list[dict[str, str]]) -> DataFile:
    """A table of no rows still has its columns."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = {"string": pa.string(), "binary": pa.binary(), "array<float>": pa.list_(pa.float32())}
    buffer = io.BytesIO()
    pq.write_table(pa.schema([(column["name"], types[column["type"]]) for column in columns]).empty_table(), buffer)
    path = f"{writing.prefix}/part-00000.parquet"
    writing.folder.store.put(path, buffer.getvalue())
    return DataFile(path, buffer.tell(), 0)


def _encoding(schema: "pa.Schema") -> dict[str, Any]:
    """Labels repeat, the rest does not; images are compressed already, and no reader asks for their extremes."""
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
