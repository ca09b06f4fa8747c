"""`sampled_images`: a reproducible, stratified sample with the bytes in it.

Put here the asset and its columns. The choice itself belongs in `images/sampling.py`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import dagster as dg

from fruit_assets.assets import asset_plots as pictures
from fruit_assets.assets.config_inheritance import RUN_CONFIG, config_of_run
from fruit_assets.assets.publishing import PhaseTimer, publish_results, translate_errors
from fruit_assets.assets.raw_images import RAW_IMAGES
from fruit_assets.assets.rejected_share import share_while_sampling
from fruit_assets.assets.resources import SPARK_POOL, ImageCollection
from fruit_assets.assets.run_selection import FEATURES, makes
from fruit_assets.assets.sample.checks import CHECKS, NAME, class_coverage
from fruit_assets.assets.sample.choice import Choice, choose_images
from fruit_assets.assets.sample.config import SamplingConfig
from fruit_assets.assets.sample.shown_images import shown_images
from fruit_assets.assets.table_schema import LABEL, PATH, SHA256, table_metadata
from fruit_assets.images.known_rows import KnownRows, has_keys, known_rows, why_not_comparable
from fruit_assets.images.sample_increment import SampleIncrement, figures_of, increment_of
from fruit_assets.images.sample_version import WrittenRows, stage_sample, write_rows
from fruit_assets.object_store.stores import Store
from fruit_assets.spark.progress import reported_progress
from fruit_assets.spark.resource import SparkResource
from fruit_assets.storage.delta.staged_commit import StagedCommit
from fruit_assets.storage.io_managers import AssetStorage
from fruit_assets.storage.parquet_files import ROW_GROUP_ROWS
from fruit_assets.storage.staging import VersionWriter, republish

SCHEMA = dg.TableSchema(
    [
        PATH,
        LABEL,
        SHA256,
        dg.TableColumn("size", "bigint", description="The file's bytes as listed, by which a changed file is known."),
        dg.TableColumn(
            "stamp", "string", description="Its ETag on S3, else its time of modification in ns; as listed."
        ),
        dg.TableColumn("content", "binary", description="The file's bytes; null when it could not be read."),
    ]
)


@dg.asset(
    name=NAME,
    deps=[RAW_IMAGES],
    group_name="images",
    kinds={"pyspark", "parquet"},
    owners=["team:image-features"],
    code_version="2",
    metadata=table_metadata(SCHEMA),
    pool=SPARK_POOL,
    check_specs=CHECKS.specs(),
)
def sampled_images(
    context: dg.AssetExecutionContext,
    config: SamplingConfig,
    images: ImageCollection,
    storage: AssetStorage,
    spark: SparkResource,
    step_launcher: dg.ResourceParam[object],
) -> Iterator[Any]:
    """A reproducible sample of the collection: a share of every class, with the bytes of each image.

    The choice depends on the seed and the paths alone, not on listing order, machine or storage, and a
    larger fraction only adds images. An image that vanishes before it is read stays, without bytes, and
    ends in `rejected_images`.

    ```python
    from fruit_assets.storage import read_current
    read_current("data/assets/sampled_images", columns=["path", "label"]).to_pandas()
    ```
    """
    with translate_errors():
        phases = PhaseTimer()
        writing = storage.writing(NAME, context)
        config = config_of_run(context, config, writing.base)
        most_unread = share_while_sampling(config.max_rejected_share, context.run.run_config)
        config = config.model_copy(update={"max_rejected_share": most_unread})
        if writing.base is None and makes(context, FEATURES):
            spark.prepare()  # there is nothing that could be published again
        choice = choose_images(context, config, images, phases)
        sample = _sample(context, spark, choice, writing, phases, most_unread)
        staged = sample.staged.with_facts(**{RUN_CONFIG: config.model_dump(mode="json")})
        metadata = {**sample.pictures, **choice.figures(), **sample.figures, **phases.metadata()}
        version = dg.DataVersion(staged.version.facts["data_version"])
        yield from publish_results(
            [dg.MaterializeResult(asset_key=NAME, value=staged, metadata=metadata, data_version=version)],
            [
                CHECKS.rows_reconcile(choice.count, {"rows": staged.version.row_count}),
                class_coverage(choice.listing.class_counts(), choice.class_counts, choice.listing.lost_classes()),
            ],
        )


@dataclass(frozen=True)
class _Sample:
    """A staged sample, and how it came about."""

    staged: StagedCommit
    pictures: dict[str, Any]
    figures: dict[str, Any]


def _sample(
    context: dg.AssetExecutionContext,
    spark: SparkResource,
    choice: Choice,
    writing: VersionWriter,
    phases: PhaseTimer,
    most_unread: float,
) -> _Sample:
    """The version of the same images where there is one, or else a new version."""
    before = writing.find_latest(root=choice.listing.root, listed=choice.digest, unread=0)
    if before is not None and has_keys(before):
        context.log.info("No image of the sample has changed since the previous version: it is published again.")
        with phases("pictures"):
            shown = _pictures(choice, writing.table.store)
        figures = figures_of(kept=choice.count, files=len(before.files))
        return _Sample(republish(before, writing), shown, {**figures, "read_again": False})
    known = _known_rows(context, writing, choice.listing.root)
    increment = _increment(context, spark, choice, known, phases)
    with phases("pictures"):
        shown = _pictures(choice, writing.table.store)
    staged = _staged(context, spark, choice, increment, known, writing, phases, most_unread)
    figures = increment.figures()
    return _Sample(staged, shown, {**figures, "read_again": figures["images_fetched"] > 0})


def _known_rows(context: dg.AssetExecutionContext, writing: VersionWriter, root: str) -> KnownRows:
    """The rows that need not be fetched where nothing has changed."""
    before = writing.base
    if before is not None and (reason := why_not_comparable(before, root)):
        context.log.info(f"No row of version {before.number} of the sample is kept, because it {reason}.")
        before = None
    return known_rows(writing.table, root, before)


def _increment(
    context: dg.AssetExecutionContext, spark: SparkResource, choice: Choice, known: KnownRows, phases: PhaseTimer
) -> SampleIncrement:
    """What to keep and what to fetch; announces work to Spark."""
    featurized = makes(context, FEATURES)
    if featurized and choice.count > known.version.row_count:
        spark.prepare()  # some images are new for certain
    with phases("planning"):
        increment = increment_of(choice.chosen, known.version.store, known.version.files, known.listed)
    if featurized and increment.written_count:
        spark.prepare()
    elif increment.written_count:
        count, average_bytes = increment.written_size()
        spark.prepare_for(count, count * average_bytes)
    if increment.recovered:
        context.log.info(
            f"Recovered {increment.recovered:,} images from complete files of runs that did not publish them."
        )
    return increment


def _staged(
    context: dg.AssetExecutionContext,
    spark: SparkResource,
    choice: Choice,
    increment: SampleIncrement,
    known: KnownRows,
    writing: VersionWriter,
    phases: PhaseTimer,
    most_unread: float,
) -> StagedCommit:
    """Write what does not stay, and stage the sample; the version before where its content is the same."""
    root, before = choice.listing.root, writing.base
    written = WrittenRows(known.version.facts[ROW_GROUP_ROWS])
    if increment.written_count:
        count, average_bytes = increment.written_size()
        with phases("spark_start"):
            tasks = spark.runner_for(count, count * average_bytes)
        with phases("reading_and_writing"), reported_progress(tasks, context.log.info, NAME):
            written = write_rows(tasks, root, increment, known, writing)
    staged = stage_sample(root, increment, written, writing, most_unread).with_facts(listed=choice.digest)
    context.log.info(str(increment))
    facts = staged.version.facts.items()
    if before is not None and known.listed and all(before.facts.get(name) == value for name, value in facts):
        # Images that could not be read before still cannot.
        return republish(before, writing)
    return staged


def _pictures(choice: Choice, store: Store) -> dict[str, Any]:
    sheet = pictures.contact_sheet(*shown_images(choice.chosen, choice.listing.root, store))
    return {**sheet, **pictures.class_histogram(choice.class_counts)}
