"""`image_features` and `rejected_images`: what became of every sampled image.

Put here the two assets and their columns. They are one step, because one pass over the images
decides both. The work belongs in `features/featurization.py` and `features/increments.py`.
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
    FEATURES_NAME,
    REJECTED_NAME,
    FeaturizationResult,
    RejectedRows,
    materialize_results,
)
from fruit_assets.assets.publishing import PhaseTimer, translate_errors
from fruit_assets.assets.rejected_share import share_for_features
from fruit_assets.assets.resources import SPARK_POOL, CorePrice
from fruit_assets.assets.table_schema import LABEL, PATH, SHA256, table_metadata
from fruit_assets.extractor.specification import ExtractorFiles
from fruit_assets.features.featurization import featurize, file_fingerprint, fingerprint_of
from fruit_assets.features.increments import IncrementalPlan
from fruit_assets.features.inference_worker import FeaturizationOptions
from fruit_assets.features.known_features import Increment, KnownFeatures, plan_of, recoverable_features
from fruit_assets.images.pixels.decoding_options import TRAITS
from fruit_assets.spark.progress import reported_progress
from fruit_assets.spark.resource import SparkResource
from fruit_assets.spark.writing import stage_rows
from fruit_assets.storage.delta.version import Version
from fruit_assets.storage.io_managers import AssetStorage
from fruit_assets.storage.staging import VersionWriter, republish

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
        extractor, options = ExtractorFiles.of(feature_extractor), _options(config, worker_cache)
        measure = precision_of_run.make_comparer(spark, sampled_images, extractor, options)
        with phases("choosing_precision"):
            table, choice = storage.table(FEATURES_NAME), config.precision.value
            precision = precision_of_run.resolve_precision(
                choice, table, extractor.description, measure, reuse=config.reuse
            )
        options = replace(options, precision=precision.name)
        with phases("planning"):
            increment = plan_of(sampled_images, _known_features(writings, extractor, options, config))
        context.log.info(_intention(increment.plan, precision.name))
        precision = _with_drift(context, precision, increment, measure, phases)
        with phases("featurizing"):
            if increment.plan.unchanged:
                outcome = _same_as_before(increment, extractor, writings)
            else:
                outcome = _featurized(context, spark, increment, extractor, options, writings)
        facts = {RUN_CONFIG: config.model_dump(mode="json"), _MAX_PIXELS: config.max_pixels}
        outcome = outcome.made_from(sampled_images, feature_extractor).with_facts(
            **facts, **precision_of_run.facts(precision)
        )
        fingerprint = fingerprint_of(extractor, options)
        share = share_for_features(config.max_rejected_share, sampled_images)
        yield from materialize_results(outcome, phases, fingerprint, sampled_images, precision, core_price, share)


def _options(config: FeaturesConfig, worker_cache: WorkerCache) -> FeaturizationOptions:
    return FeaturizationOptions(
        config.batch_size,
        config.engine.value,
        config.precision.value,
        Path(worker_cache.folder),
        config.decoding(),
    )


def _known_features(
    writings: tuple[VersionWriter, VersionWriter],
    extractor: ExtractorFiles,
    options: FeaturizationOptions,
    config: FeaturesConfig,
) -> KnownFeatures:
    """The newest features of the same fingerprint with their rejected images, and complete files of other runs."""
    table = writings[0].table
    if not config.reuse:
        return KnownFeatures(table.store)
    previous = writings[0].find_latest(features_fingerprint=fingerprint_of(extractor, options))
    # With another limit, other images are rejected.
    same_limit = previous is not None and previous.facts.get(_MAX_PIXELS) == config.max_pixels
    rejected = _rejected_with(writings[1], previous) if previous and same_limit else None
    recovered = recoverable_features(table, file_fingerprint(extractor, options), extractor.description.features)
    return KnownFeatures(table.store, previous, rejected, recovered)


def _rejected_with(writing: VersionWriter, features: Version) -> Version | None:
    return writing.find_latest(features_data_version=features.facts["data_version"])


def _with_drift(
    context: dg.AssetExecutionContext,
    precision: precision_of_run.ResolvedPrecision,
    increment: Increment,
    measure: precision_of_run.Measure,
    phases: PhaseTimer,
) -> precision_of_run.ResolvedPrecision:
    """The precision with its drift from f32: the previous version's, or measured."""
    if not precision.guarded:
        with phases("guard"):
            precision = precision.measured(precision_of_run.previous_drift(increment) or measure(precision.name))
    if precision.guard is not None and (advice := precision.guard.advice()):
        # The check repeats it at the end; a user with hours of images ahead may prefer to stop now.
        context.log.warning(advice)
    return precision


def _intention(plan: IncrementalPlan, precision: str) -> str:
    """What the run is going to do, for its log."""
    published = plan.reused_count - plan.recovered_count
    text = f"{plan.compute_count} images to infer at {precision}, {published} to take over from the previous version"
    if plan.recovered_count:
        text += f", {plan.recovered_count} recovered from files that other runs completed and did not publish"
    known = plan.kept_rejected.num_rows
    return f"{text}; {known} are known to be unreadable." if known else f"{text}."


def _same_as_before(
    increment: Increment, extractor: ExtractorFiles, writings: tuple[VersionWriter, VersionWriter]
) -> FeaturizationResult:
    known, plan = increment.known, increment.plan
    assert known.previous is not None  # noqa: S101  a plan is unchanged only with regard to a version
    assert known.rejected is not None  # noqa: S101  the plan compared its rows
    return FeaturizationResult(
        republish(known.previous, writings[0]),
        republish(known.rejected, writings[1]),
        RejectedRows(plan.kept_rejected),
        plan,
        0,
        0,
        {},
        tuple(sorted(increment.arithmetics)),
        extractor.description.features,
        dict.fromkeys(TRAITS, 0),
    )


def _featurized(
    context: dg.AssetExecutionContext,
    spark: SparkResource,
    increment: Increment,
    extractor: ExtractorFiles,
    options: FeaturizationOptions,
    writings: tuple[VersionWriter, VersionWriter],
) -> FeaturizationResult:
    with reported_progress(spark.context(), context.log.info, FEATURES_NAME):
        features, figures = featurize(spark.context(), increment, extractor, options, writings[0])
    rejected = stage_rows(
        writings[1], figures.rejected.batches(), "path string, label string, sha256 string, reason string"
    )
    return FeaturizationResult(
        features,
        rejected,
        RejectedRows(figures.rejected),
        increment.plan,
        figures.computed,
        figures.broken,
        {"decoding": figures.decode_seconds, "inference": figures.inference_seconds},
        tuple(sorted({*figures.arithmetics, *increment.arithmetics})),
        extractor.description.features,
        figures.traits,
        figures.batchings,
        figures.longest_seconds,
    )
