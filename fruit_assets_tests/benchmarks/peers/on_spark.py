"""The peer on plain `pyspark`: a pandas UDF around the exported OpenVINO model or around Keras, written with care.

Put here what a user of Spark would write, and nothing of ours; it runs alone, as `python -m ... IMAGES OUT
--network MODEL_OR_WEIGHTS`. `notebook_pipeline.py` is the careless version; what all peers share is in `job.py`.
"""

import io
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from fruit_assets_tests.benchmarks.peers.job import PeerJob, job_from, write_components
from fruit_assets_tests.benchmarks.plain_inference import PlainExtractor

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from pyspark.sql import DataFrame, SparkSession

_SIDE = 224
# Batches of 8 to 64 take the same processor time per image.
_BATCH_SIZE = 32
# Enough tasks for the cores to end together; the network is built once per process, whatever their number.
_TASKS_PER_WORKER = 8


class KerasExtractor:
    """MobileNetV2 without its top, for one thread of one process."""

    def __init__(self, weights: str) -> None:
        import keras
        import tensorflow as tf

        from fruit_assets_tests.benchmarks.notebook_pipeline import network

        # There is a process per core: more threads would be in each other's way.
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
        self._preprocess = keras.applications.mobilenet_v2.preprocess_input
        self._model = network(weights)
        # On one thread it takes 16.5 ms of processor time per image, `model.predict` 19.2.
        self._call = tf.function(lambda pixels: self._model(pixels, training=False), reduce_retracing=True)

    def features(self, contents: Sequence[bytes]) -> "np.ndarray":
        """(n, 1280) float32 of n images."""
        import numpy as np

        pixels = np.stack([self._pixels(content) for content in contents])
        return np.asarray(self._call(self._preprocess(pixels)))

    def _pixels(self, content: bytes) -> "np.ndarray":
        import numpy as np
        from PIL import Image

        image = Image.open(io.BytesIO(content)).convert("RGB")
        return np.asarray(image.resize((_SIDE, _SIDE), Image.Resampling.BICUBIC), dtype=np.float32)


@cache
def _extractor(network: str, precision: str) -> KerasExtractor | PlainExtractor:
    """One per worker process: Spark uses a process again for the next task."""
    return PlainExtractor(network, precision) if network.endswith(".xml") else KerasExtractor(network)


def featurize(contents: "Iterator[pd.Series]", network: str, precision: str) -> "Iterator[pd.Series]":
    import pandas as pd

    for batch in contents:
        yield pd.Series(list(_extractor(network, precision).features(batch.to_list())))


def features(session: "SparkSession", job: PeerJob) -> "DataFrame":
    """`path, label, features`, lazily."""
    from pyspark.sql import functions as F

    files = (
        session.read.format("binaryFile")
        .option("pathGlobFilter", "*.jpg")
        .option("recursiveFileLookup", "true")
        .load(str(job.images))
    )
    spread = files.select("path", "content").repartition(_TASKS_PER_WORKER * job.workers)
    return spread.select(
        F.split_part("path", F.lit(f"{job.images}/"), F.lit(2)).alias("path"),
        F.element_at(F.split("path", "/"), -2).alias("label"),
        _pandas_udf(job.network, job.precision)("content").alias("features"),
    )


def _pandas_udf(network: str, precision: str) -> Any:
    import pandas as pd
    from pyspark.sql.pandas.functions import pandas_udf

    def udf(contents: Iterator[pd.Series]) -> Iterator[pd.Series]:
        # Imported by name, so that the worker keeps the module, and its extractor, from task to task.
        from fruit_assets_tests.benchmarks.peers import on_spark

        return on_spark.featurize(contents, network, precision)

    return pandas_udf(udf, "array<float>")  # type: ignore[call-overload]  # Spark goes by the hints


def main(arguments: Sequence[str]) -> int:
    job = job_from(arguments)
    from pyspark.sql import SparkSession

    session = (
        SparkSession.builder.appName("peer")
        .master(f"local[{job.workers}]")
        .config("spark.sql.execution.arrow.maxRecordsPerBatch", job.batch_size or _BATCH_SIZE)
        .getOrCreate()
    )
    session.sparkContext.setLogLevel("ERROR")
    features(session, job).write.parquet(str(job.features_folder))
    session.stop()
    write_components(job)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
