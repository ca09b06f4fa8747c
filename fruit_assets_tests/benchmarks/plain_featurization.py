"""The limit: plain processes, one thread each, that decode, resize and infer, and nothing else.

Put here that loop, in our own words and without our pipeline: no framework, no Spark, no storage. It
runs alone, as `python -m ... IMAGES EXTRACTOR --out FOLDER`, and leaves `rates.json` and `features.npy`.
"""

import argparse
import json
import multiprocessing
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fruit_assets_tests.benchmarks.cold_process import PYTHON, environment, run_cold
from fruit_assets_tests.benchmarks.machine import cores
from fruit_assets_tests.benchmarks.plain_inference import compiled, pixels_of

if TYPE_CHECKING:
    import numpy as np

_RATES, _FEATURES = "rates.json", "features.npy"
_PATIENCE_SECONDS = 300.0


@dataclass(frozen=True)
class PlainRates:
    """What the processes together reached, once all were ready.

    Attributes:
        images: that went through, all passes together.
        images_per_second: decoding, resizing and inference.
        inference_per_second: of inference alone, had there been nothing else to do.
    """

    images: int
    images_per_second: float
    inference_per_second: float


@dataclass(frozen=True)
class Work:
    """What every process does.

    Attributes:
        files: paths of the images; a process takes every n-th.
        model: the exported OpenVINO model, uint8 pixels in.
        side: height and width the model takes, pixels.
        precision: `f32`, `bf16` or `int8`.
        batch_size: images per inference.
        passes: how often each image is done; more only makes a longer measurement.
        processes: that share the images; 0 starts one per core.
    """

    files: Sequence[str]
    model: str
    side: int
    precision: str
    batch_size: int
    passes: int = 1
    processes: int = 0


@dataclass(frozen=True)
class _Share:
    """One process's part: which images, when it began and ended, and the seconds of inference in between."""

    indices: Sequence[int]
    features: "np.ndarray"
    began: float
    ended: float
    inference_seconds: float


def measure(work: Work, folder: Path) -> PlainRates:
    """Run the loop in a cold process that starts as many workers as the work wants."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "work.json").write_text(json.dumps(asdict(work)))
    run_cold([PYTHON, "-m", __name__, str(folder)], folder, environment())
    return PlainRates(**json.loads((folder / _RATES).read_text()))


def features_in(folder: Path) -> "np.ndarray":
    """(n, 1280) features that `measure` left, in the order of its files."""
    import numpy as np

    return np.asarray(np.load(folder / _FEATURES))


def main(arguments: Sequence[str]) -> int:
    import numpy as np

    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    folder: Path = parser.parse_args(arguments).folder
    work = Work(**json.loads((folder / "work.json").read_text()))
    context = multiprocessing.get_context("spawn")
    processes = work.processes or cores()
    ready = context.Barrier(processes)
    with context.Pool(processes, initializer=_remember, initargs=(ready,)) as pool:
        # One task per process: none may take a second while another still waits at the barrier.
        shares = pool.starmap(_run_share, [(work, number, processes) for number in range(processes)], chunksize=1)
    images = len(work.files) * work.passes
    seconds = max(share.ended for share in shares) - min(share.began for share in shares)
    infer_rate = sum(len(share.indices) * work.passes / share.inference_seconds for share in shares)
    (folder / _RATES).write_text(json.dumps(asdict(PlainRates(images, images / seconds, infer_rate))))
    features = np.empty((len(work.files), shares[0].features.shape[1]), np.float32)
    for share in shares:
        features[list(share.indices)] = share.features
    np.save(folder / _FEATURES, features)
    return 0


_ready: Any = None


def _remember(barrier: Any) -> None:
    """Keep the barrier in this process: it can only be inherited, not sent with a task."""
    global _ready
    _ready = barrier


def _run_share(work: Work, number: int, processes: int) -> _Share:
    import numpy as np

    indices = range(number, len(work.files), processes)
    contents = [Path(work.files[index]).read_bytes() for index in indices]
    infer = compiled(work.model, work.side, work.precision, work.batch_size)
    infer(np.zeros((work.batch_size, work.side, work.side, 3), np.uint8))
    # Bounded, so that a process that died before it was ready fails the others instead of holding them.
    _ready.wait(_PATIENCE_SECONDS)
    began = time.perf_counter()
    features, inference_seconds = np.empty((0, 0), np.float32), 0.0
    for _ in range(work.passes):
        features, seconds = _one_pass(contents, infer, work)
        inference_seconds += seconds
    return _Share(indices, features, began, time.perf_counter(), inference_seconds)


def _one_pass(
    contents: Sequence[bytes], infer: "Callable[[np.ndarray], np.ndarray]", work: Work
) -> "tuple[np.ndarray, float]":
    import numpy as np

    pixels = np.zeros((work.batch_size, work.side, work.side, 3), np.uint8)
    parts, inference_seconds = [], 0.0
    for start in range(0, len(contents), work.batch_size):
        batch = contents[start : start + work.batch_size]
        for row, content in enumerate(batch):
            pixels[row] = pixels_of(content, work.side)
        started = time.perf_counter()
        parts.append(infer(pixels)[: len(batch)].copy())
        inference_seconds += time.perf_counter() - started
    return np.concatenate(parts), inference_seconds


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
