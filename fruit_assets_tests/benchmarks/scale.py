"""Many images through the whole graph: the memory of every kind of process, over time and against few.

Put here what must not grow with the number of images. Speed belongs in the other benchmarks.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from fruit_assets_tests.benchmarks.image_set import Source, make_image_set, source
from fruit_assets_tests.benchmarks.memory_watch import DRIVER, EXPORT, JVM, OTHER, WORKER
from fruit_assets_tests.benchmarks.options import PRECISIONS, add_source, parser_for, scratch_folder
from fruit_assets_tests.benchmarks.report import MIB, Ratio, Report, mib
from fruit_assets_tests.benchmarks.whole_job import JobRun, WholeJob

# The same work for ten times the images should need the same memory, but for what is kept per image: its keys.
FLAT = 1.25
KINDS = (DRIVER, JVM, WORKER, EXPORT, OTHER)
FULL: list[list[str]] = [["--images", "50000", "--fewer", "5000", "--driver-memory", "default", "1g"]]
_DEMO_CLASSES = 131
_TIMES = (0.1, 0.25, 0.4, 0.55, 0.7, 0.85, 1.0)
_INTERVAL = 0.25
_KEPT_SAMPLES = 400


def parser() -> argparse.ArgumentParser:
    made = parser_for(__name__, __doc__)
    made.add_argument("--images", type=int, default=2000, help="images of the large run (%(default)s)")
    made.add_argument("--fewer", type=int, help="images of the small run; a tenth by default")
    made.add_argument("--precision", choices=PRECISIONS, default="f32")
    made.add_argument(
        "--driver-memory",
        nargs="+",
        default=["default"],
        help="heaps of the driver, such as 1g; 'default' is the project's choice",
    )
    add_source(made)
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    given = parser().parse_args(arguments)
    fewer = given.fewer or max(2, given.images // 10)
    report = Report("scale", vars(given))
    with scratch_folder() as scratch:
        origin = _origin(given, scratch)
        sets = {count: make_image_set(origin, count, scratch / f"images-{count}") for count in (fewer, given.images)}
        for heap in given.driver_memory:
            runs = {}
            for count, images in sets.items():
                print(f"  {count} images, driver memory {heap}", flush=True)
                memory = None if heap == "default" else heap
                job = WholeJob(images, count, origin.weights, scratch, given.precision, driver_memory=memory)
                runs[count], storage = job.cold(interval=_INTERVAL)
                storage.remove()
            _add_tables(report, heap, runs)
    report.save()
    return 0


def _origin(given: argparse.Namespace, scratch: Path) -> Source:
    """The given collection, or as many demo images as are wanted: no two of these are alike."""
    if given.collection:
        return source(given.collection, given.weights, scratch)
    from fruit_assets.demo.collection import render_collection

    print(f"  rendering {given.images} demo images", flush=True)
    classes = min(_DEMO_CLASSES, given.images)
    rendered = render_collection(scratch / "rendered", classes, -(-given.images // classes), 0)
    return source(str(rendered.root), given.weights, scratch)


def _add_tables(report: Report, heap: str, runs: dict[int, JobRun]) -> None:
    fewer, many = min(runs), max(runs)
    kinds = [kind for kind in KINDS if any(run.process.memory.peak(kind) for run in runs.values())]
    peaks = {count: {kind: run.process.memory.peak(kind) for kind in kinds} for count, run in runs.items()}
    columns = ("process", *(f"peak at {count:,}" for count in runs))
    rows = [(kind, *(mib(peaks[count][kind]) for count in runs)) for kind in kinds]
    totals = ("all together", *(mib(run.process.memory.peak_of_tree) for run in runs.values()))
    report.table(f"Peak memory, largest process of each kind, driver memory {heap}", columns, [*rows, totals])
    report.ratios(
        f"Growth from {fewer:,} to {many:,} images, driver memory {heap}",
        [
            Ratio(
                kind, peaks[many][kind] / peaks[fewer][kind], FLAT if kind in (DRIVER, WORKER) else None, at_most=True
            )
            for kind in kinds
            if peaks[fewer][kind]
        ],
    )
    _add_times(report, heap, runs, kinds)


def _add_times(report: Report, heap: str, runs: dict[int, JobRun], kinds: Sequence[str]) -> None:
    for count, run in runs.items():
        memory = run.process.memory
        rows = [(kind, *(f"{memory.at(kind, share) / MIB:,.0f}" for share in _TIMES)) for kind in kinds]
        columns = ("MiB at share of the run", *(f"{share:.0%}" for share in _TIMES))
        speed = run.log.metadata["image_features"]["images_per_second"]
        rate = f"{count} images in {run.seconds:.0f} s, featurizing at {speed} images/s"
        report.table(f"Over time, driver memory {heap}: {rate}", columns, rows)
        every = max(1, len(memory.samples) // _KEPT_SAMPLES)
        kept = [
            {"seconds": round(sample.seconds, 2), "bytes": dict(sample.bytes_by_kind)}
            for sample in memory.samples[::every]
        ]
        report.detail(f"samples, {count} images, driver memory {heap}", kept)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
