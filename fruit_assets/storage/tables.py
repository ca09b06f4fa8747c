"""Tables of a version: Parquet files that Spark or its workers write and anyone reads.

Put here how rows get into and out of the files a manifest lists; what workers write is in `worker_writing.py`.
Publishing them belongs in `versions.py`; what the rows mean belongs to the pipeline.
"""

import io
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fruit_assets.errors import StorageError
from fruit_assets.storage.stores import StoredObject
from fruit_assets.storage.versions import AssetFolder, DataFile, StagedVersion, Version, version_name

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import Column, DataFrame, SparkSession

# Written before the work starts, so that storage that refuses us does so in the first second.
STARTED = "STARTED"
# Row groups that a look at a version may read: some 1.5 MB each.
_SPREAD_GROUPS = 16


@dataclass(frozen=True)
class Writing:
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


def stage_frame(
    frame: "DataFrame",
    writing: Writing,
    measures: "Mapping[str, Column] | None" = None,
) -> StagedVersion:
    """Write a lazy Spark frame as a staged version.

    The frame is computed exactly once. The rows that Spark's metrics saw must be the rows that the
    files' own footers report.

    Args:
        frame: what to write.
        writing: the asset's folder, run and attempt.
        measures: aggregates over the rows as they are written, by name; found in the facts as `measures`.

    Raises:
        StorageError: storage cannot be written, or files and metrics disagree.
    """
    from pyspark.sql import Observation
    from pyspark.sql import functions as F

    writing.begin()
    seen = Observation()
    aggregates = [measure.alias(name) for name, measure in (measures or {}).items()]
    watched = frame.observe(seen, F.count(F.lit(1)).alias("rows"), *aggregates)
    # Append, because the folder exists already and is ours alone: nothing is ever deleted by a write.
    target = writing.folder.store.uri_of(writing.prefix)
    watched.write.mode("append").parquet(_spark_path(target))
    files = _data_files(writing)
    if (listed := sum(file.rows for file in files)) != seen.get["rows"]:
        raise StorageError(
            f"Spark wrote {seen.get['rows']} rows to {target}, but its files hold "
            f"{listed}: a task attempt left files behind. Nothing was published; run the step again."
        )
    schema = [{"name": item.name, "type": item.dataType.simpleString()} for item in frame.schema.fields]
    measured = {name: seen.get[name] for name in measures or {}}
    return writing.folder.staged(writing.run_id, writing.attempt, files, schema, {"measures": measured})


def stage_table(table: "pa.Table", writing: Writing) -> StagedVersion:
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


def stage_again(version: Version, writing: Writing) -> StagedVersion:
    """A new version made of the files of an existing one: nothing is copied or rewritten."""
    writing.begin()
    manifest = version.manifest
    return writing.folder.staged(writing.run_id, writing.attempt, manifest.files, manifest.schema, manifest.facts)


def read_arrow(version: Version, columns: list[str] | None) -> "pa.Table":
    """Rows of exactly the listed files; see `Version.read_table`."""
    import pyarrow.parquet as pq

    filesystem, root = version.store.filesystem()
    paths = [f"{root}/{file.path}" for file in version.manifest.files]
    try:
        # No partitioning: a storage path may well hold a '=' that means nothing.
        return pq.read_table(paths, columns=columns, filesystem=filesystem, partitioning=None)
    except (OSError, ValueError) as error:
        raise StorageError(f"Cannot read version {version.manifest.version} of {version.store.uri}: {error}") from error


def read_spread(version: Version, count: int, columns: list[str], run: int = 1) -> "pa.Table":
    """At most `count` rows, spread evenly over the files; reads few row groups however large the version is.

    Args:
        version: a published table.
        count: rows wanted.
        columns: to read.
        run: rows that are taken together wherever some are taken.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    filesystem, root = version.store.filesystem()
    filled = [file for file in version.manifest.files if file.rows]
    chosen = [filled[index] for index in _evenly(len(filled), _SPREAD_GROUPS)]
    parts = []
    for file in chosen:
        with filesystem.open_input_file(f"{root}/{file.path}") as source:
            parquet = pq.ParquetFile(source)
            groups = _evenly(parquet.num_row_groups, max(1, _SPREAD_GROUPS // len(chosen)))
            parts.append(parquet.read_row_groups(groups, columns=columns))
    if not parts:
        return version.read_table(columns)
    table = pa.concat_tables(parts)
    if table.num_rows <= count:
        return table
    starts = np.array(_evenly(table.num_rows // run, count // run), dtype=np.int64) * run
    return table.take((starts[:, None] + np.arange(run)).reshape(-1))


def _evenly(available: int, wanted: int) -> list[int]:
    """At most `wanted` of the numbers below `available`, evenly spaced."""
    count = min(available, wanted)
    return [number * available // count for number in range(count)]


def read_spark(version: Version, session: "SparkSession") -> "DataFrame":
    """A lazy frame over exactly the listed files; see `Version.to_spark`."""
    schema = ", ".join(f"`{column['name']}` {column['type']}" for column in version.manifest.schema)
    return session.read.schema(schema).parquet(*(_spark_glob(uri) for uri in version.uris))


def _data_files(writing: Writing) -> tuple[DataFile, ...]:
    import pyarrow.parquet as pq

    store = writing.folder.store
    filesystem, root = store.filesystem()
    found = [item for item in store.list(f"{writing.prefix}/") if item.key.endswith(".parquet")]
    written = sorted((item for item in found if "/_temporary/" not in item.key), key=lambda item: item.key)

    def describe(item: StoredObject) -> DataFile:
        with filesystem.open_input_file(f"{root}/{item.key}") as file:
            return DataFile(item.key, item.size, pq.ParquetFile(file).metadata.num_rows)

    with ThreadPoolExecutor(max_workers=16) as pool:
        return tuple(pool.map(describe, written))


def _spark_path(uri: str) -> str:
    """`uri` for Spark to write to: local paths name their scheme."""
    return uri if "://" in uri else f"file:{uri}"


def _spark_glob(uri: str) -> str:
    """`uri` for Spark to read: characters that it would expand are escaped."""
    return "".join(f"\\{character}" if character in "{}[]*?\\" else character for character in _spark_path(uri))


def _spark_type(arrow_type: "pa.DataType") -> str:
    import pyarrow as pa

    if pa.types.is_list(arrow_type) or pa.types.is_large_list(arrow_type):
        return f"array<{_spark_type(arrow_type.value_type)}>"
    names = {"string": "string", "binary": "binary", "float": "float", "double": "double", "int64": "bigint"}
    return names[str(arrow_type)]
