"""A new version of the sample: files that stay, rows that are copied on the workers, images that are fetched.

Put here how the rows of an increment become a staged version. What is kept and what is fetched is decided in
`sample_increment.py`; reading images belongs in `fetching.py`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from fruit_assets.images.fetching import (
    SAMPLE_COLUMNS,
    SAMPLE_SCHEMA,
    fetch_images,
    require_readable,
    row_group_rows,
    rows_that_fit,
)
from fruit_assets.images.known_rows import KnownRows, fingerprint_of
from fruit_assets.images.sample_increment import KEYS, SampleIncrement
from fruit_assets.images.sampling import content_digest
from fruit_assets.keys.key_files import copy_keys
from fruit_assets.keys.row_keys import row_keys
from fruit_assets.spark.reading import ScanOptions, map_batches
from fruit_assets.spark.tasks import ArrowFunction, collect
from fruit_assets.spark.this_process import TaskRunner
from fruit_assets.spark.writing import RowWriter, WriteTarget, data_files_from, files_schema, stage_written
from fruit_assets.storage.delta.staged_commit import StagedCommit
from fruit_assets.storage.parquet_files import ROW_GROUP_ROWS, DataFile
from fruit_assets.storage.staging import VersionWriter

if TYPE_CHECKING:
    import pyarrow as pa


_COPYING = ScanOptions(SAMPLE_COLUMNS, rows_per_task=8192, rows_per_batch=64)
_ALL_ROWS = """
select path, label, sha256 from {table} union all select path, label, sha256 from {copied}
union all select path, label, sha256 from {fetched}
"""


@dataclass(frozen=True)
class WrittenRows:
    """The new files of a version; none where all its rows stay where they are.

    Attributes:
        row_group_rows: rows of the row groups of all files of the version.
        fetched: files of the images that were fetched.
        copied: files of the rows that were copied.
    """

    row_group_rows: int
    fetched: Sequence[DataFile] = ()
    copied: Sequence[DataFile] = ()


def write_rows(
    context: TaskRunner, root: str, increment: SampleIncrement, known: KnownRows, writing: VersionWriter
) -> WrittenRows:
    """Fetch and copy the rows of an increment that do not stay where they are.

    Args:
        context: the Spark context, or this process.
        root: the collection's folder or `s3://` URI.
        increment: from `increment_of`.
        known: the rows that it builds on.
        writing: the asset's folder, run and attempt.
    """
    count, average_bytes = increment.written_size()
    of_version = row_group_rows(count, average_bytes, int(context.defaultParallelism))
    if increment.kept_files:
        # All files of a version have equally large row groups, but for the last of each.
        of_version = known.version.facts[ROW_GROUP_ROWS]
    rows = min(of_version, rows_that_fit(average_bytes))
    target = WriteTarget.of(writing, rows, fingerprint_of(root))
    target = replace(target, one_group_per_file=rows < of_version)
    notes = {ROW_GROUP_ROWS: of_version}
    copied = []
    if increment.copied.num_rows:
        wanted = increment.to_copy()
        copied = data_files_from(collect(map_batches(known.version, context, _COPYING, _copier(target, notes), wanted)))
    return WrittenRows(of_version, fetch_images(context, root, increment.fetched, target, notes), copied)


def stage_sample(
    root: str, increment: SampleIncrement, written: WrittenRows, writing: VersionWriter, most_unread: float
) -> StagedCommit:
    """Stage the files of a sample; its facts name the collection and the content.

    Args:
        root: the collection's folder or `s3://` URI.
        increment: from `increment_of`.
        written: from `write_rows`.
        writing: the asset's folder, run and attempt.
        most_unread: largest share of images that cannot be read.

    Raises:
        InputError: more of them cannot be read.
    """
    store = writing.table.store
    copy_keys(store, [*written.fetched, *written.copied], KEYS)
    digests = row_keys(store, written.fetched, ("path", "label", "sha256"), increment.fetched.database)
    rows = increment.kept.select(_ALL_ROWS, copied=increment.copied, fetched=digests)
    require_readable(rows, root, most_unread)
    (unread,) = rows.values("count(*) - count(sha256)")
    facts = {ROW_GROUP_ROWS: written.row_group_rows, "root": root, "unread": unread}
    files = [*increment.kept_files, *written.copied, *written.fetched]
    return stage_written(writing, files, SAMPLE_SCHEMA, {**facts, "data_version": content_digest(rows)})


def _copier(target: WriteTarget, notes: Mapping[str, int]) -> ArrowFunction:
    """Writes rows as they are."""

    def copy_rows(batches: Iterable["pa.RecordBatch"]) -> Iterator["pa.RecordBatch"]:
        import pyarrow as pa

        writer = RowWriter(target, notes=lambda: notes)
        for batch in batches:
            writer.write(batch.select(SAMPLE_COLUMNS))
        yield pa.RecordBatch.from_pydict({"files": [writer.close()]}, files_schema())

    return copy_rows
