"""Steady-state throughput of `image_features` against plain processes that only decode and infer.

Put here the comparison. The limit is `plain_featurization.py`, ours `whole_job.py`.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

from fruit_assets_tests.benchmarks.exported_extractor import export_extractor
from fruit_assets_tests.benchmarks.image_set import Source, make_image_set
from fruit_assets_tests.benchmarks.options import (
    add_precisions,
    add_repeats,
    add_source,
    parser_for,
    scratch_folder,
    source_of,
)
from fruit_assets_tests.benchmarks.plain_featurization import Work, measure
from fruit_assets_tests.benchmarks.plain_inference import BATCH_SIZES
from fruit_assets_tests.benchmarks.report import Ratio, Report
from fruit_assets_tests.benchmarks.rounds import alternate
from fruit_assets_tests.benchmarks.whole_job import Storage, WholeJob

# Shares of the limit, and how many times faster than our own f32.
TARGETS = {"f32": 0.92, "bf16": 0.92, "int8": 0.88}
INT8_TARGET = 2.2
SIDE = 224
FULL: list[list[str]] = [["--images", "10000", "--repeats", "3"]]
# The smaller of the two sizes whose difference is free of start-up.
_SMALLER = 5

# Seconds of one contender, by figure.
Figures = dict[str, float]


def parser() -> argparse.ArgumentParser:
    made = parser_for(__name__, __doc__)
    made.add_argument("--images", type=int, default=2000, help="images in the set (%(default)s)")
    made.add_argument("--batch-size", type=int, help="of the limit; that of our run config by default")
    add_repeats(made, 1)
    add_precisions(made)
    add_source(made)
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    given = parser().parse_args(arguments)
    report = Report("against_limit", vars(given))
    fewer = max(2, given.images // _SMALLER)
    with scratch_folder() as scratch:
        origin = source_of(given, scratch)
        images = make_image_set(origin, given.images, scratch / "many")
        few = make_image_set(origin, fewer, scratch / "few")
        int8 = "int8" in given.precisions
        model = export_extractor(origin.weights, SIDE, scratch / "extractor", int8=int8)
        with_extractor = _extractor_storage(origin, scratch, "int8" if int8 else "f32")
        contenders: dict[str, Callable[[], Figures]] = {}
        for precision in given.precisions:
            jobs = [
                WholeJob(images, given.images, origin.weights, scratch, precision),
                WholeJob(few, fewer, origin.weights, scratch, precision),
            ]
            contenders[f"{precision} ours"] = _ours(jobs, with_extractor)
            contenders[f"{precision} limit"] = _limit(
                images, model, precision, given.batch_size or BATCH_SIZES[precision], scratch
            )
        results = alternate(contenders, given.repeats)
    _add_tables(report, results, given.precisions, given.images, fewer)
    report.detail("figures", results)
    report.save()
    return 0


def _extractor_storage(origin: Source, scratch: Path, precision: str) -> Storage:
    """A storage that holds the extractor, made by a run that is too small to be measured."""
    images = make_image_set(origin, 8, scratch / "first")
    _, storage = WholeJob(images, 8, origin.weights, scratch, precision).cold()
    return storage


def _ours(jobs: Sequence[WholeJob], with_extractor: Storage) -> Callable[[], Figures]:
    """Both sizes in turn: the rate of the larger as its metadata tells it, and that of the difference."""

    def run() -> Figures:
        many, few = (_featurizing_seconds(job, with_extractor) for job in jobs)
        count, fewer = (job.count for job in jobs)
        return {
            "whole": count / many,
            "steady": (count - fewer) / (many - few),
            "start_up": few - fewer * (many - few) / (count - fewer),
        }

    return run


def _featurizing_seconds(job: WholeJob, with_extractor: Storage) -> float:
    storage = with_extractor.with_extractor_only(job.scratch)
    seconds = job.run(storage).log.phases("image_features")["featurizing"]
    storage.remove()
    return seconds


def _limit(images: Path, model: Path, precision: str, batch_size: int, scratch: Path) -> Callable[[], Figures]:
    files = [str(file) for file in sorted(images.rglob("*.jpg"))]
    work = Work(files, str(model), SIDE, precision, batch_size)

    def run() -> Figures:
        rate = measure(work, scratch / f"limit-{precision}").images_per_second
        return {"whole": rate, "steady": rate, "start_up": 0.0}

    return run


def _add_tables(
    report: Report, results: dict[str, list[Figures]], precisions: Sequence[str], count: int, fewer: int
) -> None:
    middle = {name: {key: median(run[key] for run in runs) for key in runs[0]} for name, runs in results.items()}
    rows = [(name, *(f"{middle[name][key]:.1f}" for key in ("whole", "steady", "start_up"))) for name in results]
    columns = ("contender", "images/s, whole phase", "images/s, steady", "start-up within the phase, s")
    report.table(f"Featurizing {count} images (steady: difference to {fewer} images)", columns, rows)
    ratios = []
    for precision in precisions:
        ours, limit = middle[f"{precision} ours"], middle[f"{precision} limit"]["whole"]
        ratios += [
            Ratio(f"{precision}: steady / limit", ours["steady"] / limit, TARGETS[precision]),
            Ratio(f"{precision}: whole phase / limit", ours["whole"] / limit),
        ]
    report.ratios("Share of the limit", ratios)
    if {"f32", "int8"} <= set(precisions):
        faster = middle["int8 ours"]["steady"] / middle["f32 ours"]["steady"]
        report.ratios("int8 against f32", [Ratio("our int8 / our f32, steady", faster, INT8_TARGET)])


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
