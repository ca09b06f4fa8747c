"""The table of `against_peers`: one row per contender, one column per size, ready for the README.

Put here words and columns. Figures come from `peer_contenders.py`.
"""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from fruit_assets_tests.benchmarks.machine import Machine
from fruit_assets_tests.benchmarks.peer_contenders import (
    DAFT,
    NOTEBOOK,
    OURS,
    RAY,
    SPARK_KERAS,
    WITH_EXPORT,
    Failed,
    Measured,
    Outcome,
)
from fruit_assets_tests.benchmarks.report import Ratio

# Sizes from which the targets hold: below them start-up decides.
FROM_IMAGES = 5000
_TARGETS = dict.fromkeys(("f32", "bf16", "int8"), 1.0)
_FRAMEWORKS = {RAY: "Ray Data", DAFT: "Daft", OURS: "ours"}
_NOT_RUN, _FAILED = "not run", "failed"

# Images of the set -> contender -> its outcomes, one per round; a contender that was left out is absent.
Outcomes = Mapping[int, Mapping[str, Sequence[Outcome]]]


def title_of(contender: str) -> str:
    """How the table names a contender."""
    if contender == NOTEBOOK:
        return "the notebook's method"
    if contender == SPARK_KERAS:
        return "pyspark, pandas UDF, Keras"
    framework, precision, *rest = contender.split("-")
    return f"{_FRAMEWORKS[framework]}, {precision}{', with the export' if rest == [WITH_EXPORT] else ''}"


def columns(sizes: Sequence[int]) -> list[str]:
    return ["contender", *(f"{size:,} images" for size in sizes), "peak memory", "largest difference", "mean cosine"]


def row(contender: str, outcomes: Outcomes) -> list[str]:
    """A contender's row; memory and agreement are those of the largest size it did."""
    cells = [_time(size, by_contender.get(contender, ())) for size, by_contender in outcomes.items()]
    done = [runs for by_contender in outcomes.values() if (runs := measured(by_contender.get(contender, ())))]
    if not done:
        return [title_of(contender), *cells, "-", "-", "-"]
    memory = max(run.peak_memory for run in done[-1])
    difference = max(run.agreement.largest_difference for run in done[-1])
    cosine = min(run.agreement.mean_cosine for run in done[-1])
    return [title_of(contender), *cells, f"{memory / 2**30:.1f} GiB", f"{difference:.2g}", f"{cosine:.4f}"]


def measured(outcomes: Sequence[Outcome]) -> list[Measured]:
    """The outcomes, or none when any of them failed: a figure of some rounds would not be the contender's."""
    good = [outcome for outcome in outcomes if isinstance(outcome, Measured)]
    return good if len(good) == len(outcomes) else []


def ratios(outcomes: Outcomes) -> list[Ratio]:
    """How many times faster ours is than the better of Ray Data and Daft at the same precision."""
    found = []
    for size, by_contender in outcomes.items():
        seconds = {
            name: median(run.seconds for run in runs)
            for name, all_of in by_contender.items()
            if (runs := measured(all_of))
        }
        for precision, target in _TARGETS.items():
            theirs = _better(seconds, precision)
            ours = f"{OURS}-{precision}"
            if theirs is None or ours not in seconds:
                continue
            what = f"{size:,} images: {title_of(theirs)} / {title_of(ours)}"
            found.append(Ratio(what, seconds[theirs] / seconds[ours], target if size >= FROM_IMAGES else None))
    return found


def below_the_table(machine: Machine, peers: Mapping[str, str], compared: int) -> str:
    """What a reader of the table must know to judge it."""
    flags = ", ".join(machine.flags) or "no vector extensions that matter here"
    names = ("python", "pyspark", "keras", "tensorflow", "openvino")
    versions = ", ".join(
        f"{name} {number}" for name, number in ({name: machine.versions[name] for name in names} | dict(peers)).items()
    )
    return (
        f"{machine.cpu}, {machine.cores} cores, {machine.memory_gib:.0f} GiB ({flags}); {versions}. Seconds of whole "
        "processes, start to exit, and images per second of them. Every contender reads the same files, gets the "
        "pixels that PIL's resize gives, and writes `path, label, features` and 80 components as Parquet. The "
        "notebook's method and plain pyspark run Keras; the others the same exported OpenVINO model, one thread per "
        "core, which ours takes apart in two at f32. PCA is Spark's in the notebook's method, scikit-learn's in the "
        "peers. Ours also stores the sample, its digests, what was rejected, checks, plots and a recognition report. "
        "Memory: all processes together, shared pages counted once. "
        f"Difference and cosine: against Keras on {compared} of the images."
    )


def details(outcomes: Outcomes) -> dict[str, Any]:
    """Every single outcome, for the JSON file."""
    return {
        str(size): {name: [_detail(one) for one in runs] for name, runs in by.items()} for size, by in outcomes.items()
    }


def _detail(outcome: Outcome) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(outcome)


def _better(seconds: Mapping[str, float], precision: str) -> str | None:
    names = [name for name in (f"{RAY}-{precision}", f"{DAFT}-{precision}") if name in seconds]
    return min(names, key=lambda name: seconds[name], default=None)


def _time(size: int, outcomes: Sequence[Outcome]) -> str:
    if not outcomes:
        return _NOT_RUN
    if any(isinstance(outcome, Failed) for outcome in outcomes):
        return _FAILED
    seconds = median(run.seconds for run in measured(outcomes))
    rate = size / seconds
    return f"{seconds:,.0f} s, {rate:.{1 if rate < 10 else 0}f}/s"
