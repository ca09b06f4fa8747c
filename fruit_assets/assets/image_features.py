"""`image_features` and `rejected_images`: what became of every sampled image.

Put here what the two assets take, publish and say. They are one step, because one pass over the images
decides both. The work belongs in `pipeline/featurization.py` and `pipeline/reuse.py`.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from fruit_assets import checks
from fruit_assets.assets import pictures
from fruit_assets.assets.outcome import Phases, explained_failures, published
from fruit_assets.assets.repeating import RUN_CONFIG, config_of_run
from fruit_assets.assets.resources import SPARK_POOL
from fruit_assets.assets.run_config import FeaturesConfig
from fruit_assets.assets.schemas import table_metadata
from fruit_assets.pipeline.extractor import FEATURES, ExtractorFiles
from fruit_assets.pipeline.featurization import FeaturizationOptions, featurize, fingerprint_of
from fruit_assets.pipeline.reuse import ReusePlan, plan_reuse
from fruit_assets.spark.progress import reported_progress
from fruit_assets.spark.resource import SparkResource
from fruit_assets.storage.io_managers import AssetStorage
from fruit_assets.storage.tables import Writing, stage_again, stage_frame, stage_table
from fruit_assets.storage.versions import StagedVersion, Version

if TYPE_CHECKING:
    import pyarrow as pa

FEATURES_NAME = "image_features"
REJECTED_NAME = "rejected_images"


class WorkerCache(dg.ConfigurableResource[Any]):
    """Folder, on every machine that runs tasks, for extractor files fetched from S3."""

    folder: str


@dataclass(frozen=True)
class _Outcome:
    """Both staged versions, and the figures of making them."""

    features: StagedVersion
    rejected: StagedVersion
    plan: ReusePlan
    computed: int
    broken: int
    worker_seconds: dict[str, float]


@dg.multi_asset(
    name=FEATURES_NAME,
    outs={
        FEATURES_NAME: dg.AssetOut(
            description="One row of 1280 features per readable sampled image. Features of images that an earlier run "
            "featurised with the same extractor are taken over; identical files are inferred once.\n\n"
            "```python\nfrom fruit_assets.storage import read_current\n"
            'table = read_current("data/assets/image_features")\n```',
            group_name="features",
            kinds={"pyspark", "openvino", "parquet"},
            owners=["team:image-features"],
            code_version="1",
            metadata=table_metadata(FEATURES_NAME),
        ),
        REJECTED_NAME: dg.AssetOut(
            description="The sampled images that could not be read, and why: "
            "sampled = featurised + rejected, always.\n\n"
            "```python\nfrom fruit_assets.storage import read_current\n"
            'read_current("data/assets/rejected_images").to_pandas()\n```',
            group_name="features",
            kinds={"pyspark", "parquet"},
            owners=["team:image-features"],
            code_version="1",
            metadata=table_metadata(REJECTED_NAME),
        ),
    },
    pool=SPARK_POOL,
    check_specs=checks.specs_for(FEATURES_NAME),
)
def image_features(
    context: dg.AssetExecutionContext,
    config: FeaturesConfig,
    sampled_images: Version,
    feature_extractor: Version,
    storage: AssetStorage,
    spark: SparkResource,
    worker_cache: WorkerCache,
    step_launcher: dg.ResourceParam[object],
) -> Iterator[Any]:
    """Features of every readable sampled image, and the reasons why the others have none."""
    with explained_failures():
        phases = Phases()
        config = config_of_run(context, config, storage.folder(FEATURES_NAME))
        extractor = ExtractorFiles.of(feature_extractor)
        options = FeaturizationOptions(
            config.batch_size, config.engine.value, config.precision.value, Path(worker_cache.folder)
        )
        fingerprint = fingerprint_of(extractor, options)
        with phases("planning"):
            plan = _plan(storage, sampled_images, fingerprint, reuse=config.reuse)
        context.log.info(
            f"{plan.compute_count} images to infer, {plan.reused_count} to take over from the previous version."
        )
        writings = storage.writing(FEATURES_NAME, context), storage.writing(REJECTED_NAME, context)
        with phases("featurizing"):
            if plan.unchanged:
                outcome = _same_as_before(storage, plan, writings)
            else:
                with reported_progress(spark.session(), context.log.info, FEATURES_NAME):
                    outcome = _featurized(spark, sampled_images, plan, extractor, options, writings)
        features = outcome.features.with_facts(**{RUN_CONFIG: config.model_dump(mode="json")})
        outcome = replace(outcome, features=features)
        yield from _results(outcome, phases, fingerprint, sampled_images)


def _plan(storage: AssetStorage, sample: Version, fingerprint: str, *, reuse: bool) -> ReusePlan:
    """Reuse the newest features of the same fingerprint, with the rejected images that go with them."""
    previous = storage.folder(FEATURES_NAME).newest_with(features_fingerprint=fingerprint) if reuse else None
    rejected = _rejected_with(storage, previous) if previous else None
    return plan_reuse(sample, previous, rejected)


def _rejected_with(storage: AssetStorage, features: Version) -> Version | None:
    return storage.folder(REJECTED_NAME).newest_with(features_version=features.manifest.version)


def _same_as_before(storage: AssetStorage, plan: ReusePlan, writings: tuple[Writing, Writing]) -> _Outcome:
    assert plan.previous is not None  # noqa: S101  a plan is unchanged only with regard to a version
    rejected = _rejected_with(storage, plan.previous)
    assert rejected is not None  # noqa: S101  the plan compared its rows
    features = stage_again(plan.previous, writings[0])
    return _Outcome(features, stage_again(rejected, writings[1]), plan, 0, 0, {})


def _featurized(
    spark: SparkResource,
    sample: Version,
    plan: ReusePlan,
    extractor: ExtractorFiles,
    options: FeaturizationOptions,
    writings: tuple[Writing, Writing],
) -> _Outcome:
    from pyspark.sql import functions as F

    work = featurize(spark.session(), sample, plan, extractor, options)
    widths = {"shortest": F.min(F.size("features")), "longest": F.max(F.size("features"))}
    features = stage_frame(work.features, writings[0], measures=widths)
    figures = work.figures()
    rejected = stage_table(figures.rejected, writings[1])
    seconds = {"decoding": figures.decode_seconds, "inference": figures.inference_seconds}
    return _Outcome(features, rejected, plan, figures.computed, figures.broken, seconds)


def _results(outcome: _Outcome, phases: Phases, fingerprint: str, sample: Version) -> Iterator[Any]:
    version = f"{sample.manifest.facts['data_version']}-{fingerprint}"
    figures = _figures(outcome, phases)
    features = outcome.features.with_facts(features_fingerprint=fingerprint, data_version=version, **figures)
    rejected = outcome.rejected.with_facts(features_version=features.manifest.version)
    rejected_table = rejected.opened.read_table()
    reasons = Counter(_kind(reason) for reason in rejected_table["reason"].to_pylist())
    with phases("pictures"):
        shown = pictures.work_done(outcome.plan.reused_count, outcome.computed, sum(reasons.values()), phases.seconds)
        shown_rejected = pictures.rejected_by_reason(reasons)
    yield from published(
        [
            dg.MaterializeResult(
                asset_key=FEATURES_NAME,
                value=features,
                metadata={**shown, **figures, **phases.metadata(), "features_fingerprint": fingerprint},
                data_version=dg.DataVersion(version),
            ),
            dg.MaterializeResult(
                asset_key=REJECTED_NAME,
                value=rejected,
                metadata={**shown_rejected, **_rejected_metadata(rejected_table, sample.manifest.row_count)},
                data_version=dg.DataVersion(hashlib.sha256(repr(rejected_table.to_pylist()).encode()).hexdigest()[:32]),
            ),
        ],
        _checks(outcome, sample.manifest.row_count),
    )


def _checks(outcome: _Outcome, sampled: int) -> list[dg.AssetCheckResult]:
    rows, rejected = outcome.features.manifest.row_count, outcome.rejected.manifest.row_count
    measured = outcome.features.manifest.facts["measures"]
    # Without a single row there is no width to be wrong.
    widths = [FEATURES if measured[name] is None else measured[name] for name in ("shortest", "longest")]
    return [
        checks.rows_reconcile(FEATURES_NAME, sampled, {"featurised": rows, "rejected": rejected}),
        checks.dimensions(FEATURES_NAME, FEATURES, *widths),
        checks.finite_values(FEATURES_NAME, outcome.broken),
        checks.few_rejected(sampled, rejected),
    ]


def _figures(outcome: _Outcome, phases: Phases) -> dict[str, Any]:
    seconds = phases.seconds["featurizing"]
    figures: dict[str, Any] = {
        "computed": outcome.computed,
        "reused": outcome.plan.reused_count,
        "identical_files": len(outcome.plan.computed_paths) - outcome.plan.compute_count,
        "images_per_second": round(outcome.computed / seconds, 1) if outcome.computed else 0.0,
    }
    return figures | {f"worker_seconds/{name}": round(value, 3) for name, value in outcome.worker_seconds.items()}


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
