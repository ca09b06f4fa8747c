"""The contenders of the PCA benchmark: `pyspark.ml.feature.PCA` and this project's, each in its own process.

Put here one contender's whole process: a session, a warm-up, the fit. The warm-up equals the state of a run of the
graph before the fit: Spark has started its Python workers and has read the rows. Run it as
`python -m ... ours|ml ROWS RESULT`; it writes its figures as JSON.
"""

import argparse
import json
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fruit_assets_tests.benchmarks.feature_rows import opened_rows

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import SparkSession

COMPONENTS = 80
# One executor process of two cores, so that the tasks' memory is not in the driver.
SEPARATE_EXECUTOR = "local-cluster[1,2,2048]"


def fit_ours(session: "SparkSession", folder: Path) -> list[float]:
    """Our moments and fit; the share of the variance along the leading components."""
    from fruit_assets.analysis.moments_pass import compute_moments
    from fruit_assets.analysis.pca import fit

    model = fit(compute_moments(opened_rows(folder), session.sparkContext), COMPONENTS, None, standardize=False)
    return [float(share) for share in model.explained_variance_ratio[:COMPONENTS]]


def read_ours(session: "SparkSession", folder: Path) -> None:
    from fruit_assets.spark.reading import ScanOptions, map_batches
    from fruit_assets.spark.tasks import collect

    reading = ScanOptions(["features"], rows_per_task=32768, rows_per_batch=2048)
    collect(map_batches(opened_rows(folder), session.sparkContext, reading, _counted))


def fit_ml(session: "SparkSession", folder: Path) -> list[float]:
    """Spark's PCA, with vectors converted in the JVM, which is faster than a Python UDF."""
    from pyspark.ml.feature import PCA
    from pyspark.ml.functions import array_to_vector
    from pyspark.sql import functions as F

    rows = session.read.parquet(str(folder))
    vectors = rows.select(array_to_vector(F.col("features")).alias("vector"))
    model = PCA(k=COMPONENTS, inputCol="vector", outputCol="scores").fit(vectors)
    return [float(share) for share in model.explainedVariance.toArray()]


def read_ml(session: "SparkSession", folder: Path) -> None:
    session.read.parquet(str(folder)).selectExpr("sum(size(features))").collect()


@dataclass(frozen=True)
class Contender:
    """How a contender reads the rows once, and how it fits."""

    read: Callable[["SparkSession", Path], None]
    fit: Callable[["SparkSession", Path], list[float]]


CONTENDERS = {"ours": Contender(read_ours, fit_ours), "ml": Contender(read_ml, fit_ml)}


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("contender", choices=list(CONTENDERS))
    parser.add_argument("rows", type=Path)
    parser.add_argument("result", type=Path)
    parser.add_argument("--fits", type=int, default=1)
    parser.add_argument("--optimising-jvm", action="store_true", help="Spark's default JVM options instead of ours")
    parser.add_argument("--separate-executor", action="store_true")
    parser.add_argument("--driver-memory", default="2g")
    given = parser.parse_args(arguments)
    session = _session(given)
    contender = CONTENDERS[given.contender]
    contender.read(session, given.rows)
    seconds, shares = [], []
    for _ in range(given.fits):
        started = time.perf_counter()
        shares = contender.fit(session, given.rows)
        seconds.append(time.perf_counter() - started)
    result = {"seconds": seconds, "variance_shares": shares, "live_heap_bytes": _live_heap(session)}
    given.result.write_text(json.dumps(result))
    application = session.sparkContext.applicationId
    session.stop()
    _remove_executor_folder(application)
    return 0


def _session(given: argparse.Namespace) -> "SparkSession":
    from pyspark.sql import SparkSession

    from fruit_assets.spark.background import warm_up
    from fruit_assets.spark.session import LocalSparkOptions, start_local_context

    conf = {"spark.executor.memory": "1g"} if given.separate_executor else {}
    if given.optimising_jvm:
        conf["spark.driver.extraJavaOptions"] = ""
    master = SEPARATE_EXECUTOR if given.separate_executor else "local[*]"
    options = LocalSparkOptions(
        cache=given.result.parent / "cache", master=master, driver_memory=given.driver_memory, conf=conf
    )
    warm_up(start_local_context(options))
    return SparkSession.builder.getOrCreate()


def _counted(batches: Iterable["pa.RecordBatch"]) -> Iterator["pa.RecordBatch"]:
    import pyarrow as pa

    for batch in batches:
        yield pa.RecordBatch.from_pydict({"rows": [batch.num_rows]})


def _live_heap(session: "SparkSession") -> int:
    """Bytes that the driver's JVM still needs after a full collection."""
    jvm: Any = session.sparkContext._jvm
    runtime = jvm.java.lang.Runtime.getRuntime()
    jvm.java.lang.System.gc()
    return int(runtime.totalMemory() - runtime.freeMemory())


def _remove_executor_folder(application: str) -> None:
    """Remove the files of a separate executor, which Spark always writes to its own installation."""
    import pyspark

    shutil.rmtree(Path(pyspark.__file__).parent / "work" / application, ignore_errors=True)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
