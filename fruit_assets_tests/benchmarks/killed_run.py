"""A run that is killed while it computes features, and the number of images that the next run infers.

Put here the kill and the count. The tests assert that the features equal those of an undisturbed run.
"""

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from fruit_assets_tests.benchmarks.image_set import make_image_set
from fruit_assets_tests.benchmarks.options import PRECISIONS, add_source, parser_for, scratch_folder, source_of
from fruit_assets_tests.benchmarks.report import Ratio, Report
from fruit_assets_tests.benchmarks.whole_job import Storage, WholeJob

FULL: list[list[str]] = [["--images", "10000"]]
_MOST_INFERRED = 0.45
_LOOK_AGAIN_SECONDS = 0.05


def parser() -> argparse.ArgumentParser:
    made = parser_for(__name__, __doc__)
    made.add_argument("--images", type=int, default=3000, help="images of the collection (%(default)s)")
    made.add_argument("--killed-at", type=float, default=0.6, help="share of features that exist then (%(default)s)")
    made.add_argument("--precision", choices=PRECISIONS, default="f32")
    add_source(made)
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    given = parser().parse_args(arguments)
    report = Report("killed_run", vars(given))
    with scratch_folder() as scratch:
        origin = source_of(given, scratch)
        images = make_image_set(origin, given.images, scratch / "images")
        job = WholeJob(images, given.images, origin.weights, scratch, given.precision)
        storage = Storage.new(scratch)
        complete = _kill_at(job, storage, round(given.killed_at * given.images))
        run = job.run(storage)
    report.table(
        f"{given.images:,} images",
        ("rows in complete files when killed", "images that the next run infers", "seconds of the next run"),
        [(f"{complete:,}", f"{run.computed:,}", f"{run.seconds:.1f}")],
    )
    name = f"images inferred after a kill at {given.killed_at:.0%} / all images"
    report.ratios("Target", [Ratio(name, run.computed / given.images, _MOST_INFERRED, at_most=True)])
    report.save()
    return 0


def _kill_at(job: WholeJob, storage: Storage, rows: int) -> int:
    """Kill the job and all its processes as soon as so many rows are in complete files; how many there are then."""
    command, variables = job.command(storage)
    folder = storage.assets / "image_features" / "data"
    with (storage.home / "killed.log").open("wb") as log:
        process = subprocess.Popen(command, env=variables, cwd=storage.home, stdout=log, stderr=log)
    try:
        while _complete_rows(folder) < rows:
            if process.poll() is not None:
                raise SystemExit(f"The run ended before it could be killed:\n{log.name}")
            time.sleep(_LOOK_AGAIN_SECONDS)
    finally:
        for each in [*psutil.Process(process.pid).children(recursive=True), process]:
            os.kill(each.pid, signal.SIGKILL)
        process.wait()
    return _complete_rows(folder)


def _complete_rows(folder: Path) -> int:
    files = [file for file in folder.rglob("*.parquet") if not file.name.startswith(".")]
    return sum(_rows(file) for file in files)


def _rows(file: Path) -> int:
    try:
        return int(pq.read_metadata(file).num_rows)
    except (pa.ArrowInvalid, FileNotFoundError):
        return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
