"""What `image_features` and `rejected_images` show of a run: metadata, plots, checks.

Put here how a result is reported. How it came about belongs in `image_features.py`, the report on the precision in
`precision.py`.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import dagster as dg

from fruit_assets.assets import asset_plots as pictures
from fruit_assets.assets.features import precision as precision_of_run
from fruit_assets.assets.features.checks import CHECKS, few_featureless, few_rejected, mostly_readable
from fruit_assets.assets.features.precision import ResolvedPrecision
from fruit_assets.assets.publishing import PhaseTimer, publish_results
from fruit_assets.assets.resources import CorePrice
from fruit_assets.features.incremental import IncrementalPlan
from fruit_assets.storage.delta.staged_commit import StagedCommit
from fruit_assets.storage.delta.version import Version

if TYPE_CHECKING:
    import pyarrow as pa

FEATURES_NAME = "image_features"
REJECTED_NAME = "rejected_images"
ARITHMETICS = "arithmetics"


@dataclass(frozen=True)
class FeaturizationResult:
    """Both staged versions, the figures of making them, how many features a row must have, and what images showed."""

    features: StagedCommit
    rejected: StagedCommit
    plan: IncrementalPlan
    computed: int
    broken: int
    worker_seconds: dict[str, float]
    arithmetics: tuple[str, ...]
    feature_count: int
    traits: dict[str, int]
    batchings: tuple[str, ...] = ()


def materialize_results(
    outcome: FeaturizationResult,
    phases: PhaseTimer,
    fingerprint: str,
    sample: Version,
    precision: ResolvedPrecision,
    core_price: CorePrice,
    max_rejected_share: float,
) -> Iterator[Any]:
    """Both assets' materialisations and checks, for `publish_results`."""
    version = f"{sample.facts['data_version']}-{fingerprint}"
    figures = _figures(outcome, phases)
    arithmetics = list(outcome.arithmetics)
    features = outcome.features.with_facts(
        features_fingerprint=fingerprint, data_version=version, **{ARITHMETICS: arithmetics}
    ).with_figures(**figures)
    rejected = outcome.rejected.with_facts(features_data_version=version)
    rejected_table = rejected.version.read_table()
    reasons = Counter(_kind(reason) for reason in rejected_table["reason"].to_pylist())
    with phases("pictures"):
        shown = pictures.work_done(outcome.plan.reused_count, outcome.computed, sum(reasons.values()), phases.seconds)
        shown_rejected = pictures.rejected_by_reason(reasons)
    yield from publish_results(
        [
            dg.MaterializeResult(
                asset_key=FEATURES_NAME,
                value=features,
                metadata={
                    **shown,
                    **figures,
                    **precision_of_run.metadata(precision, arithmetics),
                    **({"batch_sizes": "; ".join(outcome.batchings)} if outcome.batchings else {}),
                    **_cost(outcome, core_price),
                    **phases.metadata(),
                    "features_fingerprint": fingerprint,
                },
                data_version=dg.DataVersion(version),
            ),
            dg.MaterializeResult(
                asset_key=REJECTED_NAME,
                value=rejected,
                metadata={**shown_rejected, **_rejected_metadata(rejected_table, sample.row_count)},
                data_version=dg.DataVersion(hashlib.sha256(repr(rejected_table.to_pylist()).encode()).hexdigest()[:32]),
            ),
        ],
        [
            *_checks(outcome, sample.row_count),
            mostly_readable(
                sample.row_count,
                list(zip(*(rejected_table[name].to_pylist() for name in ("path", "reason")), strict=True)),
                max_rejected_share,
            ),
            *precision_of_run.check_results(precision, arithmetics),
        ],
    )


def _checks(outcome: FeaturizationResult, sampled: int) -> list[dg.AssetCheckResult]:
    rows, rejected = outcome.features.version.row_count, outcome.rejected.version.row_count
    measured = outcome.features.version.facts["measures"]
    # Without a single row there is no width to be wrong.
    expected = outcome.feature_count
    widths = [expected if measured[name] is None else measured[name] for name in ("shortest", "longest")]
    return [
        CHECKS.rows_reconcile(sampled, {"featurised": rows, "rejected": rejected}),
        CHECKS.dimensions(expected, *widths),
        CHECKS.finite_values(outcome.broken),
        few_rejected(sampled, rejected),
        few_featureless(outcome.computed, outcome.traits.get("featureless", 0)),
    ]


def _figures(outcome: FeaturizationResult, phases: PhaseTimer) -> dict[str, Any]:
    seconds = phases.seconds["featurizing"]
    figures: dict[str, Any] = {
        "computed": outcome.computed,
        "reused": outcome.plan.reused_count,
        "identical_files": outcome.plan.new_count - outcome.plan.compute_count,
        "images_per_second": round(outcome.computed / seconds, 1) if outcome.computed else 0.0,
    }
    # Of the images that this run computed.
    figures |= {f"{name}_images": count for name, count in outcome.traits.items()}
    return figures | {f"worker_seconds/{name}": round(value, 3) for name, value in outcome.worker_seconds.items()}


def _cost(outcome: FeaturizationResult, core_price: CorePrice) -> dict[str, Any]:
    """What a million such images cost, from the seconds of the workers alone: start-up and idle cores come on top."""
    if not outcome.computed or not outcome.worker_seconds:
        return {}
    hours = sum(outcome.worker_seconds.values()) / outcome.computed * 1e6 / 3600
    return {"usd_per_million_images": round(hours * core_price.usd_per_core_hour, 4), "priced_by": core_price.basis}


def _rejected_metadata(table: "pa.Table", sampled: int) -> dict[str, Any]:
    metadata: dict[str, Any] = {"rejected_share": table.num_rows / max(sampled, 1)}
    if table.num_rows:
        first = table.slice(0, 20).to_pylist()
        rows = "\n".join(f"| `{row['path']}` | {row['reason']} |" for row in first)
        metadata["first_rejected"] = dg.MetadataValue.md(f"| path | reason |\n|---|---|\n{rows}")
    return metadata


def _kind(reason: str) -> str:
    """The part of a reason that many images share: what comes before details."""
    return reason.split(":")[0].split("(")[0].strip()
