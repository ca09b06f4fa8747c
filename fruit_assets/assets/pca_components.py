"""`pca_model` and `pca_components`: the reduction, and the result the company wants.

Put here what the two assets take, publish and say. They are two steps, so that a model that is not
sound never projects a row. The mathematics belongs in `analysis/pca.py`.
"""

import hashlib
from collections.abc import Iterator
from typing import Any

import dagster as dg

from fruit_assets import checks
from fruit_assets.analysis.moments import compute_moments
from fruit_assets.analysis.pca import PcaModel, fit, project
from fruit_assets.assets import asset_plots as pictures
from fruit_assets.assets.config_inheritance import RUN_CONFIG, config_of_run
from fruit_assets.assets.publishing import PhaseTimer, publish_results, translate_errors
from fruit_assets.assets.resources import SPARK_POOL
from fruit_assets.assets.run_config import PcaConfig
from fruit_assets.assets.schemas import table_metadata
from fruit_assets.spark.progress import reported_progress
from fruit_assets.spark.resource import SparkResource
from fruit_assets.storage.artifacts import stage_files
from fruit_assets.storage.io_managers import AssetStorage
from fruit_assets.storage.tables import republish
from fruit_assets.storage.versions import Version

MODEL_NAME = "pca_model"
COMPONENTS_NAME = "pca_components"
_PLOTTED_POINTS = 5000


@dg.asset(
    name=MODEL_NAME,
    group_name="components",
    kinds={"pyspark", "numpy"},
    owners=["team:image-features"],
    code_version="1",
    pool=SPARK_POOL,
    check_specs=checks.specs_for(MODEL_NAME),
)
def pca_model(
    context: dg.AssetExecutionContext,
    config: PcaConfig,
    image_features: Version,
    storage: AssetStorage,
    spark: SparkResource,
    step_launcher: dg.ResourceParam[object],
) -> Iterator[Any]:
    """Mean, scale, components and the explained variance of all 1280 directions.

    One pass over the features with a tree reduction in float64; agrees with scikit-learn. In every
    component the largest loading is positive, so that two runs have the same signs.

    ```python
    import numpy as np   # folder: that of the version CURRENT names
    mean, scale, components = (np.load(f"{folder}/{name}.npy") for name in ("mean", "scale", "components"))
    scores = (features - mean) / scale @ components.T
    ```
    """
    with translate_errors():
        phases = PhaseTimer()
        config = config_of_run(context, config, storage.folder(MODEL_NAME))
        writing = storage.writing(MODEL_NAME, context)
        version = _digest(image_features.manifest.facts["data_version"], repr(sorted(config.model_dump().items())))
        if (before := writing.folder.find_latest(data_version=version)) is not None:
            context.log.info("Neither the features nor the config have changed: the previous model is published again.")
            model, staged = PcaModel.of(before), republish(before, writing)
        else:
            with phases("moments"), reported_progress(spark.context(), context.log.info, MODEL_NAME):
                moments = compute_moments(image_features, spark.context())
            with phases("eigenvectors"):
                wanted = None if config.variance is not None else config.n_components
                model = fit(moments, wanted, config.variance, standardize=config.standardize)
            staged = stage_files(model.to_files(), writing)
        ratio = model.explained_variance_ratio
        share = float(ratio[: model.n_components].sum())
        figures = {"n_components": model.n_components, "variance_explained": share, "samples": model.n_samples}
        staged = staged.with_facts(data_version=version, **{RUN_CONFIG: _given(config)}, **figures)
        with phases("pictures"):
            metadata = pictures.scree(ratio, model.n_components)
        yield from publish_results(
            [
                dg.MaterializeResult(
                    asset_key=MODEL_NAME,
                    value=staged,
                    metadata={**metadata, **figures, **phases.metadata()},
                    data_version=dg.DataVersion(version),
                )
            ],
            [
                checks.orthonormal_components(model.components),
                checks.finite_values(MODEL_NAME, _broken(model)),
                checks.variance_explained(share, model.n_components),
            ],
        )


@dg.asset(
    name=COMPONENTS_NAME,
    group_name="components",
    kinds={"pyspark", "parquet"},
    owners=["team:image-features"],
    code_version="1",
    metadata=table_metadata(COMPONENTS_NAME),
    pool=SPARK_POOL,
    check_specs=checks.specs_for(COMPONENTS_NAME),
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
        model = PcaModel.of(pca_model)
        writing = storage.writing(COMPONENTS_NAME, context)
        version = _digest(image_features.manifest.facts["data_version"], pca_model.manifest.facts["data_version"])
        if (before := writing.folder.find_latest(data_version=version)) is not None:
            context.log.info("Neither the features nor the model have changed: the components are published again.")
            staged = republish(before, writing)
        else:
            with phases("projecting"), reported_progress(spark.context(), context.log.info, COMPONENTS_NAME):
                staged = project(image_features, spark.context(), model, writing)
        staged = staged.with_facts(
            data_version=version,
            n_components=model.n_components,
            # A new image can be placed among these rows only by what made them.
            pca_model=pca_model.manifest.facts["data_version"],
            features_fingerprint=image_features.manifest.facts["features_fingerprint"],
        )
        with phases("pictures"):
            metadata = pictures.scatter(staged.opened, _PLOTTED_POINTS)
        measured, expected = staged.manifest.facts["measures"], image_features.manifest.row_count
        yield from publish_results(
            [
                dg.MaterializeResult(
                    asset_key=COMPONENTS_NAME,
                    value=staged,
                    metadata={**metadata, "n_components": model.n_components, **phases.metadata()},
                    data_version=dg.DataVersion(version),
                )
            ],
            [
                checks.rows_reconcile(COMPONENTS_NAME, expected, {"rows": staged.manifest.row_count}),
                checks.dimensions(COMPONENTS_NAME, model.n_components, measured["shortest"], measured["longest"]),
                checks.finite_values(COMPONENTS_NAME, measured["broken"]),
            ],
        )


def _digest(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def _broken(model: PcaModel) -> int:
    import numpy as np

    return int((~np.isfinite(model.components).all(axis=1)).sum()) + int((~np.isfinite(model.explained_variance)).sum())


def _given(config: PcaConfig) -> dict[str, Any]:
    """The config as a later run can be given it: one way to choose the number of components, not both."""
    return config.model_dump(mode="json", exclude={"n_components" if config.variance is not None else "variance"})
