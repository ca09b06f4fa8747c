"""`pca_components`: the result the company wants.

Put here the asset with its checks and columns. It is a step after `pca_model`, so that a model that is not sound never
projects a row. The projection belongs in `analysis/projection.py`.
"""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from fruit_assets.analysis.projection import MEASURES, plan_projection, project, stage
from fruit_assets.analysis.refit import FINGERPRINT, Basis
from fruit_assets.assets import asset_plots as pictures
from fruit_assets.assets.check_set import CheckSet
from fruit_assets.assets.publishing import PhaseTimer, combined_version, publish_results, translate_errors
from fruit_assets.assets.resources import SPARK_POOL
from fruit_assets.assets.table_schema import LABEL, PATH, table_metadata
from fruit_assets.spark.progress import reported_progress
from fruit_assets.spark.resource import SparkResource
from fruit_assets.storage.delta.staged_commit import StagedCommit
from fruit_assets.storage.delta.version import Version
from fruit_assets.storage.io_managers import AssetStorage
from fruit_assets.storage.staging import VersionWriter, republish

NAME = "pca_components"
_PLOTTED_POINTS = 5000

SCHEMA = dg.TableSchema(
    [
        PATH,
        LABEL,
        dg.TableColumn("pca_features", "array<float>", description="Scores along the k principal components."),
    ]
)
CHECKS = CheckSet(
    NAME,
    blocking={
        "rows_reconcile": "One row per featurised image.",
        "dimensions": "Every row has as many components as the model.",
        "finite_values": "No component is NaN or infinite.",
    },
)


@dg.asset(
    name=NAME,
    group_name="components",
    kinds={"pyspark", "parquet"},
    owners=["team:image-features"],
    code_version="1",
    metadata=table_metadata(SCHEMA, "image_features", {"pca_features": "features"}),
    pool=SPARK_POOL,
    check_specs=CHECKS.specs(),
)
def pca_components(
    context: dg.AssetExecutionContext,
    image_features: Version,
    pca_model: Version,
    storage: AssetStorage,
    spark: SparkResource,
    step_launcher: dg.ResourceParam[object],
) -> Iterator[Any]:
    """The result: every featurised image as k numbers, ready for a recognition model.

    ```python
    from fruit_assets.storage import read_current
    table = read_current("data/assets/pca_components").to_pandas()   # path, label, pca_features
    ```
    """
    with translate_errors():
        phases = PhaseTimer()
        basis = Basis.of(pca_model)
        writing = storage.writing(NAME, context)
        staged, projected = _staged(context, image_features, basis, writing, spark, phases)
        staged = staged.made_from(image_features, pca_model)
        with phases("pictures"):
            shown = pictures.scatter(staged.version, _PLOTTED_POINTS)
        metadata: dict[str, Any] = {
            **shown,
            "n_components": basis.model.n_components,
            "rows_projected": projected,
            "rows_kept": staged.version.row_count - projected,
            **phases.metadata(),
        }
        version = dg.DataVersion(staged.version.facts["data_version"])
        result = dg.MaterializeResult(asset_key=NAME, value=staged, metadata=metadata, data_version=version)
        measured = staged.version.facts[MEASURES]
        checks = [
            CHECKS.rows_reconcile(image_features.row_count, {"rows": staged.version.row_count}),
            CHECKS.dimensions(basis.model.n_components, measured["shortest"], measured["longest"]),
            CHECKS.finite_values(measured["broken"]),
        ]
        yield from publish_results([result], checks)


def _staged(
    context: dg.AssetExecutionContext,
    image_features: Version,
    basis: Basis,
    writing: VersionWriter,
    spark: SparkResource,
    phases: PhaseTimer,
) -> tuple[StagedCommit, int]:
    """The components, and how many rows of them this run projected."""
    version = combined_version(image_features.facts["data_version"], basis.version)
    identity = {"pca_model": basis.version, "features_fingerprint": image_features.facts[FINGERPRINT]}
    facts = {"data_version": version, "n_components": basis.model.n_components, **identity}
    if (before := writing.find_latest(data_version=version)) is not None:
        context.log.info("Neither the features nor the basis have changed: the components are published again.")
        return republish(before, writing).with_facts(**facts), 0
    # A new image can be placed only among rows of the same basis and the same kind of features.
    plan = plan_projection(image_features, writing.find_latest(**identity))
    projected, written = plan.missing.row_count, None
    context.log.info(f"{projected} rows to project, {plan.kept_rows} stay.")
    if projected:
        tasks = spark.runner_for(projected, plan.missing.bytes)
        with phases("projecting"), reported_progress(tasks, context.log.info, NAME):
            written = project(plan, tasks, basis, writing)
    return stage(plan, written, writing).with_facts(**facts), projected
