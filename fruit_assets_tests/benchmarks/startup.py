"""Start-up: seconds of importing the code location, and of each part of a small run.

Put here imports and the timeline of one run. Comparisons of whole runs belong in `against_notebook.py`.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from fruit_assets_tests.benchmarks.cold_process import PYTHON, environment, run_cold
from fruit_assets_tests.benchmarks.image_set import make_image_set
from fruit_assets_tests.benchmarks.memory_watch import EXPORT, JVM, WORKER, Memory
from fruit_assets_tests.benchmarks.options import add_source, parser_for, scratch_folder, source_of
from fruit_assets_tests.benchmarks.report import Ratio, Report
from fruit_assets_tests.benchmarks.rounds import alternate, medians
from fruit_assets_tests.benchmarks.whole_job import JobRun, WholeJob

IMPORT_TARGET = 1.3
IMPORTS = {
    "import dagster": "import dagster",
    "import fruit_assets": "import fruit_assets",
    "from fruit_assets import defs": "from fruit_assets import defs",
}
FULL: list[list[str]] = [["--repeats", "11", "--images", "573"]]

# Name of a row, its duration, and if known its beginning, in seconds from the start of the process.
TimelineRow = tuple[str, float, float | None]


def parser() -> argparse.ArgumentParser:
    made = parser_for(__name__, __doc__)
    made.add_argument("--repeats", type=int, default=5, help="rounds of imports (%(default)s)")
    made.add_argument(
        "--images", type=int, default=573, help="images of the run whose seconds are shown; 0 for none (%(default)s)"
    )
    add_source(made)
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    given = parser().parse_args(arguments)
    report = Report("startup", vars(given))
    with scratch_folder() as scratch:
        _add_imports(report, scratch, given.repeats)
        if given.images:
            origin = source_of(given, scratch)
            images = make_image_set(origin, given.images, scratch / "images")
            _add_runs(report, WholeJob(images, given.images, origin.weights, scratch))
    report.save()
    return 0


def _add_imports(report: Report, scratch: Path, repeats: int) -> None:
    seconds = medians(alternate({name: _importing(code, scratch) for name, code in IMPORTS.items()}, repeats), float)
    bare, ours = seconds["import dagster"], seconds["from fruit_assets import defs"]
    report.table(
        "Imports in a cold process (medians)",
        ("import", "seconds"),
        [(name, f"{value:.2f}") for name, value in seconds.items()],
    )
    report.ratios(
        "Import", [Ratio("from fruit_assets import defs / import dagster", ours / bare, IMPORT_TARGET, at_most=True)]
    )


def _importing(code: str, scratch: Path) -> Callable[[], float]:
    variables = environment(FRUIT_ASSETS_IMAGES=str(scratch / "images"), FRUIT_ASSETS_STORAGE=str(scratch / "assets"))
    return lambda: run_cold([PYTHON, "-c", code], scratch, variables, name="import", interval=5.0).seconds


def _add_runs(report: Report, job: WholeJob) -> None:
    cold, storage = job.cold(interval=0.1)
    there = job.run(storage.with_extractor_only(job.scratch), interval=0.1)
    unchanged = job.run(storage, interval=0.1)
    for name, run in {"cold": cold, "extractor exported": there, "nothing new": unchanged}.items():
        rows = [
            (what, f"{seconds:.2f}", "" if start is None else f"{start:.2f}") for what, seconds, start in timeline(run)
        ]
        title = f"Where the {run.seconds:.1f} s of a run on {job.count} images go ({name})"
        report.table(title, ("part", "seconds", "began at"), rows)


def timeline(run: JobRun) -> list[TimelineRow]:
    """The parts of a run in order, without gaps: they add up to its seconds. Indented rows are within the one above.

    Work in the background is listed at the end.
    """
    zero, log = run.process.started_at, run.log
    rows: list[TimelineRow] = [("interpreter, imports, loading the job", log.started - zero, 0.0)]
    before = log.started
    for step in log.steps:
        rows.append((f"until {step.key}", step.started - before, before - zero))
        rows.append((step.key, step.seconds, step.started - zero))
        phases = log.phases(step.key)
        rows += [(f". {name}", seconds, None) for name, seconds in phases.items()]
        rows.append((". publishing, checks, events", step.seconds - sum(phases.values()), None))
        before = step.ended
    rows.append(("until the run has succeeded", log.ended - before, before - zero))
    rows.append(("shutting down", run.seconds - (log.ended - zero), log.ended - zero))
    return rows + _background(run.process.memory)


def _background(memory: Memory) -> list[TimelineRow]:
    rows: list[TimelineRow] = []
    for kind in (JVM, WORKER, EXPORT):
        times = [sample.seconds for sample in memory.samples if sample.largest(kind)]
        if times:
            rows.append((f"(beside: {kind})", times[-1] - times[0], times[0]))
    return rows


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
