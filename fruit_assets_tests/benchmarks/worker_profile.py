"""Time per image and part of the work in a worker, by precision.

Put here the parts of `featurize_batch`, timed one by one in one process, and the whole of it for comparison.
The cost of Spark is measured in `against_limit.py`.
"""

import argparse
import io
import json
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from fruit_assets_tests.benchmarks.cold_process import PYTHON, environment, run_cold
from fruit_assets_tests.benchmarks.exported_extractor import export_extractor
from fruit_assets_tests.benchmarks.image_set import make_image_set
from fruit_assets_tests.benchmarks.options import add_precisions, add_repeats, add_source, parser_for, scratch_folder
from fruit_assets_tests.benchmarks.options import source_of as source_of_options
from fruit_assets_tests.benchmarks.plain_inference import SIDE
from fruit_assets_tests.benchmarks.report import Report

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

FULL: list[list[str]] = [["--images", "985", "--repeats", "5"]]
# Its own name, also when it runs as `__main__`.
_MODULE = "fruit_assets_tests.benchmarks.worker_profile"
_BATCH_ROWS = 64
WHOLE = "whole batch (featurize_batch)"


def parser() -> argparse.ArgumentParser:
    made = parser_for(__name__, __doc__)
    made.add_argument("--images", type=int, default=320, help="images in the set (%(default)s)")
    add_repeats(made, 3)
    add_precisions(made)
    add_source(made)
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    given = parser().parse_args(arguments)
    report = Report("worker_profile", vars(given))
    with scratch_folder() as scratch:
        origin = source_of_options(given, scratch)
        images = make_image_set(origin, given.images, scratch / "images")
        model = export_extractor(origin.weights, SIDE, scratch / "extractor", int8="int8" in given.precisions)
        order = {"images": str(images), "model": str(model.parent), "precisions": given.precisions}
        command = [PYTHON, "-m", _MODULE, "--measure", json.dumps({**order, "repeats": given.repeats})]
        microseconds: dict[str, float] = json.loads(run_cold(command, scratch, environment()).output)
    _add_tables(report, microseconds, given.precisions)
    report.save()
    return 0


def _add_tables(report: Report, microseconds: dict[str, float], precisions: Sequence[str]) -> None:
    shared = [name for name in microseconds if not any(name.startswith(f"{precision} ") for precision in precisions)]
    rows = [(name, *(f"{microseconds[name]:.0f}" for _ in precisions)) for name in shared]
    rows += [
        (part, *(f"{microseconds[f'{precision} {part}']:.0f}" for precision in precisions))
        for part in ("inference", WHOLE)
    ]
    rates = (f"{1e6 / microseconds[f'{precision} {WHOLE}']:.0f}" for precision in precisions)
    rows.append(("images/s of one worker", *rates))
    report.table("Microseconds of one image in one worker", ("part", *precisions), rows)
    report.detail("microseconds", microseconds)


def measured(images: Path, model: Path, precisions: Sequence[str], repeats: int) -> dict[str, float]:
    """Microseconds per image of every part, in this process, on one thread; medians over the repeats."""
    import pyarrow as pa

    from fruit_assets.extractor.engines import load_engine
    from fruit_assets.features.inference_worker import featurize_batch
    from fruit_assets.images.decoding import decode
    from fruit_assets.images.pixels.decoding_options import DecodingOptions

    contents = [file.read_bytes() for file in sorted(images.rglob("*.jpg"))]
    found = _decoding(contents, repeats)
    pixels = [decode(content, SIDE) for content in contents]
    batches = [_batch(contents[start : start + _BATCH_ROWS]) for start in range(0, len(contents), _BATCH_ROWS)]
    column = pa.chunked_array([batch.column("content") for batch in batches])
    found["bytes out of Arrow"] = _per_item(lambda value: value.as_py(), list(column), repeats)
    for precision in precisions:
        engine = load_engine(model, SIDE, "openvino", precision)
        stacked = _stacks(pixels)
        engine(stacked[0])
        found[f"{precision} inference"] = _per_item(engine, stacked, repeats) * len(stacked) / len(contents)
        featurize = partial(featurize_batch, engine=engine, input_size=SIDE, decoding=DecodingOptions())
        whole = _per_item(featurize, batches, repeats)
        found[f"{precision} {WHOLE}"] = whole * len(batches) / len(contents)
    return found


def _decoding(contents: Sequence[bytes], repeats: int) -> dict[str, float]:
    """The parts of `decode`, and what PIL takes by itself beside what is used."""
    import numpy as np
    import simplejpeg
    from PIL import Image

    from fruit_assets.images.pixels.resizing import resize

    arrays = [simplejpeg.decode_jpeg(content, "RGB", strict=True) for content in contents]
    images = [Image.fromarray(array) for array in arrays]
    pixels = np.empty((SIDE, SIDE, 3), np.uint8)

    def resize_with_pil(image: Image.Image) -> None:
        pixels[:] = np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BICUBIC))

    def with_pil(content: bytes) -> None:
        Image.open(io.BytesIO(content)).convert("RGB")

    def with_turbo(content: bytes) -> None:
        simplejpeg.decode_jpeg_header(content)
        simplejpeg.decode_jpeg(content, "RGB", strict=True)

    return {
        "(PIL's own JPEG decoding, not used)": _per_item(with_pil, contents, repeats),
        "JPEG decoding (libjpeg-turbo)": _per_item(with_turbo, contents, repeats),
        "(PIL's own bicubic resize, not used)": _per_item(resize_with_pil, images, repeats),
        "bicubic resize, into the batch": _per_item(lambda array: resize(array, SIDE, pixels), arrays, repeats),
    }


def _per_item(work: Callable[[Any], object], items: Sequence[Any], repeats: int) -> float:
    def once() -> float:
        started = time.perf_counter_ns()
        for item in items:
            work(item)
        return (time.perf_counter_ns() - started) / 1000 / len(items)

    return median(once() for _ in range(repeats))


def _stacks(pixels: "Iterable[np.ndarray]") -> "list[np.ndarray]":
    import numpy as np

    everything = list(pixels)
    return [np.stack(everything[start : start + _BATCH_ROWS]) for start in range(0, len(everything), _BATCH_ROWS)]


def _batch(contents: Sequence[bytes]) -> "pa.RecordBatch":
    import pyarrow as pa

    names = [f"{number}.jpg" for number in range(len(contents))]
    columns = [pa.array(names), pa.array(names), pa.array(names), pa.array(contents, pa.binary())]
    return pa.RecordBatch.from_arrays(columns, ["path", "label", "sha256", "content"])


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        wanted = json.loads(sys.argv[2])
        measurements = measured(Path(wanted["images"]), Path(wanted["model"]), wanted["precisions"], wanted["repeats"])
        print(json.dumps(measurements))
    else:
        raise SystemExit(main(sys.argv[1:]))
