"""Tables of a version: Parquet files that Spark's workers write and anyone reads.

Put here how rows get into and out of the files a manifest lists; what workers write is in `spark/writing.py`.
Publishing them belongs in `versions.py`; what the rows mean belongs to the pipeline.
"""

import io
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from fruit_assets.errors import StorageError
from fruit_assets.storage.stores import Store
from fruit_assets.storage.versions import AssetFolder, DataFile, StagedVersion, Version, version_name

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession

# Written before the work starts, so that storage that refuses us does so in the first second.
STARTED = "STARTED"
_ROWS_AT_A_TIME = 2048
# A file on S3 is some requests, one after the other, and a few megabytes.
_FILES_AT_A_TIME = 8


@dataclass(frozen=True)
class VersionWriter:
    """Where and as what one attempt of one run writes.

    Attributes:
        folder: the asset's folder.
        run_id: the Dagster run.
        attempt: 0 for the first try of the step, 1 for its first retry, ...
    """

    folder: AssetFolder
    run_id: str
    attempt: int = 0

    @property
    def prefix(self) -> str:
        return f"versions/{version_name(self.run_id, self.attempt)}"

    def begin(self) -> None:
        """Claim the version's folder; raises StorageError when storage cannot be written."""
        self.folder.store.put(f"{self.prefix}/{STARTED}", b"")


def stage_table(table: "pa.Table", writing: VersionWriter) -> StagedVersion:
    """Write a small Arrow table as a staged version of one file; same schema names as Spark gives."""
    import pyarrow.parquet as pq

    writing.begin()
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    key = f"{writing.prefix}/part-00000.parquet"
    writing.folder.store.put(key, buffer.getvalue())
    schema = [{"name": item.name, "type": _spark_type(item.type)} for item in table.schema]
    files = (DataFile(key, buffer.tell(), table.num_rows),)
    return writing.folder.staged(writing.run_id, writing.attempt, files, schema)


def republish(version: Version, writing: VersionWriter) -> StagedVersion:
    """A new version made of the files of an existing one: nothing is copied or rewritten."""
    writing.begin()
    manifest = version.manifest
    return writing.folder.staged(writing.run_id, writing.attempt, manifest.files, manifest.schema, manifest.facts)


def read_arrow(version: Version, columns: list[str] | None) -> "pa.Table":
    """Rows of exactly the listed files; see `Version.read_table`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    def read(path: str) -> "pa.Table":
        with explained_reading(version.store, path), version.store.open(path) as source:
            return pq.read_table(source, columns=columns)

    with ThreadPoolExecutor(_FILES_AT_A_TIME) as pool:
        return pa.concat_tables(pool.map(read, [file.path for file in version.manifest.files]))


def read_rows_at(version: Version, numbers: "np.ndarray", columns: list[str]) -> "pa.Table":
    """Some rows of a version, by their sorted numbers in the order of its files; holds few others at a time."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    files = version.manifest.files
    # Where the rows of every file begin, in the version and among the numbers.
    firsts = np.cumsum([0, *(file.rows for file in files)])
    places = np.searchsorted(numbers, firsts)

    def rows_of(index: int) -> "list[pa.RecordBatch]":
        path = files[index].path
        with explained_reading(version.store, path), version.store.open(path) as source:
            batches = pq.ParquetFile(source).iter_batches(_ROWS_AT_A_TIME, columns=columns)
            return [batch for batch, _ in take_rows(batches, numbers, int(firsts[index]))]

    with ThreadPoolExecutor(_FILES_AT_A_TIME) as pool:
        parts = list(chain.from_iterable(pool.map(rows_of, np.flatnonzero(np.diff(places)).tolist())))
    return pa.Table.from_batches(parts) if parts else version.read_table(columns).slice(0, 0)


@contextmanager
def explained_reading(store: Store, path: str) -> "Iterator[None]":
    """Say which file it is that cannot be read; raises StorageError."""
    try:
        yield
    except (OSError, ValueError) as error:
        raise StorageError(f"Cannot read {store.uri_of(path)}: {error}") from error


def take_rows(
    batches: "Iterable[pa.RecordBatch]", numbers: "np.ndarray", first: int = 0
) -> "Iterator[tuple[pa.RecordBatch, slice]]":
    """The rows with these sorted numbers, and which of the numbers those of a batch are.

    Args:
        batches: rows in order.
        numbers: of the rows wanted; one that is there twice gives its row twice.
        first: number of the first row of the batches.
    """
    import numpy as np
    import pyarrow as pa

    for batch in batches:
        start, end = np.searchsorted(numbers, [first, first + batch.num_rows])
        if start < end:
            yield batch.take(pa.array(numbers[start:end] - first)), slice(int(start), int(end))
        first += batch.num_rows


def read_spark(version: Version, session: "SparkSession") -> "DataFrame":
    """A lazy frame over exactly the listed files; see `Version.to_spark`."""
    schema = ", ".join(f"`{column['name']}` {column['type']}" for column in version.manifest.schema)
    return session.read.schema(schema).parquet(*(_spark_glob(uri) for uri in version.uris))


def _spark_glob(uri: str) -> str:
    """`uri` for Spark to read: local paths name their scheme, characters that it would expand are escaped."""
    path = uri if "://" in uri else f"file:{uri}"
    return "".join(f"\\{character}" if character in "{}[]*?\\" else character for character in path)


def _spark_type(arrow_type: "pa.DataType") -> str:
    import pyarrow as pa

    if pa.types.is_list(arrow_type) or pa.types.is_large_list(arrow_type):
        return f"array<{_spark_type(arrow_type.value_type)}>"
    names = {"string": "string", "binary": "binary", "float": "float", "double": "double", "int64": "bigint"}
    return names[str(arrow_type)]
