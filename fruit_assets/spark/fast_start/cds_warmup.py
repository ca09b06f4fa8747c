"""A little of everything Spark is asked for here, on a handful of rows.

Put here what makes the JVM load the classes of a real run: parts to tasks, what they tell back, a broadcast, a tree of
tasks; and a session, for whoever asks for one. Results do not matter.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark import SparkContext


def rehearse(context: "SparkContext", folder: Path) -> None:
    """Run tasks on a few parts; write, read and collect a few rows below `folder` as frames."""
    from pyspark.sql import SparkSession

    shared = context.broadcast(1)
    numbers = context.parallelize([1, 2, 3, 4], 4).map(lambda number: (number % 2, number + shared.value))
    numbers.partitionBy(2, int).values().collect()
    context.statusTracker().getActiveStageIds()
    session = SparkSession.builder.getOrCreate()
    target = f"file:{folder}/rows"
    session.range(8).mapInArrow(_unchanged, "id bigint").write.parquet(target)
    session.read.schema("id bigint").parquet(target).where("id > 3").toArrow()


def _unchanged(batches: Iterable["pa.RecordBatch"]) -> Iterator["pa.RecordBatch"]:
    yield from batches
