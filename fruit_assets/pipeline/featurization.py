"""Features of a sample: what can be reused, what must be computed, and the jobs that do it.

Put here the Spark side of the network. What a worker does with its images belongs in `image_batches.py`, what it
tells of them in `task_report.py`, what need not be computed at all in `reuse.py`.
"""

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any

from fruit_assets.pipeline.extractor import ExtractorFiles
from fruit_assets.pipeline.image_batches import FeaturizationOptions, featurize_batch, worker_engine
from fruit_assets.pipeline.reuse import COPIES, ReusePlan
from fruit_assets.pipeline.task_report import TASK_REPORT, FeaturizationFigures, TaskReport, figures_of
from fruit_assets.storage.tables import Writing, stage_frame
from fruit_assets.storage.versions import StagedVersion
from fruit_assets.storage.worker_reading import ArrowFunction, Reading, map_in_workers, row_group_count
from fruit_assets.storage.worker_writing import RowWriter, Target, stage_written, told_files

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession

    from fruit_assets.storage.versions import Version

FEATURES_SCHEMA = "path string, label string, sha256 string, features array<float>"
_BATCH_ROWS = 64
# Seconds of inference, not minutes.
_IMAGES_PER_TASK = 1024
_READING = Reading(["path", "label", "sha256", "content"], _IMAGES_PER_TASK, _BATCH_ROWS, tapered=True)
_FEATURES_PER_GROUP = 8192  # 40 MB
_COPIED_ROWS = 2048
# Keys that every worker can hold; of more, Spark makes a join.
_SELECTION_BYTES = 32 * 2**20
_BROADCAST_BYTES = 256 * 2**20


def featurize(
    session: "SparkSession",
    sample: "Version",
    plan: ReusePlan,
    extractor: ExtractorFiles,
    options: FeaturizationOptions,
    writing: Writing,
) -> tuple[StagedVersion, FeaturizationFigures]:
    """Stage the features of a sample: one pass over the images, each distinct image inferred once.

    The fact `measures` tells the `shortest` and the `longest` row.

    Args:
        session: the Spark session.
        sample: the published sample, `path, label, sha256, content`.
        plan: which of its rows to compute, from `reuse.plan_reuse`.
        extractor: the published extractor.
        options: batch size, engine, precision.
        writing: the asset's folder, run and attempt.
    """
    # Spark finds its files by listing the folder: it writes first.
    reused = _stage_reused(session, plan, writing)
    featurizer = _featurizer(extractor, options, Target.of(writing, _FEATURES_PER_GROUP))
    told = _computed(session, sample, plan, featurizer)
    files = told_files(told)
    widths = set(chain.from_iterable(told["widths"].to_pylist()))
    if reused is not None:
        files += reused.manifest.files
        widths.update(reused.manifest.facts["measures"].values())
    facts = {"measures": {"shortest": min(widths, default=None), "longest": max(widths, default=None)}}
    return stage_written(writing, files, FEATURES_SCHEMA, facts), figures_of(told, plan)


def fingerprint_of(extractor: ExtractorFiles, options: FeaturizationOptions) -> str:
    """What names the features of this extractor and these options."""
    return extractor.description.features_fingerprint(options.precision)


def _stage_reused(session: "SparkSession", plan: ReusePlan, writing: Writing) -> StagedVersion | None:
    if plan.previous is None or not plan.reused_count:
        return None
    from pyspark.sql import functions as F

    known = plan.previous.to_spark(session).selectExpr("path AS known_path", "features")
    rows = known.join(_small(session, plan.reused()), on="known_path", how="inner")
    widths = {"shortest": F.min(F.size("features")), "longest": F.max(F.size("features"))}
    return stage_frame(rows.select("path", "label", "sha256", "features"), writing, measures=widths)


def _computed(session: "SparkSession", sample: "Version", plan: ReusePlan, featurizer: ArrowFunction) -> "pa.Table":
    """What the tasks tell of the images that they computed."""
    import pyarrow as pa

    if not plan.compute_count:
        return pa.Table.from_batches([TaskReport().batch([])])
    return _work(session, sample, plan, featurizer).toArrow()


def _work(session: "SparkSession", sample: "Version", plan: ReusePlan, featurizer: ArrowFunction) -> "DataFrame":
    if plan.computes_everything:
        return map_in_workers(sample, session, _READING, featurizer, TASK_REPORT)
    keys = plan.to_compute()
    if keys.nbytes <= _SELECTION_BYTES:
        chosen = _selecting(session.sparkContext.broadcast(keys), featurizer)
        return map_in_workers(sample, session, _READING, chosen, TASK_REPORT)
    tuned = _with_even_tasks(session, sample)
    return sample.to_spark(tuned).join(_small(tuned, keys), on="path", how="inner").mapInArrow(featurizer, TASK_REPORT)


def _selecting(shared: Any, function: ArrowFunction) -> ArrowFunction:
    """The function over the rows whose path is among the keys, with the keys' other columns."""

    def select(batches: Iterable["pa.RecordBatch"]) -> Iterator["pa.RecordBatch"]:
        keys = shared.value
        number_of = {path: number for number, path in enumerate(keys["path"].to_pylist())}
        for batch in batches:
            numbers = [number_of.get(path) for path in batch["path"].to_pylist()]
            if not (rows := [row for row, number in enumerate(numbers) if number is not None]):
                continue
            chosen = batch.take(rows)
            for name in keys.schema.names[1:]:
                values = keys[name].take([numbers[row] for row in rows]).combine_chunks()
                chosen = chosen.append_column(name, values)
            yield chosen

    return lambda batches: function(select(batches))


def _with_even_tasks(session: "SparkSession", sample: "Version") -> "SparkSession":
    """A session whose reads split the sample at its row groups, however small the files are."""
    tuned = session.newSession()
    total = sum(file.bytes for file in sample.manifest.files)
    tuned.conf.set("spark.sql.files.maxPartitionBytes", str(max(1, total // max(1, row_group_count(sample)))))
    tuned.conf.set("spark.sql.files.openCostInBytes", "0")
    tuned.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", str(_BATCH_ROWS))
    return tuned


def _small(session: "SparkSession", keys: "pa.Table") -> "DataFrame":
    from pyspark.sql import functions as F

    frame = session.createDataFrame(keys)
    return F.broadcast(frame) if keys.nbytes < _BROADCAST_BYTES else frame


def _featurizer(extractor: ExtractorFiles, options: FeaturizationOptions, target: Target) -> ArrowFunction:
    def featurize_rows(batches: Iterable["pa.RecordBatch"]) -> Iterator["pa.RecordBatch"]:
        engine, writer, report = None, RowWriter(target), TaskReport()
        for batch in batches:
            # Not before the first row: many tasks of an incremental run are empty.
            engine = engine or worker_engine(extractor, options)
            done = featurize_batch(batch, engine, extractor.description.input_size)
            report.add(done)
            for rows in _rows_of(done, batch):
                writer.write(rows)
        yield report.batch(writer.close())

    return featurize_rows


def _rows_of(done: "pa.RecordBatch", batch: "pa.RecordBatch") -> "Iterator[pa.RecordBatch]":
    """The rows to write of a batch: those that could be read, once for every path with the same bytes."""
    import pyarrow as pa
    import pyarrow.compute as pc

    readable = done["reason"].is_null()
    rows = done.select(["path", "label", "sha256", "features"]).filter(readable)
    yield rows
    if COPIES not in batch.schema.names:
        return
    copies = batch[COPIES].filter(readable)
    originals, others = pc.list_parent_indices(copies), copies.flatten()
    # One placeholder may be there a hundred thousand times.
    for start in range(0, len(others), _COPIED_ROWS):
        some, of = others.slice(start, _COPIED_ROWS), rows.take(originals.slice(start, _COPIED_ROWS))
        columns = [pc.struct_field(some, "path"), pc.struct_field(some, "label"), of["sha256"], of["features"]]
        yield pa.RecordBatch.from_arrays(columns, rows.schema.names)
