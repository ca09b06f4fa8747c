"""The whole job against the notebook's pipeline: same images, same weights, cold processes.

Put here the comparison. The notebook's side is `notebook_pipeline.py`, ours `whole_job.py`.
"""

import argparse
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from fruit_assets_tests.benchmarks.cold_process import PYTHON, ColdProcessFailed, ColdRun, environment, run_cold
from fruit_assets_tests.benchmarks.image_set import Source, make_image_set
from fruit_assets_tests.benchmarks.memory_watch import DRIVER, JVM, WORKER
from fruit_assets_tests.benchmarks.notebook_pipeline import COMPONENTS
from fruit_assets_tests.benchmarks.options import (
    add_precisions,
    add_repeats,
    add_source,
    parser_for,
    scratch_folder,
    source_of,
)
from fruit_assets_tests.benchmarks.report import Ratio, Report, mib
from fruit_assets_tests.benchmarks.rounds import alternate, medians
from fruit_assets_tests.benchmarks.whole_job import JobRun, Storage, WholeJob

NOTEBOOK = "notebook"
# Enough images that inference, and no longer start-up, decides.
MANY = 5000
_FEW_TARGETS = {"cold": 4.0, "extractor exported": 6.0, "nothing new": 7.0}
_MANY_TARGETS = {"f32": 4.0, "bf16": 7.0, "int8": 7.0}
FULL: list[list[str]] = [
    ["--images", "573", "--repeats", "3", "--precisions", "f32"],
    ["--images", "10000", "--repeats", "1", "--states", "cold", "--patience", "600"],
]


@dataclass(frozen=True)
class Timed:
    """One contender's run: its process, and the number of images that it reports."""

    process: ColdRun
    images: int


def parser() -> argparse.ArgumentParser:
    made = parser_for(__name__, __doc__)
    made.add_argument("--images", type=int, default=573, help="images in the set (%(default)s)")
    made.add_argument(
        "--states", nargs="+", choices=list(_FEW_TARGETS), default=list(_FEW_TARGETS), help="of our storage"
    )
    made.add_argument(
        "--patience", type=float, help="seconds after which the notebook is stopped: its figures are then lower bounds"
    )
    add_repeats(made, 1)
    add_precisions(made, ("f32",))
    add_source(made)
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    given = parser().parse_args(arguments)
    report = Report(f"against_notebook-{given.images}", vars(given))
    with scratch_folder() as scratch:
        origin = source_of(given, scratch)
        images = make_image_set(origin, given.images, scratch / "images")
        contenders = {NOTEBOOK: lambda: _notebook(images, origin, scratch, given.images, given.patience)}
        for precision in given.precisions:
            job = WholeJob(images, given.images, origin.weights, scratch, precision)
            contenders |= _ours(job, given.states)
        results = alternate(contenders, given.repeats)
    _add_tables(report, results, given.images)
    report.save()
    return 0


def _ours(job: WholeJob, states: Sequence[str]) -> dict[str, Callable[[], Timed]]:
    """This project's contenders, in the order in which each prepares the storage of the next one."""
    storages: dict[str, Storage] = {}

    def cold() -> Timed:
        run, storages["cold"] = job.cold()
        return _checked(run, job, job.count)

    def extractor_exported() -> Timed:
        storages["full"] = storages["cold"].with_extractor_only(job.scratch)
        return _checked(job.run(storages["full"]), job, job.count)

    def nothing_new() -> Timed:
        return _checked(job.run(storages["full"]), job, 0)

    all_of_them = {"cold": cold, "extractor exported": extractor_exported, "nothing new": nothing_new}
    last = max(list(all_of_them).index(state) for state in states)
    needed = list(all_of_them)[: last + 1]
    return {_ours_name(job.precision, state): all_of_them[state] for state in needed}


def _checked(run: JobRun, job: WholeJob, computed: int) -> Timed:
    if run.images != job.count or run.computed != computed:
        raise ColdProcessFailed(
            f"Our job computed {run.computed} features and published {run.images} rows; "
            f"{computed} and {job.count} were expected, so there is nothing to compare."
        )
    return Timed(run.process, run.images)


def _notebook(images: Path, origin: Source, scratch: Path, count: int, patience: float | None) -> Timed:
    import pyarrow.dataset as ds

    folder = scratch / "notebook"
    shutil.rmtree(folder, ignore_errors=True)
    module = "fruit_assets_tests.benchmarks.notebook_pipeline"
    options = ["--weights", origin.weights, "--components", str(min(COMPONENTS, count))]
    variables = environment(PYSPARK_PYTHON=PYTHON, PYSPARK_DRIVER_PYTHON=PYTHON)
    command = [PYTHON, "-m", module, str(images), str(folder / "out"), *options]
    run = run_cold(command, folder, variables, patience=patience)
    if not run.ended:
        return Timed(run, 0)
    rows = ds.dataset(folder / "out", format="parquet").count_rows()
    if rows != count:
        raise ColdProcessFailed(
            f"The notebook's pipeline wrote {rows} rows for {count} images: there is nothing to compare."
        )
    return Timed(run, rows)


def _add_tables(report: Report, results: dict[str, list[Timed]], count: int) -> None:
    seconds = medians(results, lambda timed: timed.process.seconds)
    rows = []
    for name, runs in results.items():
        memory = [timed.process.memory for timed in runs]
        peaks = [mib(max(seen.peak(kind) for seen in memory)) for kind in (DRIVER, JVM, WORKER)]
        ended = all(timed.process.ended for timed in runs)
        rate = f"{'' if ended else '< '}{count / seconds[name]:.1f}"
        rows.append(
            (
                name,
                f"{'' if ended else '> '}{seconds[name]:.1f}",
                rate,
                *peaks,
                mib(max(seen.peak_of_tree for seen in memory)),
            )
        )
    columns = ("contender", "seconds", "images/s", DRIVER, JVM, WORKER, "all processes")
    report.table(f"Whole pipeline on {count} images (medians; memory: peaks)", columns, rows)
    at_least = "" if all(timed.process.ended for timed in results[NOTEBOOK]) else ", at least (it was stopped)"
    report.ratios(
        f"How many times faster than the notebook{at_least}",
        [Ratio(name, seconds[NOTEBOOK] / seconds[name], _target(name, count)) for name in results if name != NOTEBOOK],
    )
    report.detail("seconds", {name: [timed.process.seconds for timed in runs] for name, runs in results.items()})


def _target(name: str, count: int) -> float | None:
    precision, state = name.removeprefix("ours ").split(", ")
    if count >= MANY:
        return _MANY_TARGETS.get(precision)
    return _FEW_TARGETS[state] if precision == "f32" else None


def _ours_name(precision: str, state: str) -> str:
    return f"ours {precision}, {state}"


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
