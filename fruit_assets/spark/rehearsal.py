"""A little of everything Spark is asked for here, on a handful of rows.

Put here what makes the JVM load the classes of a real run: Arrow in and out of Python workers, Parquet, joins,
observed metrics, a tree reduction. Results do not matter.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import SparkSession

_SCHEMA = "path string, content binary, features array<float>"


def rehearse(session: "SparkSession", folder: Path) -> None:
    """Write, read, join, observe and reduce a few rows below `folder`."""
    import pyarrow as pa
    from pyspark.sql import Observation
    from pyspark.sql import functions as F

    keys = session.createDataFrame(pa.table({"path": [f"{number}" for number in range(64)]}))
    rows = keys.mapInArrow(_rows, _SCHEMA)
    seen = Observation()
    watched = rows.observe(seen, F.count(F.lit(1)).alias("rows"), F.max(F.size("features")).alias("longest"))
    target = f"file:{folder}/rows"
    watched.write.mode("append").parquet(target)
    assert seen.get["rows"] == 64  # noqa: S101  and waits for the metrics
    again = session.newSession().read.schema(_SCHEMA).parquet(target)
    joined = again.join(
        F.broadcast(session.createDataFrame(pa.table({"path": ["1", "2"]}))), on="path", how="left_semi"
    )
    joined.unionByName(again.where(F.col("content").isNotNull())).write.mode("append").parquet(f"file:{folder}/joined")
    counts = again.select("features").coalesce(2).mapInArrow(_counted, "count bigint")
    numbered = counts.withColumn("partition", F.spark_partition_id()).repartitionById(1, "partition")
    numbered.toArrow()


def _rows(batches: Iterable["pa.RecordBatch"]) -> Iterator["pa.RecordBatch"]:
    import pyarrow as pa

    for batch in batches:
        contents, features = pa.array([b"content"] * batch.num_rows), pa.array([[0.0, 1.0]] * batch.num_rows)
        yield pa.RecordBatch.from_arrays(
            [batch.column("path"), contents, features.cast(pa.list_(pa.float32()))], ["path", "content", "features"]
        )


def _counted(batches: Iterable["pa.RecordBatch"]) -> Iterator["pa.RecordBatch"]:
    import pyarrow as pa

    for batch in batches:
        yield pa.RecordBatch.from_arrays([pa.array([batch.num_rows])], ["count"])
