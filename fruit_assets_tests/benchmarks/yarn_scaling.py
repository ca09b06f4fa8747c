"""Features on a real YARN with one executor and with two, of one core each, and how close two come to twice as fast.

Put here the comparison. What runs on YARN is in `scaling/featurize_on_yarn.py`; what the machine itself loses when both
of its cores work is measured by plain processes.
"""

import argparse
import json
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from fruit_assets_tests.benchmarks.cold_process import PYTHON, environment, run_cold
from fruit_assets_tests.benchmarks.image_set import make_image_set
from fruit_assets_tests.benchmarks.options import (
    PRECISIONS,
    add_repeats,
    add_source,
    parser_for,
    scratch_folder,
    source_of,
)
from fruit_assets_tests.benchmarks.plain_featurization import Work, measure
from fruit_assets_tests.benchmarks.plain_inference import BATCH_SIZES, SIDE
from fruit_assets_tests.benchmarks.report import Ratio, Report
from fruit_assets_tests.benchmarks.rounds import alternate
from fruit_assets_tests.benchmarks.scaling import featurize_on_yarn
from fruit_assets_tests.benchmarks.whole_job import Storage, WholeJob

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fruit_assets_tests.emr_simulator.yarn import MiniYarn

FULL: list[list[str]] = [["--images", "8000", "--repeats", "3"]]
_TARGET = 0.95
_FIRST, _AGAIN, _BARE = "YARN, first job", "YARN, workers warm", "plain processes"
_BUSY = "core seconds of decoding and inference"
# Plain processes do a part of the images: they have no start-up to be spread over more.
_SHARE_OF_BARE = 4

# Seconds of each way to compute the features, and core seconds of decoding and inference on YARN.
Figures = dict[str, float]


def parser() -> argparse.ArgumentParser:
    made = parser_for(__name__, __doc__)
    made.add_argument("--images", type=int, default=2000, help="photographs (%(default)s)")
    made.add_argument("--precision", choices=PRECISIONS, default="f32")
    made.add_argument("--folder", type=Path, help="keeps sample and extractor from call to call; temporary by default")
    made.add_argument("--prepare-only", action="store_true", help="make sample and extractor in --folder, and stop")
    add_repeats(made, 1)
    add_source(made)
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    from fruit_assets_tests.emr_simulator.yarn import MiniYarn

    given = parser().parse_args(arguments)
    with _folder(given.folder) as folder:
        storage = _prepared(given, folder)
        if given.prepare_only:
            return 0
        report = Report("yarn_scaling", {key: str(value) for key, value in vars(given).items()})
        with scratch_folder() as scratch, MiniYarn(scratch / "yarn") as yarn:
            contenders: dict[str, Callable[[], Figures]] = {}
            for count in (1, 2):
                contenders[f"YARN {count}"] = partial(_on_yarn, yarn, storage, count, given.precision, scratch)
                contenders[f"plain {count}"] = partial(_plain, folder / "images", storage, count, given, scratch)
            results = alternate(contenders, given.repeats)
    _tell(report, given.images, results)
    report.detail("figures", results)
    report.save()
    return 0


@contextmanager
def _folder(kept: Path | None) -> "Iterator[Path]":
    if kept is not None:
        kept.mkdir(parents=True, exist_ok=True)
        yield kept.resolve()
        return
    with scratch_folder() as temporary:
        yield temporary


def _prepared(given: argparse.Namespace, folder: Path) -> Storage:
    """A storage with the sample and the extractor, made by our job the first time."""
    storage = Storage(folder / "storage-0")
    if not storage.folder.exists():
        origin = source_of(given, folder)
        images = make_image_set(origin, given.images, folder / "images")
        WholeJob(images, given.images, origin.weights, folder, given.precision).cold()
    return storage


def _on_yarn(yarn: "MiniYarn", storage: Storage, executors: int, precision: str, scratch: Path) -> Figures:
    out = scratch / "out"
    options = ["--executors", str(executors), "--precision", precision]
    run = run_cold(
        [PYTHON, "-m", featurize_on_yarn.__name__, str(storage.assets), str(out), *options],
        scratch / "application",
        environment(HADOOP_CONF_DIR=str(yarn.conf), SPARK_LOCAL_IP="127.0.0.1", PYSPARK_PYTHON=PYTHON),
    )
    first, again = json.loads(run.output.splitlines()[-1])
    shutil.rmtree(out)
    busy = again["decode_seconds"] + again["inference_seconds"]
    figures = {_FIRST: first["seconds"], _AGAIN: again["seconds"], _BUSY: busy}
    print(f"  {executors} executors: " + ", ".join(f"{way} {each:.1f} s" for way, each in figures.items()), flush=True)
    return figures


def _plain(images: Path, storage: Storage, processes: int, given: argparse.Namespace, scratch: Path) -> Figures:
    (model,) = (storage.cache / "extractors").glob("*/extractor.xml")
    files = [str(file) for file in sorted(images.rglob("*.jpg"))][: given.images // _SHARE_OF_BARE]
    size = BATCH_SIZES[given.precision]
    rates = measure(Work(files, str(model), SIDE, given.precision, size, processes=processes), scratch / "plain")
    return {_BARE: given.images / rates.images_per_second}


def _tell(report: Report, images: int, results: Mapping[str, Sequence[Figures]]) -> None:
    middle = {name: {key: median(run[key] for run in runs) for key in runs[0]} for name, runs in results.items()}
    one, two = ({**middle[f"YARN {count}"], **middle[f"plain {count}"]} for count in (1, 2))
    ways = (_FIRST, _AGAIN, _BARE)
    rows = [(way, f"{one[way]:.1f} s", f"{two[way]:.1f} s", f"{one[way] / (2 * two[way]):.1%}") for way in ways]
    report.table(f"{images:,} photographs", ("features", "one", "two", "efficiency"), rows)
    efficiency = {way: one[way] / (2 * two[way]) for way in ways}
    idle = 1 - two[_BUSY] / (2 * two[_AGAIN])
    report.ratios(
        "Time with one / (2 x time with two)",
        [
            Ratio("first job of the application", efficiency[_FIRST], _TARGET),
            Ratio("with workers that have loaded the network", efficiency[_AGAIN], _TARGET),
            Ratio("plain processes: what two busy cores of this machine give", efficiency[_BARE]),
            Ratio("YARN, workers warm / plain processes", efficiency[_AGAIN] / efficiency[_BARE], _TARGET),
            Ratio(f"{_BUSY}, two / one", two[_BUSY] / one[_BUSY]),
            Ratio("share of two executors' time outside of decoding and inference", idle),
        ],
    )


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
