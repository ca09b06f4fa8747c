"""Features of a sample: what can be reused, what must be computed, and the job that does it.

Put here the Spark side of the network: planning by keys, the worker's loop, and the figures of a run.
Pixels belong in `decoding.py`, engines in `extractor.py`.
"""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fruit_assets.pipeline.arrow_function import ArrowFunction
from fruit_assets.pipeline.extractor import (
    Engine,
    ExtractorFiles,
    Infer,
    features_fingerprint,
    load_engine,
)
from fruit_assets.pipeline.reuse import ReusePlan

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession

    from fruit_assets.storage.versions import Version

FEATURES_SCHEMA = "path string, label string, sha256 string, features array<float>"
_RESULT_SCHEMA = f"{FEATURES_SCHEMA}, reason string, finite boolean, decode_us bigint, inference_us bigint"
_BROADCAST_BYTES = 256 * 2**20


@dataclass(frozen=True)
class FeaturizationOptions:
    """How to compute features; none of it but the precision changes them by more than rounding.

    Attributes:
        batch_size: images per inference.
        engine: `openvino`, or `tensorflow` as the reference.
        precision: `f32` or `bf16`.
        cache: folder for extractor files fetched from S3, on every machine that runs tasks.
    """

    batch_size: int
    engine: Engine
    precision: str
    cache: Path


@dataclass(frozen=True)
class FeaturizationFigures:
    """What a finished featurization did.

    Attributes:
        computed: images that went through the network.
        broken: how many of these have a feature that is NaN or infinite.
        rejected: `path, label, sha256, reason` of every image that could not be read.
        decode_seconds: summed over workers.
        inference_seconds: summed over workers.
    """

    computed: int
    broken: int
    rejected: "pa.Table"
    decode_seconds: float
    inference_seconds: float


class Featurization:
    """A planned featurization: a lazy frame of features, and its figures once that frame was written.

    Attributes:
        plan: which rows are computed and which reused.
        features: lazy frame `path, label, sha256, features`.
    """

    def __init__(self, computed: "DataFrame", plan: ReusePlan, previous: "DataFrame | None") -> None:
        from pyspark.sql import Observation
        from pyspark.sql import functions as F

        self.plan = plan
        self._observation = Observation()
        session = computed.sparkSession
        unreadable = F.col("reason").isNotNull()
        rejected = F.when(unreadable, F.struct("path", "label", "sha256", "reason"))
        watched = computed.observe(
            self._observation,
            F.count(F.lit(1)).alias("inputs"),
            F.sum(F.when(F.col("finite"), 0).otherwise(1)).alias("broken"),
            F.sum("decode_us").alias("decode_us"),
            F.sum("inference_us").alias("inference_us"),
            # Rejected rows are few, and this keeps the job to one pass over the images.
            F.collect_list(rejected).alias("rejected"),
        )
        rows = watched.where(~unreadable).select("path", "label", "sha256", "features")
        if plan.has_duplicates:
            rows = _copied_to_duplicates(rows, _small(session, plan.copies()))
        if previous is not None and plan.reused_count:
            rows = rows.unionByName(_reused(previous, _small(session, plan.reused())))
        self.features = rows

    def figures(self) -> FeaturizationFigures:
        """Call after the frame was written; waits for the job's metrics."""
        import pyarrow as pa

        seen = self._observation.get
        rejected = pa.Table.from_pylist(
            [row.asDict() for row in seen["rejected"]],
            schema=pa.schema([(name, pa.string()) for name in ("path", "label", "sha256", "reason")]),
        )
        return FeaturizationFigures(
            computed=int(seen["inputs"]) - rejected.num_rows,
            broken=int(seen["broken"] or 0) - rejected.num_rows,
            rejected=self.plan.with_duplicates(rejected),
            decode_seconds=(seen["decode_us"] or 0) / 1e6,
            inference_seconds=(seen["inference_us"] or 0) / 1e6,
        )


def featurize(
    session: "SparkSession",
    sample: "Version",
    plan: ReusePlan,
    extractor: ExtractorFiles,
    options: FeaturizationOptions,
) -> Featurization:
    """Plan the features of a sample: one pass over the images, each distinct image inferred once.

    Args:
        session: the Spark session.
        sample: the published sample, `path, label, sha256, content`.
        plan: which of its rows to compute, from `reuse.plan_reuse`.
        extractor: the published extractor.
        options: batch size, engine, precision.
    """
    session = _with_even_tasks(session, sample)
    images = sample.to_spark(session)
    if not plan.computes_everything:
        images = images.join(_small(session, plan.to_compute()), on="path", how="left_semi")
    computed = images.mapInArrow(_featurizer(extractor, options), _RESULT_SCHEMA)
    previous = plan.previous.to_spark(session) if plan.previous is not None else None
    return Featurization(computed, plan, previous)


def fingerprint_of(extractor: ExtractorFiles, options: FeaturizationOptions) -> str:
    """What names the features of this extractor and these options."""
    return features_fingerprint(extractor.description.fingerprint, options.precision)


def _with_even_tasks(session: "SparkSession", sample: "Version") -> "SparkSession":
    """A session whose reads split the sample at its row groups, however small the files are."""
    tuned = session.newSession()
    tuned.conf.set("spark.sql.files.maxPartitionBytes", str(sample.manifest.facts.get("row_group_bytes", 4 * 2**20)))
    tuned.conf.set("spark.sql.files.openCostInBytes", "0")
    tuned.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", "64")
    return tuned


def _small(session: "SparkSession", keys: "pa.Table") -> "DataFrame":
    from pyspark.sql import functions as F

    frame = session.createDataFrame(keys)
    return F.broadcast(frame) if keys.nbytes < _BROADCAST_BYTES else frame


def _copied_to_duplicates(rows: "DataFrame", copies: "DataFrame") -> "DataFrame":
    """Give every path of a set of identical files the features of the one that was computed."""
    computed = rows.selectExpr("path AS computed_path", "sha256", "features")
    return computed.join(copies, on="computed_path", how="inner").select("path", "label", "sha256", "features")


def _reused(previous: "DataFrame", wanted: "DataFrame") -> "DataFrame":
    known = previous.selectExpr("path AS known_path", "features")
    return known.join(wanted, on="known_path", how="inner").select("path", "label", "sha256", "features")


def _featurizer(extractor: ExtractorFiles, options: FeaturizationOptions) -> ArrowFunction:
    def featurize_partition(batches: Iterable["pa.RecordBatch"]) -> Iterator["pa.RecordBatch"]:
        infer = None
        for batch in batches:
            # Not before the first row: many tasks of an incremental run are empty.
            infer = infer or worker_engine(extractor, options)
            yield featurize_batch(batch, infer, extractor.description.input_size)

    return featurize_partition


@lru_cache(maxsize=2)
def _loaded(folder: Path, input_size: int, engine: Engine, precision: str, batch_size: int) -> Infer:
    return load_engine(folder, input_size, engine, precision, batch_size)


@lru_cache(maxsize=2)
def _local_folder(uri: str, extractor_json: bytes, cache: Path) -> Path:
    from fruit_assets.pipeline.extractor import ExtractorDescription

    return ExtractorFiles(uri, ExtractorDescription.from_json(extractor_json)).local_folder(cache)


def worker_engine(extractor: ExtractorFiles, options: FeaturizationOptions) -> Infer:
    """The engine of this worker process: loaded for the first task, kept for all later ones."""
    folder = _local_folder(extractor.uri, extractor.description.to_json(), options.cache)
    size = extractor.description.input_size
    return _loaded(folder, size, options.engine, options.precision, options.batch_size)


def featurize_batch(batch: "pa.RecordBatch", infer: Infer, input_size: int) -> "pa.RecordBatch":
    """Decode and infer one Arrow batch of `path, label, sha256, content`.

    Returns:
        The same rows with `features` (null when rejected), `reason` (null when featurised) and the
        microseconds spent.
    """
    import numpy as np
    import pyarrow as pa

    started = time.perf_counter_ns()
    pixels, reasons = _decode_all(batch.column("content"), input_size)
    decoded = time.perf_counter_ns()
    features = infer(pixels)
    inferred = time.perf_counter_ns()
    readable = np.array([reason is None for reason in reasons], dtype=bool)
    rows = max(1, batch.num_rows)
    finite = np.zeros(batch.num_rows, dtype=bool)
    finite[readable] = np.isfinite(features).all(axis=1)
    microseconds = [(decoded - started) // (1000 * rows), (inferred - decoded) // (1000 * rows)]
    columns = [
        *(batch.column(name) for name in ("path", "label", "sha256")),
        _list_column(features, readable),
        pa.array(reasons, pa.string()),
        pa.array(finite),
        *(pa.array(np.full(batch.num_rows, value, np.int64)) for value in microseconds),
    ]
    names = ["path", "label", "sha256", "features", "reason", "finite", "decode_us", "inference_us"]
    return pa.RecordBatch.from_arrays(columns, names)


def _decode_all(contents: "pa.Array", input_size: int) -> "tuple[np.ndarray, list[str | None]]":
    import numpy as np

    from fruit_assets.pipeline.decoding import UnreadableImage, decode

    pixels = np.empty((len(contents), input_size, input_size, 3), np.uint8)
    reasons: list[str | None] = []
    count = 0
    for content in contents:
        try:
            pixels[count] = decode(content.as_py(), input_size)
        except UnreadableImage as error:
            reasons.append(str(error))
        else:
            reasons.append(None)
            count += 1
    return pixels[:count], reasons


def _list_column(features: "np.ndarray", readable: "np.ndarray") -> "pa.ListArray":
    """A list column with one row of `features` per readable row, null for the others."""
    import numpy as np
    import pyarrow as pa

    lengths = np.where(readable, features.shape[1], 0)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    mask: Any = pa.array(~readable) if not readable.all() else None
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(features.reshape(-1), pa.float32()), mask=mask)
