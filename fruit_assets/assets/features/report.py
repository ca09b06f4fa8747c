"""What `image_features` and `rejected_images` show of a run: metadata, plots, checks.

Put here how a result is reported. How it came about belongs in `image_features.py`, the report on the precision in
`precision.py`.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import dagster as dg

from fruit_assets.assets import asset_plots as pictures
from fruit_assets.assets.features import precision as precision_of_run
from fruit_assets.assets.features.checks import CHECKS, Cause, few_featureless, few_rejected, mostly_readable
from fruit_assets.assets.features.precision import ResolvedPrecision
from fruit_assets.assets.publishing import PhaseTimer, publish_results
from fruit_assets.assets.resources import CorePrice
from fruit_assets.features.increments import IncrementalPlan
from fruit_assets.features.known_features import ARITHMETICS
from fruit_assets.keys.key_table import KeyTable
from fruit_assets.storage.delta.staged_commit import StagedCommit
from fruit_assets.storage.delta.version import Version

FEATURES_NAME = "image_features"
REJECTED_NAME = "rejected_images"


@dataclass(frozen=True)
class RejectedRows:
    """The rejected images of a sample.

    Attributes:
        rows: `path, label, sha256, reason`, by path.
    """

    rows: KeyTable

    @cached_property
    def count(self) -> int:
        return self.rows.num_rows

    @cached_property
    def kinds(self) -> dict[str, int]:
        """How many images for each reason, without its details."""
        kind = "trim(split_part(split_part(reason, ':', 1), '(', 1))"
        return dict(self.rows.rows(f"select {kind}, count(*) from {{table}} group by 1 order by min(path)"))  # noqa: S608

    @property
    def commonest(self) -> Cause | None:
        query = """
        select split_part(reason, ':', 1), count(*), min(path), arg_min(reason, path) from {table}
        group by 1 order by 2 desc, 3 limit 1
        """
        return next((Cause(*row) for row in self.rows.rows(query)), None)

    def digest(self) -> str:
        """Of all rows in order, as Python writes a list of them."""
        digest, between = hashlib.sha256(b"["), ""
        for batch in self.rows.batches():
            for row in batch.to_pylist():
                digest.update(f"{between}{row!r}".encode())
                between = ", "
        digest.update(b"]")
        return digest.hexdigest()[:32]

    def metadata(self, sampled: int) -> dict[str, Any]:
        metadata: dict[str, Any] = {"rejected_share": self.count / max(sampled, 1)}
        if first := self.rows.rows("select path, reason from {table} order by path limit 20"):
            rows = "\n".join(f"| `{path}` | {reason} |" for path, reason in first)
            metadata["first_rejected"] = dg.MetadataValue.md(f"| path | reason |\n|---|---|\n{rows}")
        return metadata


@dataclass(frozen=True)
class FeaturizationResult:
    """Both staged versions, the figures of making them, how many features a row must have, and what images showed."""

    features: StagedCommit
    rejected: StagedCommit
    rejected_rows: RejectedRows
    plan: IncrementalPlan
    computed: int
    broken: int
    worker_seconds: dict[str, float]
    arithmetics: tuple[str, ...]
    feature_count: int
    traits: dict[str, int]
    batchings: tuple[str, ...] = ()
    longest_seconds: float = 0.0

    def made_from(self, *inputs: Version) -> "FeaturizationResult":
        """Both versions record the versions of their inputs."""
        features, rejected = self.features.made_from(*inputs), self.rejected.made_from(*inputs)
        return replace(self, features=features, rejected=rejected)

    def with_facts(self, **facts: Any) -> "FeaturizationResult":
        """The features record these facts."""
        return replace(self, features=self.features.with_facts(**facts))


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
    arithmetics, rows = list(outcome.arithmetics), outcome.rejected_rows
    facts = {"features_fingerprint": fingerprint, "data_version": version, ARITHMETICS: arithmetics}
    with phases("pictures"):
        shown = pictures.work_done(outcome.plan.reused_count, outcome.computed, rows.count, phases.seconds)
        shown_rejected = pictures.rejected_by_reason(rows.kinds)
    features = dg.MaterializeResult(
        asset_key=FEATURES_NAME,
        value=outcome.features.with_facts(**facts).with_figures(**figures),
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
    )
    rejected = dg.MaterializeResult(
        asset_key=REJECTED_NAME,
        value=outcome.rejected.with_facts(features_data_version=version),
        metadata={**shown_rejected, **rows.metadata(sample.row_count)},
        data_version=dg.DataVersion(rows.digest()),
    )
    readable = mostly_readable(sample.row_count, rows.count, rows.commonest, max_rejected_share)
    checks = [*_checks(outcome, sample.row_count), readable, *precision_of_run.check_results(precision, arithmetics)]
    yield from publish_results([features, rejected], checks)


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
        "recovered": outcome.plan.recovered_count,
        "identical_files": outcome.plan.new_count - outcome.plan.compute_count,
        "images_per_second": round(outcome.computed / seconds, 1) if outcome.computed else 0.0,
    }
    # Of the images that this run computed.
    figures |= {f"{name}_images": count for name, count in outcome.traits.items()}
    figures["longest_seconds_per_file"] = round(outcome.longest_seconds, 3)
    return figures | {f"worker_seconds/{name}": round(value, 3) for name, value in outcome.worker_seconds.items()}


def _cost(outcome: FeaturizationResult, core_price: CorePrice) -> dict[str, Any]:
    """What a million such images cost, from the seconds of the workers alone: start-up and idle cores come on top."""
    if not outcome.computed or not outcome.worker_seconds:
        return {}
    hours = sum(outcome.worker_seconds.values()) / outcome.computed * 1e6 / 3600
    return {"usd_per_million_images": round(hours * core_price.usd_per_core_hour, 4), "priced_by": core_price.basis}
