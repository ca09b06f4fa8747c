"""Features of a sample: what can be reused, what must be computed, and the jobs that do it.

Put here the Spark side of the network. What a worker does with its images belongs in `inference_worker.py`, what it
reports of them in `task_stats.py`, what need not be computed at all in `increments.py`.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING

from fruit_assets.extractor.specification import ExtractorFiles
from fruit_assets.features.increments import COPIES, KEYS
from fruit_assets.features.inference_worker import FeaturizationOptions, featurize_batch, worker_engine
from fruit_assets.features.known_features import Increment
from fruit_assets.features.task_stats import FeaturizationFigures, TaskReport, figures_of, notes_of, widths_of
from fruit_assets.keys.key_files import copy_keys
from fruit_assets.spark.reading import ROW, ScanOptions, map_batches
from fruit_assets.spark.tasks import ArrowFunction, collect
from fruit_assets.spark.writing import (
    SECONDS_PER_FILE,
    RowWriter,
    WriteTarget,
    data_files_from,
    files_schema,
    stage_written,
)
from fruit_assets.storage.delta.staged_commit import StagedCommit
from fruit_assets.storage.staging import VersionWriter

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark import SparkContext

    from fruit_assets.storage.delta.version import Version

FEATURES_SCHEMA = "path string, label string, sha256 string, features array<float>"
_BATCH_ROWS = 64
# Between two looks at the clock a task computes for so long at most, by the speed of the images before: with
# `SECONDS_PER_FILE` this is what a core loses when a run is killed. The first images show the speed.
_PORTION_SECONDS, _FIRST_IMAGES = 8.0, 8
_IMAGES_PER_TASK, _BYTES_PER_TASK = 512, 256 * 2**20
_FEATURES_PER_GROUP = 8192  # 40 MB
_COPIED_ROWS = 2048
# Keys of one Spark job are in the driver's memory, some 200 bytes each.
_COPIED_PER_JOB = 2**19
_COPYING = ScanOptions(["features"], rows_per_task=32768, rows_per_batch=2048)


def featurize(
    context: "SparkContext",
    increment: Increment,
    extractor: ExtractorFiles,
    options: FeaturizationOptions,
    writing: VersionWriter,
) -> tuple[StagedCommit, FeaturizationFigures]:
    """Stage the features of a sample: one pass over the images, each distinct image inferred once.

    The fact `measures` holds the `shortest` and the `longest` row.

    Args:
        context: the Spark context.
        increment: the published sample, `path, label, sha256, content`, and which of its rows to compute.
        extractor: the published extractor.
        options: batch size, engine, precision.
        writing: the asset's folder, run and attempt.
    """
    plan, known = increment.plan, increment.known
    target = WriteTarget.of(writing, _FEATURES_PER_GROUP, file_fingerprint(extractor, options))
    reports = _computed(context, increment, _featurizer(extractor, options, target))
    files, widths = data_files_from(reports), set(chain.from_iterable(reports["widths"].to_pylist()))
    widths |= known.widths(plan.sources)
    copier = _copier(target, sorted(known.arithmetics(plan.sources)))
    for rows in plan.copied.chunks([*KEYS, ROW], _COPIED_PER_JOB):
        copied = collect(map_batches(known.as_version(), context, _COPYING, copier, rows))
        files += data_files_from(copied)
        widths.update(chain.from_iterable(copied["widths"].to_pylist()))
    copy_keys(target.store, files, KEYS)
    facts = {"measures": {"shortest": min(widths, default=None), "longest": max(widths, default=None)}}
    return stage_written(writing, [*files, *plan.kept_files], FEATURES_SCHEMA, facts), figures_of(reports, plan)


def fingerprint_of(extractor: ExtractorFiles, options: FeaturizationOptions) -> str:
    """What names the features of this extractor and these options."""
    network, _, precision = extractor.description.features_fingerprint(options.precision).rpartition("-")
    decoding = options.decoding.identity
    return f"{network}~{decoding}-{precision}" if decoding else f"{network}-{precision}"


def file_fingerprint(extractor: ExtractorFiles, options: FeaturizationOptions) -> str:
    """What a file of features must be marked with for a later run to take it over, with the rejections it notes."""
    return f"{fingerprint_of(extractor, options)}, at most {options.decoding.max_pixels} pixels, {FEATURES_SCHEMA}"


def _computed(context: "SparkContext", increment: Increment, featurizer: ArrowFunction) -> "pa.Table":
    """The reports of the tasks on the images that they computed."""
    import pyarrow as pa

    plan, sample = increment.plan, increment.sample
    if not plan.compute_count:
        return pa.Table.from_batches([TaskReport().batch([])])
    wanted = None if plan.computes_everything else plan.to_compute()
    return collect(map_batches(sample, context, _reading(sample), featurizer, wanted))


def _reading(sample: "Version") -> ScanOptions:
    """Tasks of half a minute where a core computes 20 images a second and decodes 10 MB; see `_portions` for others."""
    images = min(_IMAGES_PER_TASK, max(1, _BYTES_PER_TASK * sample.row_count // max(1, sample.bytes)))
    return ScanOptions(["path", "label", "sha256", "content"], images, _BATCH_ROWS, tapered=True)


def _copier(target: WriteTarget, arithmetics: Sequence[str]) -> ArrowFunction:
    """Writes the features of rows that are taken over, under their names in this sample."""

    def copy_rows(batches: Iterable["pa.RecordBatch"]) -> Iterator["pa.RecordBatch"]:
        import pyarrow as pa

        widths: set[int] = set()
        writer = RowWriter(target, notes=lambda: notes_of(widths, arithmetics))
        for batch in batches:
            widths.update(widths_of(batch["features"]))
            writer.write(batch.select(["path", "label", "sha256", "features"]))
        reports = {"files": [writer.close()], "widths": [sorted(widths)]}
        yield pa.RecordBatch.from_pydict(reports, files_schema(pa.field("widths", pa.list_(pa.int64()))))

    return copy_rows


def _featurizer(extractor: ExtractorFiles, options: FeaturizationOptions, target: WriteTarget) -> ArrowFunction:
    def featurize_rows(batches: Iterable["pa.RecordBatch"]) -> Iterator["pa.RecordBatch"]:
        engine, report = None, TaskReport()
        writer = RowWriter(target, report.notes, SECONDS_PER_FILE)
        for batch in _portions(batches):
            # Not before the first row: of an empty sample there is none.
            engine = engine or worker_engine(extractor, options)
            done = featurize_batch(batch, engine, extractor.description.input_size, options.decoding)
            report.add(done, engine.batching)
            for rows in _rows_of(done, batch):
                writer.write(rows)
        files = writer.close()
        yield report.batch(files, writer.longest_seconds)

    return featurize_rows


def _portions(
    batches: "Iterable[pa.RecordBatch]", clock: Callable[[], float] = time.monotonic
) -> "Iterator[pa.RecordBatch]":
    """The batches, cut so that the consumer of each portion takes `_PORTION_SECONDS` at most."""
    most = _FIRST_IMAGES
    for batch in batches:
        while batch.num_rows:
            portion, batch = batch.slice(0, most), batch.slice(most)
            started = clock()
            yield portion
            seconds = max(clock() - started, 1e-9)
            most = max(1, min(_BATCH_ROWS, int(_PORTION_SECONDS * portion.num_rows / seconds)))


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
    # One placeholder may occur a hundred thousand times.
    for start in range(0, len(others), _COPIED_ROWS):
        some, of = others.slice(start, _COPIED_ROWS), rows.take(originals.slice(start, _COPIED_ROWS))
        columns = [pc.struct_field(some, "path"), pc.struct_field(some, "label"), of["sha256"], of["features"]]
        yield pa.RecordBatch.from_arrays(columns, rows.schema.names)
