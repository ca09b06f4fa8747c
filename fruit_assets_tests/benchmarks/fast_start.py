"""Seconds saved by each measure of a fast start: whole runs without it, alternating with runs that use all.

Put here the comparison. The measures are in `fruit_assets/spark/fast_start/`; one that saves less than 0.3 s of a run
on 573 images with the extractor exported should be removed.
"""

import argparse
import sys
from collections.abc import Callable, Sequence

from fruit_assets.settings import FAST_START_MEASURES
from fruit_assets_tests.benchmarks.image_set import make_image_set
from fruit_assets_tests.benchmarks.options import add_repeats, add_source, parser_for, scratch_folder, source_of
from fruit_assets_tests.benchmarks.report import Report
from fruit_assets_tests.benchmarks.rounds import alternate, medians
from fruit_assets_tests.benchmarks.whole_job import Storage, WholeJob

FULL: list[list[str]] = [["--repeats", "8"]]
_ALL, _NONE = "all measures", "none"


def parser() -> argparse.ArgumentParser:
    made = parser_for(__name__, __doc__)
    made.add_argument("--images", type=int, default=573, help="images of a run (%(default)s)")
    add_repeats(made, 4)
    add_source(made)
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    given = parser().parse_args(arguments)
    report = Report("fast_start", vars(given))
    with scratch_folder() as scratch:
        origin = source_of(given, scratch)
        images = make_image_set(origin, given.images, scratch / "images")
        job = WholeJob(images, given.images, origin.weights, scratch)
        _, storage = job.cold()
        settings = {
            _ALL: "on",
            **{name: ",".join(sorted(FAST_START_MEASURES - {name})) for name in sorted(FAST_START_MEASURES)},
            _NONE: "off",
        }
        contenders = {name: _without(job, storage, value) for name, value in settings.items()}
        seconds = medians(alternate(contenders, given.repeats), float)
    base = seconds.pop(_ALL)
    rows = [(name, f"{value:.2f}", f"{value - base:+.2f}") for name, value in seconds.items()]
    report.table(
        f"{given.images} images, extractor exported (medians of {given.repeats})",
        ("run without", "seconds", "saved by it"),
        [(f"({_ALL} in use)", f"{base:.2f}", ""), *rows],
    )
    report.save()
    return 0


def _without(job: WholeJob, storage: Storage, fast_start: str) -> Callable[[], float]:
    def run() -> float:
        fresh = storage.with_extractor_only(job.scratch)
        seconds = job.with_fast_start(fast_start).run(fresh).seconds
        fresh.remove()
        return seconds

    return run


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
