"""What a Spark worker does with a batch of images: decode, infer, and say how it went.

Put here the worker's loop over one Arrow batch, and the engine it keeps. Pixels belong in `decoding.py`,
engines in `engines.py`, the job in `featurization.py`.
"""

import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fruit_assets.extractor.engines import LoadedEngine, load_engine
from fruit_assets.extractor.specification import Engine, ExtractorDescription, ExtractorFiles

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa


@dataclass(frozen=True)
class FeaturizationOptions:
    """How to compute features; none of it but the precision changes them by more than rounding.

    Attributes:
        batch_size: images per inference; None takes what is fastest for the precision.
        engine: `openvino`, or `tensorflow` as the reference.
        precision: `f32`, `bf16` or `int8`.
        cache: folder for extractor files fetched from S3, on every machine that runs tasks.
    """

    batch_size: int | None
    engine: Engine
    precision: str
    cache: Path


@lru_cache(maxsize=2)
def _loaded(folder: Path, input_size: int, engine: Engine, precision: str, batch_size: int | None) -> LoadedEngine:
    return load_engine(folder, input_size, engine, precision, batch_size)


@lru_cache(maxsize=2)
def _local_folder(uri: str, extractor_json: bytes, cache: Path) -> Path:
    return ExtractorFiles(uri, ExtractorDescription.from_json(extractor_json)).local_folder(cache)


def worker_folder(extractor: ExtractorFiles, cache: Path) -> Path:
    """The extractor's files on this machine: fetched and checked once per worker process."""
    return _local_folder(extractor.uri, extractor.description.to_json(), cache)


def worker_engine(extractor: ExtractorFiles, options: FeaturizationOptions) -> LoadedEngine:
    """The engine of this worker process: loaded for the first task, kept for all later ones."""
    folder = worker_folder(extractor, options.cache)
    size = extractor.description.input_size
    return _loaded(folder, size, options.engine, options.precision, options.batch_size)


def featurize_batch(batch: "pa.RecordBatch", engine: LoadedEngine, input_size: int) -> "pa.RecordBatch":
    """Decode and infer one Arrow batch of `path, label, sha256, content`.

    Returns:
        The same rows with `features` (null when rejected), `reason` (null when featurised), the
        microseconds spent and the arithmetic that was used.
    """
    import numpy as np
    import pyarrow as pa

    started = time.perf_counter_ns()
    pixels, reasons = decode_all(batch.column("content"), input_size)
    decoded = time.perf_counter_ns()
    features = engine(pixels)
    inferred = time.perf_counter_ns()
    readable = np.array([reason is None for reason in reasons], dtype=bool)
    rows = max(1, batch.num_rows)
    finite = np.zeros(batch.num_rows, dtype=bool)
    finite[readable] = np.isfinite(features).all(axis=1)
    microseconds = [(decoded - started) // (1000 * rows), (inferred - decoded) // (1000 * rows)]
    columns = [
        *(batch.column(name) for name in ("path", "label", "sha256")),
        list_column(features, readable),
        pa.array(reasons, pa.string()),
        pa.array(finite),
        *(pa.array(np.full(batch.num_rows, value, np.int64)) for value in microseconds),
        pa.repeat(str(engine.arithmetic), batch.num_rows),
    ]
    names = ["path", "label", "sha256", "features", "reason", "finite", "decode_us", "inference_us", "arithmetic"]
    return pa.RecordBatch.from_arrays(columns, names)


def decode_all(contents: "pa.Array", input_size: int) -> "tuple[np.ndarray, list[str | None]]":
    """The pixels of the readable images (n, size, size, 3), and for every image why it is not, or None."""
    import numpy as np

    from fruit_assets.images.decoding import UnreadableImage, decode

    pixels = np.empty((len(contents), input_size, input_size, 3), np.uint8)
    reasons: list[str | None] = []
    count = 0
    for content in contents:
        try:
            decode(content.as_py(), input_size, into=pixels[count])
        except UnreadableImage as error:
            reasons.append(str(error))
        else:
            reasons.append(None)
            count += 1
    return pixels[:count], reasons


def list_column(features: "np.ndarray", readable: "np.ndarray") -> "pa.ListArray":
    """A list column with one row of `features` per readable row, null for the others."""
    import numpy as np
    import pyarrow as pa

    lengths = np.where(readable, features.shape[1], 0)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    mask: Any = pa.array(~readable) if not readable.all() else None
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(features.reshape(-1), pa.float32()), mask=mask)
