"""`image_features` and `rejected_images`: what became of every sampled image.

Put here the two assets and their columns. They are one step, because one pass over the images
decides both. The work belongs in `features/featurization.py` and `features/incremental.py`.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg

from fruit_assets.assets.config_inheritance import RUN_CONFIG, config_of_run
from fruit_assets.assets.features import precision as precision_of_run
from fruit_assets.assets.features.checks import CHECKS
from fruit_assets.assets.features.config import FeaturesConfig
from fruit_assets.assets.features.report import (
    ARITHMETICS,
    FEATURES_NAME,
    REJECTED_NAME,
    FeaturizationResult,
    materialize_results,
)
from fruit_assets.assets.publishing import PhaseTimer, translate_errors
from fruit_assets.assets.resources import SPARK_POOL, CorePrice
from fruit_assets.assets.table_schema import LABEL, PATH, SHA256, table_metadata
from fruit_assets.extractor.specification import ExtractorFiles
from fruit_assets.features.featurization import featurize, fingerprint_of
from fruit_assets.features.incremental import IncrementalPlan, plan_reuse
from fruit_assets.features.inference_worker import FeaturizationOptions
from fruit_assets.images.pixels.decoding_options import TRAITS
from fruit_assets.spark.progress import reported_progress
from fruit_assets.spark.resource import SparkResource
from fruit_assets.storage.delta.version import Version
from fruit_assets.storage.io_managers import AssetStorage
from fruit_assets.storage.staging import VersionWriter, republish, stage_table

FEATURES_SCHEMA = dg.TableSchema(
    [
        PATH,
        LABEL,
        SHA256,
        dg.TableColumn("features", "array<float>", description="Averages of the last layer's channels."),
    ]
)
REJECTED_SCHEMA = dg.TableSchema(
    [PATH, LABEL, SHA256, dg.TableColumn("reason", "string", description="Why the image could not be used.")]
)


_MAX_PIXELS = "max_pixels"


class WorkerCache(dg.ConfigurableResource[Any]):
    """Folder, on every machine that runs tasks, for extractor files fetched from S3."""

    folder: str


@dg.multi_asset(
    name=FEATURES_NAME,
    outs={
        FEATURES_NAME: dg.AssetOut(
            description="One row of features per readable sampled image. Features of images that an earlier run "
            "featurised with the same extractor are taken over; identical files are inferred once.\n\n"
            "```python\nfrom fruit_assets.storage import read_current\n"
            'table = read_current("data/assets/image_features")\n```',
            group_name="features",
            kinds={"pyspark", "openvino", "parquet"},
            owners=["team:image-features"],
            code_version="1",
            metadata=table_metadata(FEATURES_SCHEMA, "sampled_images", {"features": "content"}),
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
            metadata=table_metadata(REJECTED_SCHEMA, "sampled_images", {"reason": "content"}),
        ),
    },
    pool=SPARK_POOL,
    check_specs=CHECKS.specs(),
)
def image_features(
    context: dg.AssetExecutionContext,
    config: FeaturesConfig,
    sampled_images: Version,
    feature_extractor: Version,
    storage: AssetStorage,
    spark: SparkResource,
    worker_cache: WorkerCache,
    core_price: CorePrice,
    step_launcher: dg.ResourceParam[object],
) -> Iterator[Any]:
    """Features of every readable sampled image, and the reasons why the others have none."""
    with translate_errors():
        phases = PhaseTimer()
        writings = storage.writing(FEATURES_NAME, context), storage.writing(REJECTED_NAME, context)
        config = config_of_run(context, config, writings[0].base)
        extractor = ExtractorFiles.of(feature_extractor)
        options = FeaturizationOptions(
            config.batch_size,
            config.engine.value,
            config.precision.value,
            Path(worker_cache.folder),
            config.decoding(),
        )
        measure = precision_of_run.make_comparer(spark, sampled_images, extractor, options)
        with phases("choosing_precision"):
            precision = precision_of_run.resolve_precision(
                config.precision.value,
                storage.table(FEATURES_NAME),
                extractor.description,
                measure,
                reuse=config.reuse,
            )
        options = replace(options, precision=precision.name)
        fingerprint = fingerprint_of(extractor, options)
        with phases("planning"):
            plan = _plan(storage, sampled_images, fingerprint, config)
        context.log.info(
            f"{plan.compute_count} images to infer at {precision.name}, "
            f"{plan.reused_count} to take over from the previous version."
        )
        if not precision.guarded:
            with phases("guard"):
                precision = precision.measured(precision_of_run.previous_drift(plan) or measure(precision.name))
        if precision.guard is not None and (advice := precision.guard.advice()):
            # The check says it when all is done; whoever has hours of images ahead may rather stop now.
            context.log.warning(advice)
        with phases("featurizing"):
            if plan.unchanged:
                outcome = _same_as_before(storage, plan, extractor, writings)
            else:
                with reported_progress(spark.context(), context.log.info, FEATURES_NAME):
                    outcome = _featurized(spark, sampled_images, plan, extractor, options, writings)
        features = outcome.features.with_facts(
            **{RUN_CONFIG: config.model_dump(mode="json"), _MAX_PIXELS: config.max_pixels},
            **precision_of_run.facts(precision),
        )
        made_from = sampled_images, feature_extractor
        outcome = replace(
            outcome, features=features.made_from(*made_from), rejected=outcome.rejected.made_from(*made_from)
        )
        yield from materialize_results(
            outcome, phases, fingerprint, sampled_images, precision, core_price, config.max_rejected_share
        )


def _plan(storage: AssetStorage, sample: Version, fingerprint: str, config: FeaturesConfig) -> IncrementalPlan:
    """Reuse the newest features of the same fingerprint, with the rejected images that go with them."""
    previous = storage.table(FEATURES_NAME).find_latest(features_fingerprint=fingerprint) if config.reuse else None
    # With another limit, other images are rejected.
    same_limit = previous is not None and previous.facts.get(_MAX_PIXELS) == config.max_pixels
    rejected = _rejected_with(storage, previous) if previous and same_limit else None
    return plan_reuse(sample, previous, rejected)


def _rejected_with(storage: AssetStorage, features: Version) -> Version | None:
    return storage.table(REJECTED_NAME).find_latest(features_data_version=features.facts["data_version"])


def _same_as_before(
    storage: AssetStorage,
    plan: IncrementalPlan,
    extractor: ExtractorFiles,
    writings: tuple[VersionWriter, VersionWriter],
) -> FeaturizationResult:
    assert plan.previous is not None  # noqa: S101  a plan is unchanged only with regard to a version
    rejected = _rejected_with(storage, plan.previous)
    assert rejected is not None  # noqa: S101  the plan compared its rows
    features = republish(plan.previous, writings[0])
    return FeaturizationResult(
        features,
        republish(rejected, writings[1]),
        plan,
        0,
        0,
        {},
        _arithmetics_of(plan),
        extractor.description.features,
        dict.fromkeys(TRAITS, 0),
    )


def _arithmetics_of(plan: IncrementalPlan) -> tuple[str, ...]:
    """What the rows that are taken over were computed with."""
    facts = plan.previous.facts if plan.previous is not None else {}
    return tuple(facts.get(ARITHMETICS, ()))


def _featurized(
    spark: SparkResource,
    sample: Version,
    plan: IncrementalPlan,
    extractor: ExtractorFiles,
    options: FeaturizationOptions,
    writings: tuple[VersionWriter, VersionWriter],
) -> FeaturizationResult:
    features, figures = featurize(spark.context(), sample, plan, extractor, options, writings[0])
    rejected = stage_table(figures.rejected, writings[1])
    seconds = {"decoding": figures.decode_seconds, "inference": figures.inference_seconds}
    arithmetics = tuple(sorted({*figures.arithmetics, *_arithmetics_of(plan)}))
    return FeaturizationResult(
        features,
        rejected,
        plan,
        figures.computed,
        figures.broken,
        seconds,
        arithmetics,
        extractor.description.features,
        figures.traits,
        figures.batchings,
    )
