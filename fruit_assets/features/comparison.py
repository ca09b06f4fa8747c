"""Computing some of the sampled images at two precisions, side by side, on the workers.

Put here the job and the figures that follow from its rows. What they are held against belongs in `drift_check.py`.
"""

import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from fruit_assets.analysis.moments import feature_matrix
from fruit_assets.extractor.architectures import DriftLimits, architecture_named
from fruit_assets.extractor.engines import load_engine
from fruit_assets.extractor.processor import runs_natively
from fruit_assets.extractor.specification import ExtractorFiles
from fruit_assets.extractor.tuning import FeatureEngine
from fruit_assets.features.drift_check import DriftFigures
from fruit_assets.features.inference_worker import (
    FeaturizationOptions,
    decode_all,
    list_column,
    worker_engine,
    worker_folder,
)
from fruit_assets.images.pixels.decoding_options import DecodingOptions
from fruit_assets.spark.reading import ROW, ScanOptions, map_batches, sample_row_numbers
from fruit_assets.spark.tasks import ArrowFunction, collect

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from pyspark import SparkContext

    from fruit_assets.storage.delta.version import Version

MOST_IMAGES, _LEAST_IMAGES = 256, 64
_SHARE = 8
_CHUNK = 16  # images between two looks at the clock
_READING = ScanOptions(["path", "label", "content"], MOST_IMAGES, rows_per_batch=64)


def images_to_compare(sampled: int) -> int:
    """How many images of a sample are worth the time: an eighth, within 64 and 256."""
    return min(sampled, MOST_IMAGES, max(_LEAST_IMAGES, sampled // _SHARE))


def compare(
    context: "SparkContext", sample: "Version", extractor: ExtractorFiles, options: FeaturizationOptions
) -> DriftFigures:
    """Compute some of the sampled images at `options.precision` and at f32, on the workers, and compare.

    Args:
        context: the Spark context.
        sample: the published sample.
        extractor: the published extractor.
        options: what to compare with f32.
    """
    import pyarrow as pa

    count = images_to_compare(sample.row_count)
    # Neighbours in the sample share a label: a single image of a label has no neighbour to be recognised by.
    wanted = pa.table({ROW: sample_row_numbers(sample, count, run=4)})
    compared = collect(map_batches(sample, context, _READING, _comparer(extractor, options), wanted))
    limits = architecture_named(extractor.description.architecture).drift_limits
    return figures_of(options.precision, compared, limits)


def figures_of(precision: str, compared: "pa.Table", limits: DriftLimits) -> DriftFigures:
    """The figures that follow from rows of both features, as `_compared` makes them."""
    import numpy as np

    if not compared.num_rows:
        return DriftFigures(precision, 0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, False, (), limits)
    reference, features = (_unit(feature_matrix(compared[name])) for name in ("reference", "features"))
    cosines = (reference * features).sum(axis=1)
    labels = np.array(compared["label"].to_pylist())
    before, after = _nearest(reference), _nearest(features)
    right_before, right_after = labels[before] == labels, labels[after] == labels
    # Only images that one precision gets right and the other wrong count (McNemar).
    discordant = int((right_before != right_after).sum())
    # The minimum: it belongs to the best of the batch sizes tried, in a round without disturbance.
    times = [float(np.min(compared[name].to_numpy())) for name in ("reference_us", "features_us")]
    return DriftFigures(
        precision=precision,
        images=compared.num_rows,
        mean_cosine=float(cosines.mean()),
        least_cosine=float(cosines.min()),
        neighbour_agreement=float((before == after).mean()),
        accuracy=float(right_after.mean()),
        reference_accuracy=float(right_before.mean()),
        accuracy_error=discordant**0.5 / compared.num_rows,
        speedup=times[0] / max(times[1], 1.0),
        native=all(runs_natively(precision, tuple(flags.split())) for flags in set(compared["flags"].to_pylist())),
        executed=tuple(sorted(set(compared["arithmetic"].to_pylist()))),
        limits=limits,
    )


def _unit(rows: "np.ndarray") -> "np.ndarray":
    import numpy as np

    unit: np.ndarray = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    return unit


def _nearest(unit: "np.ndarray") -> "np.ndarray":
    """For every row the index of the other row that is most like it."""
    import numpy as np

    similarity = unit @ unit.T
    np.fill_diagonal(similarity, -np.inf)
    nearest: np.ndarray = similarity.argmax(axis=1)
    return nearest


def _comparer(extractor: ExtractorFiles, options: FeaturizationOptions) -> ArrowFunction:
    def compare_images(batches: Iterable["pa.RecordBatch"]) -> Iterator["pa.RecordBatch"]:
        size = extractor.description.input_size
        folder = worker_folder(extractor, options.cache)
        # The reference is not kept: the worker goes on with the other one alone.
        engines = load_engine(folder, size, "openvino", "f32", options.batch_size), worker_engine(extractor, options)
        for batch in batches:
            for start in range(0, batch.num_rows, _CHUNK):
                yield _compared(batch.slice(start, _CHUNK), engines, size, options.decoding)

    return compare_images


def _compared(
    batch: "pa.RecordBatch", engines: tuple[FeatureEngine, FeatureEngine], size: int, decoding: DecodingOptions
) -> "pa.RecordBatch":
    import numpy as np
    import pyarrow as pa

    pixels, reasons, _ = decode_all(batch, size, decoding)
    readable = np.array([reason is None for reason in reasons], dtype=bool)
    all_rows = np.ones(len(pixels), dtype=bool)
    both, times = [], []
    for engine in engines:
        started = time.perf_counter_ns()
        both.append(list_column(engine(pixels), all_rows))
        times.append((time.perf_counter_ns() - started) // (1000 * max(1, len(pixels))))
    arithmetic = engines[1].arithmetic
    columns = [
        batch.column("label").filter(pa.array(readable)),
        *both,
        *(pa.array(np.full(len(pixels), value, np.int64)) for value in times),
        pa.repeat(str(arithmetic), len(pixels)),
        pa.repeat(" ".join(arithmetic.flags), len(pixels)),
    ]
    names = ["label", "reference", "features", "reference_us", "features_us", "arithmetic", "flags"]
    return pa.RecordBatch.from_arrays(columns, names)
