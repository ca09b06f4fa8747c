"""What a Spark worker does with a batch of images: decode, infer, and say how it went.

Put here the worker's loop over one Arrow batch, and the engine it keeps. Pixels belong in `decoding.py`,
engines in `engines.py`, the job in `featurization.py`.
"""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fruit_assets.extractor.engines import LoadedEngine, load_engine
from fruit_assets.extractor.specification import Engine, ExtractorFiles
from fruit_assets.extractor.tuning import FeatureEngine, TuningFile, load_tuned
from fruit_assets.images.pixels.decoding_options import TRAITS, DecodingOptions, Traits

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

_LOG = logging.getLogger(__name__)
# Files of a batch that decoders complained about and that are logged one by one.
_LOGGED_FILES = 3


@dataclass(frozen=True)
class FeaturizationOptions:
    """How to compute features; none of it but precision and decoding changes them by more than rounding.

    Attributes:
        batch_size: images per inference; None takes what is found to be fastest on each machine.
        engine: `openvino`, or `tensorflow` as the reference.
        precision: `f32`, `bf16` or `int8`.
        cache: folder for extractor files fetched from S3, on every machine that runs tasks.
        decoding: what to do with rotated, transparent, truncated and very large images.
    """

    batch_size: int | None
    engine: Engine
    precision: str
    cache: Path
    decoding: DecodingOptions = field(default_factory=DecodingOptions)


# Of this process: by description of the extractor and cache.
_folders: dict[tuple[bytes, Path], Path] = {}


@lru_cache(maxsize=2)
def _loaded(folder: Path, input_size: int, engine: Engine, precision: str, batch_size: int | None) -> LoadedEngine:
    return load_engine(folder, input_size, engine, precision, batch_size)


@lru_cache(maxsize=2)
def _tuned(folder: Path, input_size: int, precision: str, file: TuningFile) -> FeatureEngine:
    return load_tuned(partial(load_engine, folder, input_size, "openvino", precision), precision, file)


def worker_folder(extractor: ExtractorFiles, cache: Path) -> Path:
    """The extractor's files on this machine: fetched and checked once per worker process."""
    known = extractor.description.to_json(), cache
    if known not in _folders:
        _folders[known] = extractor.local_folder(cache)
    return _folders[known]


def worker_engine(extractor: ExtractorFiles, options: FeaturizationOptions) -> FeatureEngine:
    """The engine of this worker process: loaded for the first task, kept for all later ones."""
    folder = worker_folder(extractor, options.cache)
    size = extractor.description.input_size
    if options.engine == "tensorflow" or options.batch_size is not None:
        return _loaded(folder, size, options.engine, options.precision, options.batch_size)
    fingerprint = extractor.description.features_fingerprint(options.precision)
    return _tuned(folder, size, options.precision, TuningFile(options.cache, fingerprint))


def featurize_batch(
    batch: "pa.RecordBatch", engine: FeatureEngine, input_size: int, decoding: DecodingOptions
) -> "pa.RecordBatch":
    """Decode and infer one Arrow batch of `path, label, sha256, content`.

    Returns:
        The same rows with `features` (null when rejected), `reason` (null when featurised), the
        microseconds spent, the arithmetic that was used, and the traits that were seen of each image.
    """
    import numpy as np
    import pyarrow as pa

    started = time.perf_counter_ns()
    pixels, reasons, traits = decode_all(batch, input_size, decoding)
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
        *(pa.array([getattr(seen, name) for seen in traits], pa.bool_()) for name in TRAITS),
    ]
    names = ["path", "label", "sha256", "features", "reason", "finite", "decode_us", "inference_us", "arithmetic"]
    return pa.RecordBatch.from_arrays(columns, [*names, *TRAITS])


def decode_all(
    batch: "pa.RecordBatch", input_size: int, decoding: DecodingOptions
) -> "tuple[np.ndarray, list[str | None], list[Traits]]":
    """Decode the images of an Arrow batch of `path, content`; what decoders print is logged with the file's path.

    Returns:
        The pixels of the readable images (n, size, size, 3); for every image why it is not readable, or None; and
        what was seen of every image.
    """
    import numpy as np

    from fruit_assets.images.decoding import UnreadableImage, decode
    from fruit_assets.images.pixels.native_messages import captured_messages

    pixels = np.empty((batch.num_rows, input_size, input_size, 3), np.uint8)
    reasons: list[str | None] = []
    traits: list[Traits] = []
    messages: list[tuple[str, list[str]]] = []
    count = 0
    with captured_messages() as printed:
        for path, content in zip(batch.column("path"), batch.column("content"), strict=True):
            seen = Traits()
            try:
                decode(content.as_py(), input_size, pixels[count], decoding, seen)
            except UnreadableImage as error:
                reasons.append(str(error))
                traits.append(Traits())
            else:
                reasons.append(None)
                traits.append(seen)
                count += 1
            if lines := printed():
                messages.append((path.as_py(), lines))
    _log_messages(messages)
    return pixels[:count], reasons, traits


def _log_messages(messages: Sequence[tuple[str, list[str]]]) -> None:
    """One line for each of a few files, and one for the others."""
    for path, lines in messages[:_LOGGED_FILES]:
        more = f" (and {len(lines) - 1} more lines)" if len(lines) > 1 else ""
        _LOG.warning("%s: %s%s", path, lines[0], more)
    if others := messages[_LOGGED_FILES:]:
        _LOG.warning("Decoders print warnings about %d more files, such as %s", len(others), others[0][0])


def list_column(features: "np.ndarray", readable: "np.ndarray") -> "pa.ListArray":
    """A list column with one row of `features` per readable row, null for the others."""
    import numpy as np
    import pyarrow as pa

    lengths = np.where(readable, features.shape[1], 0)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    mask: Any = pa.array(~readable) if not readable.all() else None
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(features.reshape(-1), pa.float32()), mask=mask)
