"""Rows of a new version, written by Spark's workers themselves.

Put here how what a Python function makes on a worker gets into a table's files. A task writes files of its own and
names them in its result, so a commit adds exactly those of the attempts that succeeded. What an attempt that failed
leaves behind is not lost when its target has a fingerprint: see `storage/recovery.py`. Nothing is renamed, which on S3
would mean copying.
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

# A file is held in memory until it is whole.
_FILE_BYTES = 32 * 2**20
_ROWS_PER_GROUP = 65536
# A worker that is killed loses what it has not stored: a file is stored when its rows have taken this long.
SECONDS_PER_FILE = 20.0


@dataclass(frozen=True)
class WriteTarget:
    """Where tasks write, and in what portions.

    Attributes:
        store: the table's folder.
        prefix: the attempt's folder in it.
        row_group_rows: rows of every row group but the last of a file.
        fingerprint: of all that decides what a row with a given key holds; with it, a later run can take over files
            that were completed and not committed. Empty where none shall.
        one_group_per_file: for row groups smaller than those of other files of the table.
    """

    store: Store
    prefix: str
    row_group_rows: int
    fingerprint: str = ""
    one_group_per_file: bool = False

    @staticmethod
    def of(writing: VersionWriter, row_group_rows: int, fingerprint: str = "") -> "WriteTarget":
        """Where an attempt writes; raises StorageError when storage cannot be written."""
        writing.require_writable()
        return WriteTarget(writing.table.store, writing.prefix, row_group_rows, fingerprint)


class RowWriter:
    """The rows of one task, in files of some 32 MB at most.

    Args:
        target: where to.
        notes: what the task knows beside its rows, asked for with every file: JSON, for a run that recovers the file.
        seconds_per_file: a file is stored with the first rows that come later than this.

    Attributes:
        longest_seconds: the longest that a task has worked for one file.
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
        # Files sort by task, so that two runs give the same rows in the same order; no two attempts share a name.
        self._name = f"{task_number():06}-{uuid.uuid4().hex}"
        self._pending: list[pa.RecordBatch] = []
        self._pending_rows = 0
        self._buffer = io.BytesIO()
        self._parquet: Any = None
        self._footers: list[Any] = []
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
                if self._target.one_group_per_file or self._buffer.tell() >= _FILE_BYTES:
                    self._store_file()
        if time.monotonic() - self._stored_at >= self._seconds_per_file:
            self._store_rest()

    def close(self) -> list[dict[str, Any]]:
        """Store what is left; what the task tells of its files, as `files_schema` has it."""
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
    """The Arrow schema of the one row that a task which writes yields: its files, and what it tells beside them."""
    import pyarrow as pa

    texts = [(name, pa.string()) for name in ("path", "least", "greatest")]
    file = pa.struct([*texts, ("bytes", pa.int64()), ("rows", pa.int64())])
    return pa.schema([pa.field("files", pa.list_(file)), *others])


def stage_written(
    writing: VersionWriter, files: Iterable[DataFile], schema: str, facts: dict[str, Any] | None = None
) -> StagedCommit:
    """Stage what all tasks wrote, as all that the table shall hold.

    Args:
        writing: the asset's table, run and attempt.
        files: from `data_files_from`, and those of earlier versions that stay.
        schema: of the rows, in Spark's DDL.
        facts: of the version.
    """
    return writing.stage(files, columns_of(schema), facts)


def stage_rows(writing: VersionWriter, batches: "Iterable[pa.RecordBatch]", schema: str) -> StagedCommit:
    """Write rows from this process, however many, and stage them as all that the table shall hold."""
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
