"""A million distinct images through the whole graph: images per second and memory over time, and whether they hold.

Put here the run and its verdict. What ten times the images need in memory is measured in `scale.py`.
"""

import argparse
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from fruit_assets_tests.benchmarks.memory_watch import DRIVER, JVM, WORKER
from fruit_assets_tests.benchmarks.options import PRECISIONS, add_source, parser_for, scratch_folder, source_of
from fruit_assets_tests.benchmarks.report import ARTEFACTS, MIB, Ratio, Report
from fruit_assets_tests.benchmarks.scaling.over_time import StoredRows, draw, growth
from fruit_assets_tests.benchmarks.scaling.perturbed_images import make_perturbed_images
from fruit_assets_tests.benchmarks.whole_job import JobRun, Storage, WholeJob

FULL: list[list[str]] = [["--images", "1000000"]]
SAMPLE, FEATURES = "sampled_images", "image_features"
# The block of a file of 2 kB, the same bytes in the sample, 1280 features, 80 components, keys.
_DISK_BYTES_PER_IMAGE = 13_000
_INTERVAL = 1.0
# While the features are computed, after a fifth of that time.
_WARM_UP = 0.2
_STEADY, _FLAT = 0.95, 1.05


def parser() -> argparse.ArgumentParser:
    made = parser_for(__name__, __doc__)
    made.add_argument("--images", type=int, default=5000, help="distinct images (%(default)s)")
    made.add_argument("--input-size", type=int, default=96, help="of the extractor (%(default)s)")
    made.add_argument("--precision", choices=(*PRECISIONS, "auto"), default="auto")
    made.add_argument("--plot", type=Path, help="SVG to write; in test-artefacts/ by default")
    made.add_argument(
        "--images-in", type=Path, help="folder for the images, such as /dev/shm, where files are removed at once"
    )
    add_source(made)
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    given = parser().parse_args(arguments)
    report = Report("million_images", {key: str(value) for key, value in vars(given).items()})
    with scratch_folder() as scratch, scratch_folder(given.images_in) as images:
        _require_disk(scratch, given.images)
        origin = source_of(given, scratch)
        started = time.perf_counter()
        distinct = make_perturbed_images(origin, given.images, images)
        print(f"  {distinct:,} images with distinct pixels made in {time.perf_counter() - started:.0f} s", flush=True)
        job = WholeJob(images, given.images, origin.weights, scratch, given.precision, given.input_size)
        run, storage = job.cold(interval=_INTERVAL)
        tables = {name: StoredRows.of(storage.assets / name) for name in (SAMPLE, FEATURES)}
        _tell(report, run, tables, _stored_bytes(storage))
        _tell_verdict(report, given.images, distinct, run, tables[FEATURES])
        _draw(given, run, tables[FEATURES])
        # Now, because removing a million files may take longer than anything before.
        report.save()
    return 0


def _draw(given: argparse.Namespace, run: JobRun, features: StoredRows) -> None:
    plot = given.plot or ARTEFACTS / "million_images.svg"
    plot.parent.mkdir(parents=True, exist_ok=True)
    title = f"{given.images:,} distinct images, {given.input_size} pixels, {run.log.metadata[FEATURES]['precision']}"
    draw(plot, title, run.process.started_at, run.log.steps, FEATURES, features, run.process.memory)
    print(f"Plot: {plot}", flush=True)


def _require_disk(folder: Path, images: int) -> None:
    needed, free = images * _DISK_BYTES_PER_IMAGE, shutil.disk_usage(folder).free
    if free < needed:
        raise SystemExit(
            f"{images:,} images need {needed / 1e9:.0f} GB and {folder} has {free / 1e9:.0f} GB: "
            "name another folder with TMPDIR, or fewer --images."
        )


def _stored_bytes(storage: Storage) -> dict[str, int]:
    """Bytes on disk of every asset."""
    folders = sorted(folder for folder in storage.assets.iterdir() if folder.is_dir())
    return {folder.name: sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) for folder in folders}


def _tell(report: Report, run: JobRun, tables: dict[str, StoredRows], stored: dict[str, int]) -> None:
    memory, count = run.process.memory, run.images
    rows = []
    for step in run.log.steps:
        begin, end = step.started - run.process.started_at, step.ended - run.process.started_at
        within = [one for one in memory.samples if begin <= one.seconds <= end]
        peaks = [max((one.largest(kind) for one in within), default=0) for kind in (DRIVER, JVM, WORKER)]
        sizes = (f"{peak / MIB:,.0f}" for peak in peaks)
        rate = f"{count / step.seconds:,.0f}" if step.key in tables else ""
        rows.append((step.key, f"{step.seconds:.1f}", rate, *sizes, f"{stored.get(step.key, 0) / 1e9:.2f}"))
    whole = max(step.ended for step in run.log.steps) - min(step.started for step in run.log.steps)
    peaks = [f"{memory.peak(kind) / MIB:,.0f}" for kind in (DRIVER, JVM, WORKER)]
    rows.append(("whole process", f"{run.seconds:.1f}", "", *peaks, f"{sum(stored.values()) / 1e9:.2f}"))
    columns = ("step", "seconds", "images/s", "driver MiB", "JVM MiB", "worker MiB", "GB stored")
    report.table(f"{count:,} images, steps for {whole:.0f} s; peak of the largest process", columns, rows)
    kept = [{"seconds": round(one.seconds, 1), "bytes": dict(one.bytes_by_kind)} for one in memory.samples]
    report.detail("memory", kept)
    report.detail("files", {name: [each.seconds.tolist(), each.rows.tolist()] for name, each in tables.items()})


def _tell_verdict(report: Report, images: int, distinct: int, run: JobRun, features: StoredRows) -> None:
    (step,) = [step for step in run.log.steps if step.key == FEATURES]
    begin = step.started + _WARM_UP * (features.seconds[-1] - step.started) - run.process.started_at
    end = float(features.seconds[-1]) - run.process.started_at
    memory = run.process.memory
    growths = [
        Ratio(
            f"{kind}, memory at the end of {FEATURES} / after its first fifth",
            growth(memory, kind, begin, end),
            _FLAT,
            at_most=True,
        )
        for kind in (DRIVER, JVM, WORKER)
    ]
    report.ratios(
        "Verdict",
        [
            Ratio("images with pixels of their own / images", distinct / images, 1.0),
            Ratio("images inferred / images", run.computed / images, 1.0),
            Ratio("images per second, second half / first half", features.steadiness(), _STEADY),
            *growths,
        ],
    )


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
