"""Features of a sample: what can be reused, what must be computed, and the jobs that do it.

Put here the Spark side of the network. What a worker does with its images belongs in `inference_worker.py`, what it
tells of them in `task_stats.py`, what need not be computed at all in `incremental.py`.
"""

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import TYPE_CHECKING

from fruit_assets.extractor.specification import ExtractorFiles
from fruit_assets.features.incremental import COPIES, IncrementalPlan
from fruit_assets.features.inference_worker import FeaturizationOptions, featurize_batch, worker_engine
from fruit_assets.features.task_stats import FeaturizationFigures, TaskReport, figures_of, widths_of
from fruit_assets.spark.reading import ScanOptions, map_batches
from fruit_assets.spark.tasks import ArrowFunction, collect
from fruit_assets.spark.writing import RowWriter, WriteTarget, data_files_from, files_schema, stage_written
from fruit_assets.storage.delta.staged_commit import StagedCommit
from fruit_assets.storage.staging import VersionWriter

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark import SparkContext

    from fruit_assets.storage.delta.version import Version

FEATURES_SCHEMA = "path string, label string, sha256 string, features array<float>"
_BATCH_ROWS = 64
# Seconds of inference, not minutes.
_IMAGES_PER_TASK = 1024
_READING = ScanOptions(["path", "label", "sha256", "content"], _IMAGES_PER_TASK, _BATCH_ROWS, tapered=True)
_FEATURES_PER_GROUP = 8192  # 40 MB
_COPIED_ROWS = 2048
_COPYING = ScanOptions(["features"], rows_per_task=32768, rows_per_batch=2048)


def featurize(
    context: "SparkContext",
    sample: "Version",
    plan: IncrementalPlan,
    extractor: ExtractorFiles,
    options: FeaturizationOptions,
    writing: VersionWriter,
) -> tuple[StagedCommit, FeaturizationFigures]:
    """Stage the features of a sample: one pass over the images, each distinct image inferred once.

    The fact `measures` tells the `shortest` and the `longest` row.

    Args:
        context: the Spark context.
        sample: the published sample, `path, label, sha256, content`.
        plan: which of its rows to compute, from `reuse.plan_reuse`.
        extractor: the published extractor.
        options: batch size, engine, precision.
        writing: the asset's folder, run and attempt.
    """
    target = WriteTarget.of(writing, _FEATURES_PER_GROUP)
    told = _computed(context, sample, plan, _featurizer(extractor, options, target))
    files, widths = data_files_from(told), set(chain.from_iterable(told["widths"].to_pylist()))
    if plan.previous is not None and plan.kept_files:
        files += plan.kept_files
        widths.update(filter(None, plan.previous.facts["measures"].values()))
    if plan.previous is not None and (reused := plan.reused()).num_rows:
        copied = collect(map_batches(plan.previous, context, _COPYING, _copier(target), reused))
        files += data_files_from(copied)
        widths.update(chain.from_iterable(copied["widths"].to_pylist()))
    facts = {"measures": {"shortest": min(widths, default=None), "longest": max(widths, default=None)}}
    return stage_written(writing, files, FEATURES_SCHEMA, facts), figures_of(told, plan)


def fingerprint_of(extractor: ExtractorFiles, options: FeaturizationOptions) -> str:
    """What names the features of this extractor and these options."""
    network, _, precision = extractor.description.features_fingerprint(options.precision).rpartition("-")
    decoding = options.decoding.identity
    return f"{network}~{decoding}-{precision}" if decoding else f"{network}-{precision}"


def _computed(
    context: "SparkContext", sample: "Version", plan: IncrementalPlan, featurizer: ArrowFunction
) -> "pa.Table":
    """What the tasks tell of the images that they computed."""
    import pyarrow as pa

    if not plan.compute_count:
        return pa.Table.from_batches([TaskReport().batch([])])
    wanted = None if plan.computes_everything else plan.to_compute()
    return collect(map_batches(sample, context, _READING, featurizer, wanted))


def _copier(target: WriteTarget) -> ArrowFunction:
    """Writes the features of rows that are taken over, under their names in this sample."""

    def copy_rows(batches: Iterable["pa.RecordBatch"]) -> Iterator["pa.RecordBatch"]:
        import pyarrow as pa

        writer, widths = RowWriter(target), set()
        for batch in batches:
            widths.update(widths_of(batch["features"]))
            writer.write(batch.select(["path", "label", "sha256", "features"]))
        told = {"files": [writer.close()], "widths": [sorted(widths)]}
        yield pa.RecordBatch.from_pydict(told, files_schema(pa.field("widths", pa.list_(pa.int64()))))

    return copy_rows


def _featurizer(extractor: ExtractorFiles, options: FeaturizationOptions, target: WriteTarget) -> ArrowFunction:
    def featurize_rows(batches: Iterable["pa.RecordBatch"]) -> Iterator["pa.RecordBatch"]:
        engine, writer, report = None, RowWriter(target), TaskReport()
        for batch in batches:
            # Not before the first row: of an empty sample there is none.
            engine = engine or worker_engine(extractor, options)
            done = featurize_batch(batch, engine, extractor.description.input_size, options.decoding)
            report.add(done, engine.batching)
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
