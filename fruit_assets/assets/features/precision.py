"""Which precision a run uses, and the metadata and checks that report it.

Put here how `auto` is resolved and when the drift check measures. The figures
belong in `features/drift_check.py`, the job in `features/comparison.py`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import dagster as dg

from fruit_assets.assets.features.checks import close_to_f32, one_arithmetic
from fruit_assets.extractor.processor import parse_precision
from fruit_assets.extractor.specification import ExtractorDescription, ExtractorFiles
from fruit_assets.features.comparison import compare
from fruit_assets.features.drift_check import Choice, DriftFigures, choose_precision
from fruit_assets.features.inference_worker import FeaturizationOptions
from fruit_assets.features.known_features import Increment
from fruit_assets.spark.resource import SparkResource
from fruit_assets.storage.delta.table import Table
from fruit_assets.storage.delta.version import Version

AUTO = "auto"
_CHOSEN_FOR, _CHOICE, _GUARD = "precision_chosen_for", "precision_choice", "guard"
# More new images than this, and the figures of the version before say too little about these.
_MOST_NEW = 0.1

Measure = Callable[[str], DriftFigures]


@dataclass(frozen=True)
class ResolvedPrecision:
    """The precision of a run.

    Attributes:
        name: `f32`, `bf16` or `int8`.
        why: `auto` became it; empty when it was asked for by name.
        guard: its figures against f32; None until they are measured, and at f32.
        facts: what a later run needs to come to the same choice without measuring.
    """

    name: str
    why: str
    guard: DriftFigures | None
    facts: dict[str, Any]

    @property
    def guarded(self) -> bool:
        return self.name == "f32" or self.guard is not None

    def measured(self, figures: DriftFigures | None) -> "ResolvedPrecision":
        return replace(self, guard=figures)


def make_comparer(
    spark: SparkResource, sample: Version, extractor: ExtractorFiles, options: FeaturizationOptions
) -> Measure:
    """How to compare a precision with f32; asking for one starts Spark."""

    def measure(precision: str) -> DriftFigures:
        return compare(spark.context(), sample, extractor, replace(options, precision=precision))

    return measure


def resolve_precision(
    asked: str, features: Table, extractor: ExtractorDescription, measure: Measure, *, reuse: bool
) -> ResolvedPrecision:
    """The precision asked for, or what `auto` stands for: once chosen for an extractor, it stays.

    Args:
        asked: value of the run config.
        features: where the features are published, with the choices of earlier runs.
        extractor: the published extractor.
        measure: compares a precision with f32.
        reuse: false lets `auto` look again.
    """
    if asked != AUTO:
        return ResolvedPrecision(asked, "", None, {})
    quantized = extractor.quantized
    key = f"{extractor.fingerprint} {quantized.fingerprint if quantized else 'without int8'}"
    before = features.find_latest(**{_CHOSEN_FOR: key}) if reuse else None
    if before is not None:
        chosen = before.facts[_CHOICE]
        return ResolvedPrecision(chosen["precision"], chosen["why"], None, {_CHOSEN_FOR: key, _CHOICE: chosen})
    absent = "" if quantized else "int8 was not exported, because NNCF is not installed where the extractor is made"
    choice: Choice = choose_precision(["int8", "bf16"] if quantized else ["bf16"], measure, absent)
    facts = {_CHOSEN_FOR: key, _CHOICE: {"precision": choice.precision, "why": choice.why}}
    return ResolvedPrecision(choice.precision, choice.why, choice.figures, facts)


def previous_drift(increment: Increment) -> DriftFigures | None:
    """The figures of the version that most of the images are taken over from; None when they say too little."""
    previous, plan = increment.previous, increment.plan
    if previous is None or plan.new_count + plan.recovered_count > _MOST_NEW * plan.sample_count:
        return None
    stored = previous.facts.get(_GUARD)
    return DriftFigures.from_json(stored) if stored else None


def facts(precision: ResolvedPrecision) -> dict[str, Any]:
    """The facts stored with the version of the features."""
    guard = {_GUARD: precision.guard.to_json()} if precision.guard else {}
    return {**precision.facts, **guard, "precision": precision.name}


def metadata(precision: ResolvedPrecision, arithmetics: list[str]) -> dict[str, Any]:
    """Metadata: the precision, why it was chosen, its drift from f32, and the arithmetic that ran."""
    shown: dict[str, Any] = {"precision": precision.name, "arithmetic": "; ".join(arithmetics) or "nothing computed"}
    if precision.why:
        shown["precision_chosen_because"] = precision.why
    if (guard := precision.guard) is not None:
        shown |= {
            "guard/images": guard.images,
            "guard/mean_cosine": round(guard.mean_cosine, 4),
            "guard/least_cosine": round(guard.least_cosine, 4),
            "guard/neighbour_agreement": round(guard.neighbour_agreement, 4),
            "guard/accuracy_change": round(guard.accuracy_change, 4),
            "guard/speedup": round(guard.speedup, 2),
        }
    return shown


def check_results(precision: ResolvedPrecision, arithmetics: list[str]) -> list[dg.AssetCheckResult]:
    """Whether the features are as good as those at f32, and computed by one arithmetic."""
    return [
        close_to_f32(precision.name, precision.guard),
        one_arithmetic(precision.name, arithmetics, {parse_precision(each) for each in arithmetics}),
    ]
