"""This project's PCA against `pyspark.ml.feature.PCA`, and its driver's memory by number of rows.

Put here the comparison. The contenders' processes are `pca_contenders.py`, their input `feature_rows.py`.
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from fruit_assets_tests.benchmarks.cold_process import PYTHON, environment, run_cold
from fruit_assets_tests.benchmarks.feature_rows import write_feature_rows
from fruit_assets_tests.benchmarks.memory_watch import DRIVER, JVM, Memory
from fruit_assets_tests.benchmarks.options import add_repeats, parser_for, scratch_folder
from fruit_assets_tests.benchmarks.report import Ratio, Report, mib
from fruit_assets_tests.benchmarks.rounds import alternate, medians

TARGET = 10.0
# A driver that kept the rows would grow a hundredfold with them.
FLAT = 1.25
OURS, ML, ML_OPTIMISED = "ours", "pyspark.ml, our session", "pyspark.ml, Spark's JVM options"
FULL: list[list[str]] = [["--rows", "10000", "--repeats", "3", "--memory-rows", "1000", "10000", "100000"]]


@dataclass(frozen=True)
class Fitted:
    """Figures of one contender's process.

    Attributes:
        seconds: of each fit; the first is the one that counts.
        variance_shares: of the leading components.
        live_heap_bytes: of the driver's JVM after a full collection.
        memory: of the process and its descendants.
    """

    seconds: Sequence[float]
    variance_shares: Sequence[float]
    live_heap_bytes: int
    memory: Memory


def parser() -> argparse.ArgumentParser:
    made = parser_for(__name__, __doc__)
    made.add_argument("--rows", type=int, default=10000, help="rows of 1280 features (%(default)s)")
    made.add_argument(
        "--fits", type=int, default=2, help="fits in the same session; later ones are shown apart (%(default)s)"
    )
    made.add_argument(
        "--memory-rows", nargs="*", type=int, default=[1000, 10000], help="rows to show the driver's memory for"
    )
    add_repeats(made, 1)
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    given = parser().parse_args(arguments)
    report = Report("against_ml_pca", vars(given))
    with scratch_folder() as scratch:
        rows = write_feature_rows(given.rows, scratch / "rows")
        fits = f"--fits={given.fits}"
        contenders: dict[str, Callable[[], Fitted]] = {
            OURS: lambda: fitted("ours", rows, scratch, fits),
            ML: lambda: fitted("ml", rows, scratch, fits),
            ML_OPTIMISED: lambda: fitted("ml", rows, scratch, fits, "--optimising-jvm"),
        }
        results = alternate(contenders, given.repeats)
        _add_speed(report, results, given.rows)
        _add_memory(report, {count: _driver_memory(count, scratch) for count in sorted(given.memory_rows)})
    report.save()
    return 0


def fitted(contender: str, rows: Path, scratch: Path, *options: str) -> Fitted:
    """Run one contender in a cold process."""
    result = scratch / "result.json"
    result.unlink(missing_ok=True)
    module = "fruit_assets_tests.benchmarks.pca_contenders"
    run = run_cold(
        [PYTHON, "-m", module, contender, str(rows), str(result), *options], scratch, environment(), interval=0.2
    )
    return Fitted(**json.loads(result.read_text()), memory=run.memory)


def _driver_memory(count: int, scratch: Path) -> Fitted:
    rows = write_feature_rows(count, scratch / f"rows-{count}")
    print(f"  driver memory, {count} rows", flush=True)
    return fitted("ours", rows, scratch, "--separate-executor", "--driver-memory=1g")


def _add_speed(report: Report, results: dict[str, list[Fitted]], count: int) -> None:
    first = medians(results, lambda run: run.seconds[0])
    best = medians(results, lambda run: min(run.seconds))
    rows = [
        (name, f"{first[name]:.2f}", f"{best[name]:.2f}", f"{sum(results[name][0].variance_shares):.6f}")
        for name in results
    ]
    columns = ("contender", "seconds, first fit", "seconds, best fit", "variance explained by 80")
    report.table(
        f"PCA of {count} x 1280 (fit in a session that has read the rows once, its workers started)", columns, rows
    )
    report.ratios(
        "How many times faster than pyspark.ml",
        [
            Ratio("first fit, same session settings", first[ML] / first[OURS], TARGET),
            Ratio("first fit, Spark's JVM options for pyspark.ml", first[ML_OPTIMISED] / first[OURS], TARGET),
            Ratio("best fit, same session settings", best[ML] / best[OURS]),
            Ratio("best fit, Spark's JVM options for pyspark.ml", best[ML_OPTIMISED] / best[OURS]),
            Ratio("largest difference of an explained share", _difference(results), 1e-6, at_most=True),
        ],
    )
    report.detail("seconds", {name: [run.seconds for run in runs] for name, runs in results.items()})


def _difference(results: dict[str, list[Fitted]]) -> float:
    """Largest relative difference between the variance shares of ours and pyspark.ml's."""
    ours, theirs = results[OURS][0].variance_shares, results[ML][0].variance_shares
    return max(abs(a - b) / b for a, b in zip(ours, theirs, strict=True))


def _add_memory(report: Report, runs: dict[int, Fitted]) -> None:
    if not runs:
        return
    rows = [
        (
            f"{count:,}",
            mib(run.memory.peak(DRIVER)),
            mib(run.memory.peak(JVM)),
            mib(run.live_heap_bytes),
            f"{run.seconds[0]:.1f}",
        )
        for count, run in runs.items()
    ]
    columns = ("rows", f"{DRIVER}, peak", f"{JVM}, peak", "live heap after", "seconds")
    report.table("Our driver's memory (executor in a process of its own, driver heap 1g)", columns, rows)
    least, most = runs[min(runs)], runs[max(runs)]
    what = f"from {min(runs):,} to {max(runs):,} rows"
    report.ratios(
        "Growth of the driver's memory",
        [
            Ratio(f"{DRIVER}, {what}", most.memory.peak(DRIVER) / least.memory.peak(DRIVER), FLAT, at_most=True),
            Ratio(f"{JVM}, {what}", most.memory.peak(JVM) / least.memory.peak(JVM), FLAT, at_most=True),
            Ratio(f"live heap, {what}", most.live_heap_bytes / least.live_heap_bytes, FLAT, at_most=True),
        ],
    )


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
