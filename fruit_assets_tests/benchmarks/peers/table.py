"""The tables of `against_peers`: one per size, one row per program, one column per precision, ready for the docs.

Put here words and columns. Figures come from `contenders.py`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from statistics import median
from typing import Any

from fruit_assets_tests.benchmarks.machine import Machine
from fruit_assets_tests.benchmarks.options import PRECISIONS
from fruit_assets_tests.benchmarks.peers.contenders import (
    DAFT,
    DUCKDB,
    NOTEBOOK,
    ONNX,
    OURS,
    OURS_WITH_EXPORT,
    PROCESSES,
    RAY,
    SHARDS,
    SPARK,
    SPARK_KERAS,
    Measured,
    Outcome,
    program_of,
)
from fruit_assets_tests.benchmarks.report import Ratio

TITLES = {
    NOTEBOOK: "the notebook's method",
    SPARK_KERAS: "pyspark, pandas UDF, Keras",
    SPARK: "pyspark, pandas UDF, OpenVINO",
    RAY: "Ray Data, OpenVINO",
    DAFT: "Daft, OpenVINO",
    SHARDS: "tar shards and NumPy files, OpenVINO",
    PROCESSES: "pool of processes, OpenVINO",
    DUCKDB: "pool of processes, OpenVINO, into DuckDB",
    ONNX: "pool of processes, ONNX Runtime",
    OURS: "ours",
    OURS_WITH_EXPORT: "ours, with the export",
}
# From how many images on how much faster than the best peer ours shall be, the largest first.
_TARGETS = {50_000: 1.25, 5_000: 1.0, 1_000: 0.8}
_FASTEST = "fastest peer / ours"
_NOT_RUN, _FAILED = "not run", "failed"

# Contender -> its outcomes, one per round; a contender that was left out is absent.
OutcomesOfSize = Mapping[str, Sequence[Outcome]]
# Images of the set -> the outcomes with it.
Outcomes = Mapping[int, OutcomesOfSize]


def columns() -> list[str]:
    return ["program", *PRECISIONS, "peak memory", "mean cosine"]


def rows(size: int, outcomes: OutcomesOfSize) -> list[list[str]]:
    """A row for every program that took part in a size, and the ratios below them."""
    programs = [program for program in TITLES if any(program_of(name) == program for name in outcomes)]
    last = {precision: ratio for precision in PRECISIONS if (ratio := _fastest(size, outcomes, precision))}
    speeds = [f"{last[each].value:.2f}" if each in last else _NOT_RUN for each in PRECISIONS]
    return [*(_row(size, program, outcomes) for program in programs), [_FASTEST, *speeds, "", ""]]


def _row(size: int, program: str, outcomes: OutcomesOfSize) -> list[str]:
    """Memory is the most at any precision; the cosine, of the features with Keras', is given for each."""
    runs = {each: outcomes.get(f"{program}-{each}", ()) for each in PRECISIONS}
    done = {each: good for each, some in runs.items() if (good := measured(some))}
    memory = max((run.peak_memory for good in done.values() for run in good), default=None)
    cosines = [f"{min(run.agreement.mean_cosine for run in good):.4f}" for good in done.values()]
    return [
        TITLES[program],
        *(_time(size, some) for some in runs.values()),
        f"{memory / 2**30:.1f} GiB" if memory is not None else "-",
        ", ".join(cosines) or "-",
    ]


def measured(outcomes: Sequence[Outcome]) -> list[Measured]:
    """The outcomes, or none when any of them failed: a figure of some rounds would not be the contender's."""
    good = [outcome for outcome in outcomes if isinstance(outcome, Measured)]
    return good if len(good) == len(outcomes) else []


def ratios(outcomes: Outcomes) -> list[Ratio]:
    """How many times faster ours is than the fastest peer at the same precision, at every size."""
    found = [_fastest(size, by, precision) for size, by in outcomes.items() for precision in PRECISIONS]
    return [ratio for ratio in found if ratio is not None]


def _fastest(size: int, outcomes: OutcomesOfSize, precision: str) -> Ratio | None:
    seconds = {
        program_of(name): median(run.seconds for run in good)
        for name, some in outcomes.items()
        if name.endswith(f"-{precision}") and (good := measured(some))
    }
    ours = seconds.pop(OURS, None)
    seconds.pop(OURS_WITH_EXPORT, None)
    if ours is None or not seconds:
        return None
    best = min(seconds, key=seconds.__getitem__)
    target = next((target for least, target in _TARGETS.items() if size >= least), None)
    return Ratio(f"{size:,} images, {precision}: {TITLES[best]} / ours", seconds[best] / ours, target)


def below_the_table(machine: Machine, peers: Mapping[str, str], compared: int) -> str:
    """What a reader of the table must know to judge it."""
    flags = ", ".join(machine.flags) or "no vector extensions that matter here"
    names = ("python", "pyspark", "keras", "tensorflow", "openvino")
    versions = ", ".join(
        f"{name} {number}" for name, number in ({name: machine.versions[name] for name in names} | dict(peers)).items()
    )
    return (
        f"{machine.cpu}, {machine.cores} cores, {machine.memory_gib:.0f} GiB ({flags}); {versions}. Seconds of whole "
        "processes, start to exit, and images per second of them. Every program reads the same files, gets the "
        "pixels that PIL's resize gives, and writes path, label, features and 80 components. The notebook's method "
        "and one peer run Keras; ONNX Runtime runs the same network converted, at int8 quantised by its own tools on "
        "the same images; all others the same exported OpenVINO files, one thread per core. PCA is Spark's in the "
        "notebook's method, scikit-learn's in the peers. Ours also stores the sample, its digests, what was rejected, "
        "checks, plots and a recognition report. Memory: all processes together, shared pages counted once. "
        f"Cosine: with Keras' features, on {compared} of the images, at each precision."
    )


def details(outcomes: Outcomes) -> dict[str, Any]:
    """Every single outcome, for the JSON file."""
    return {
        str(size): {name: [asdict(one) for one in runs] for name, runs in by.items()} for size, by in outcomes.items()
    }


def _time(size: int, outcomes: Sequence[Outcome]) -> str:
    if not outcomes:
        return _NOT_RUN
    if not (good := measured(outcomes)):
        return _FAILED
    seconds = median(run.seconds for run in good)
    rate = size / seconds
    return f"{seconds:,.1f} s, {rate:.{1 if rate < 10 else 0}f}/s"
