"""`pca_model`: the reduction, fitted in one pass over the features.

Put here the asset with its config and checks. The mathematics belongs in `analysis/pca.py`.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field, model_validator

from fruit_assets.analysis.moments import Moments, compute_moments
from fruit_assets.analysis.pca import PcaModel, fit
from fruit_assets.assets import asset_plots as pictures
from fruit_assets.assets.check_set import CheckSet
from fruit_assets.assets.config_inheritance import RUN_CONFIG, config_of_run
from fruit_assets.assets.publishing import PhaseTimer, combined_version, publish_results, translate_errors
from fruit_assets.assets.resources import SPARK_POOL
from fruit_assets.extractor.architectures import ARCHITECTURES
from fruit_assets.spark.progress import reported_progress
from fruit_assets.spark.resource import SparkResource
from fruit_assets.storage.artifacts import stage_files
from fruit_assets.storage.delta.version import Version
from fruit_assets.storage.io_managers import AssetStorage
from fruit_assets.storage.staging import republish

if TYPE_CHECKING:
    import numpy as np

NAME = "pca_model"
DEFAULT_COMPONENTS = 80
MIN_VARIANCE_EXPLAINED = 0.5
_ORTHONORMAL_TOLERANCE = 1e-8
CHECKS = CheckSet(
    NAME,
    blocking={"orthonormal_components": "The components are orthonormal.", "finite_values": "No NaN, no infinity."},
    warnings={
        "variance_explained": f"The components explain at least {MIN_VARIANCE_EXPLAINED:.0%} of the variance.",
        "enough_images": f"The images allow the {DEFAULT_COMPONENTS} components kept unless a number is given.",
    },
)


class PcaConfig(dg.Config):
    """How many components to keep."""

    n_components: int | None = Field(
        default=None,
        ge=1,
        le=max(entry.features for entry in ARCHITECTURES),
        description="Components to keep; at most the number of images, and of the network's features. By default "
        f"{DEFAULT_COMPONENTS}, or as many as fewer images allow.",
    )
    variance: float | None = Field(
        default=None, gt=0, le=1, description="Keep as many components as explain this share of the variance, instead."
    )
    standardize: bool = Field(default=True, description="Give every feature the same weight.")

    @model_validator(mode="after")
    def _one_way_to_choose(self) -> "PcaConfig":
        if self.variance is not None and self.n_components is not None:
            raise ValueError("give n_components or variance, not both")
        return self


def orthonormal_components(components: "np.ndarray") -> dg.AssetCheckResult:
    """The rows of (k, d) components must be orthonormal."""
    import numpy as np

    deviation = float(np.abs(components @ components.T - np.eye(len(components))).max())
    text = f"The largest deviation from orthonormal is {deviation:.1e}."
    passed = deviation < _ORTHONORMAL_TOLERANCE
    return CHECKS.result("orthonormal_components", passed, text, {"deviation": deviation})


def variance_explained(share: float, n_components: int) -> dg.AssetCheckResult:
    """The components kept should explain a good part of the variance."""
    text = f"{n_components} components explain {share:.1%} of the variance."
    return CHECKS.result("variance_explained", share >= MIN_VARIANCE_EXPLAINED, text, {"variance_explained": share})


def enough_images(possible: int, n_components: int, *, chosen_by_default: bool) -> dg.AssetCheckResult:
    """The default number of components should be possible."""
    passed = not chosen_by_default or n_components == DEFAULT_COMPONENTS
    text = f"{n_components} components are kept, {possible} are possible."
    if not passed:
        text += (
            f" The default is {DEFAULT_COMPONENTS}: raise `fraction` of sampled_images, add images, or set "
            f"n_components of pca_model to {possible} or less."
        )
    return CHECKS.result("enough_images", passed, text, {"possible_components": possible})


@dg.asset(
    name=NAME,
    group_name="components",
    kinds={"pyspark", "numpy"},
    owners=["team:image-features"],
    code_version="1",
    pool=SPARK_POOL,
    check_specs=CHECKS.specs(),
)
def pca_model(
    context: dg.AssetExecutionContext,
    config: PcaConfig,
    image_features: Version,
    storage: AssetStorage,
    spark: SparkResource,
    step_launcher: dg.ResourceParam[object],
) -> Iterator[Any]:
    """Mean, scale, components and the explained variance of all directions.

    One pass over the features with a tree reduction in float64; agrees with scikit-learn. In every
    component the largest loading is positive, so that two runs have the same signs.

    ```python
    import io, numpy as np; from deltalake import DeltaTable
    rows = DeltaTable("data/assets/pca_model").to_pyarrow_table().to_pylist()
    files = {row["name"]: np.load(io.BytesIO(row["content"])) for row in rows}
    mean, scale, components = (files[f"{name}.npy"] for name in ("mean", "scale", "components"))
    scores = (features - mean) / scale @ components.T
    ```
    """
    with translate_errors():
        phases = PhaseTimer()
        writing = storage.writing(NAME, context)
        config = config_of_run(context, config, writing.base)
        version = combined_version(image_features.facts["data_version"], repr(sorted(config.model_dump().items())))
        if (before := writing.table.find_latest(data_version=version)) is not None:
            context.log.info("Neither the features nor the config have changed: the previous model is published again.")
            model, staged = PcaModel.of(before), republish(before, writing)
        else:
            with phases("moments"), reported_progress(spark.context(), context.log.info, NAME):
                moments = compute_moments(image_features, spark.context())
            with phases("eigenvectors"):
                wanted = config.n_components or default_components(moments)
                model = fit(moments, wanted, config.variance, standardize=config.standardize)
            staged = stage_files(model.to_files(), writing)
        ratio = model.explained_variance_ratio
        share = float(ratio[: model.n_components].sum())
        figures = {"n_components": model.n_components, "variance_explained": share, "samples": model.n_samples}
        staged = staged.with_facts(data_version=version, **{RUN_CONFIG: config.model_dump(mode="json")}, **figures)
        staged = staged.made_from(image_features)
        with phases("pictures"):
            metadata = pictures.scree(ratio, model.n_components)
        yield from publish_results(
            [
                dg.MaterializeResult(
                    asset_key=NAME,
                    value=staged,
                    metadata={**metadata, **figures, **phases.metadata()},
                    data_version=dg.DataVersion(version),
                )
            ],
            [
                orthonormal_components(model.components),
                CHECKS.finite_values(_broken(model)),
                variance_explained(share, model.n_components),
                enough_images(
                    possible_components(model.n_samples, len(model.mean)),
                    model.n_components,
                    chosen_by_default=config.n_components is None and config.variance is None,
                ),
            ],
        )


def possible_components(rows: int, width: int) -> int:
    """How many directions centred rows span at most."""
    return max(1, min(rows - 1, width))


def default_components(moments: Moments) -> int:
    """Components that are kept when a person has set no number."""
    return min(DEFAULT_COMPONENTS, possible_components(moments.count, len(moments.mean)))


def _broken(model: PcaModel) -> int:
    import numpy as np

    return int((~np.isfinite(model.components).all(axis=1)).sum()) + int((~np.isfinite(model.explained_variance)).sum())
