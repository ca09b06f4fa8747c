"""Features of a sample: what can be reused, what must be computed, and the job that does it.

Put here the Spark side of the network: the job, and the figures of a run. What a worker does with a
batch of images belongs in `image_batches.py`, what need not be computed at all in `reuse.py`.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fruit_assets.pipeline.arrow_function import ArrowFunction
from fruit_assets.pipeline.extractor import ExtractorFiles
from fruit_assets.pipeline.image_batches import FeaturizationOptions, featurize_batch, worker_engine
from fruit_assets.pipeline.reuse import ReusePlan

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession

    from fruit_assets.storage.versions import Version

FEATURES_SCHEMA = "path string, label string, sha256 string, features array<float>"
_RESULT_SCHEMA = (
    f"{FEATURES_SCHEMA}, reason string, finite boolean, decode_us bigint, inference_us bigint, arithmetic string"
)
_BROADCAST_BYTES = 256 * 2**20


@dataclass(frozen=True)
class FeaturizationFigures:
    """What a finished featurization did.

    Attributes:
        computed: images that went through the network.
        broken: how many of these have a feature that is NaN or infinite.
        rejected: `path, label, sha256, reason` of every image that could not be read.
        decode_seconds: summed over workers.
        inference_seconds: summed over workers.
        arithmetics: what the tasks really ran at, as text; one, unless processors differ.
    """

    computed: int
    broken: int
    rejected: "pa.Table"
    decode_seconds: float
    inference_seconds: float
    arithmetics: tuple[str, ...]


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
            F.collect_set("arithmetic").alias("arithmetics"),
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
            arithmetics=tuple(sorted(seen["arithmetics"])),
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
    return extractor.description.features_fingerprint(options.precision)


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
        engine = None
        for batch in batches:
            # Not before the first row: many tasks of an incremental run are empty.
            engine = engine or worker_engine(extractor, options)
            yield featurize_batch(batch, engine, extractor.description.input_size)

    return featurize_partition
