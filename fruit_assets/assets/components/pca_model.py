"""`pca_model`: the reduction, fitted on the moments of the features.

Put here the asset. Its config and checks are in files of their own; when a basis is kept is decided in
`analysis/refit.py`, the mathematics is in `analysis/pca.py`.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import dagster as dg

from fruit_assets.analysis.drift import Drift, Spread
from fruit_assets.analysis.moments import Moments
from fruit_assets.analysis.moments_increment import MomentsOfAll, plan_moments
from fruit_assets.analysis.pca import fit
from fruit_assets.analysis.refit import FINGERPRINT, FITTED_BY, Basis, basis_to_keep
from fruit_assets.assets import asset_plots as pictures
from fruit_assets.assets.components.checks import (
    CHECKS,
    basis_unchanged,
    enough_images,
    no_drift,
    orthonormal_components,
    sound_values,
    variance_explained,
)
from fruit_assets.assets.components.checks import MODEL_NAME as NAME
from fruit_assets.assets.components.config import DEFAULT_COMPONENTS, PcaConfig
from fruit_assets.assets.config_inheritance import RUN_CONFIG, config_of_run
from fruit_assets.assets.publishing import PhaseTimer, combined_version, publish_results, translate_errors
from fruit_assets.assets.resources import SPARK_POOL
from fruit_assets.spark.progress import reported_progress
from fruit_assets.spark.resource import SparkResource
from fruit_assets.spark.this_process import TaskRunner
from fruit_assets.storage.artifacts import stage_files
from fruit_assets.storage.delta.staged_commit import StagedCommit
from fruit_assets.storage.delta.version import Version
from fruit_assets.storage.io_managers import AssetStorage
from fruit_assets.storage.staging import VersionWriter, republish


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
        before = writing.base if writing.base is not None and writing.base.is_intact() else None
        outcome = _basis_of_run(context, config, image_features, before, writing, spark, phases)
        figures = outcome.figures()
        facts = {RUN_CONFIG: config.model_dump(mode="json"), **figures}
        model = outcome.basis.model
        with phases("pictures"):
            metadata = pictures.scree(model.explained_variance_ratio, model.n_components)
        result = dg.MaterializeResult(
            asset_key=NAME,
            value=outcome.staged.with_facts(**facts).made_from(image_features),
            metadata={**metadata, **figures, **outcome.metadata(), **phases.metadata()},
            # The basis' own: assets downstream depend on the basis, not on the moments.
            data_version=dg.DataVersion(outcome.basis.version),
        )
        yield from publish_results([result], _checks(outcome, before, config))


@dataclass(frozen=True)
class _Outcome:
    """The basis of a run.

    Attributes:
        basis: kept or fitted.
        staged: with the moments.
        drift: of the basis that might have been kept, if any.
        moments: None when nothing has changed.
    """

    basis: Basis
    staged: StagedCommit
    drift: Drift | None = None
    moments: MomentsOfAll | None = None

    def figures(self) -> dict[str, Any]:
        """Facts of the version, and metadata as well."""
        return {
            "n_components": self.basis.model.n_components,
            "variance_explained": self.basis.drift.fitted,
            "samples": self.basis.model.n_samples,
            "basis_version": self.basis.version,
        }

    def metadata(self) -> dict[str, Any]:
        if self.moments is None:
            return {"basis": "unchanged"}
        return {
            "basis": "kept" if self.basis.version != self.staged.version.facts["data_version"] else "fitted",
            "rows_added": self.moments.new.count if self.moments.new else 0,
            "rows_removed": self.moments.removed,
            "rows_read": "all" if self.moments.reads_all else "new and removed",
        }


def _checks(outcome: _Outcome, before: Version | None, config: PcaConfig) -> list[dg.AssetCheckResult]:
    model = outcome.basis.model
    return [
        orthonormal_components(model.components),
        sound_values(model),
        variance_explained(outcome.basis.drift.fitted, model.n_components),
        enough_images(
            possible_components(model.n_samples, len(model.mean)),
            model.n_components,
            chosen_by_default=config.n_components is None and config.variance is None,
        ),
        basis_unchanged(before, outcome.basis),
        no_drift(outcome.drift, config),
    ]


def _basis_of_run(
    context: dg.AssetExecutionContext,
    config: PcaConfig,
    features: Version,
    before: Version | None,
    writing: VersionWriter,
    spark: SparkResource,
    phases: PhaseTimer,
) -> _Outcome:
    """The basis: that of an earlier version where it holds, or else fitted."""
    fitted_by, most = config.fitted_by(), config.drift_limit()
    version = combined_version(features.facts["data_version"], repr(sorted(fitted_by.items())))
    basis = basis_to_keep(config.refit, before, features, fitted_by)
    if basis is None:
        same = writing.find_latest(data_version=version, basis_version=version)
    else:
        same = before if before and before.facts["data_version"] == version else None
    if same is not None:
        basis = basis or Basis.of(same)
        if not basis.drift.exceeds(most):
            context.log.info("Neither the features nor the config have changed: the previous model is published again.")
            return _Outcome(basis, republish(same, writing), basis.drift)
    moments = _moments(context, features, before, spark, phases)
    if basis is not None and same is None:
        basis = basis.with_new_rows(moments.new)
    drift = basis.drift if basis is not None else None
    if basis is None or basis.drift.exceeds(most):
        with phases("eigenvectors"):
            wanted = config.n_components or default_components(moments.moments)
            model = fit(moments.moments, wanted, config.variance, standardize=config.standardize)
        basis = Basis(model, version, Spread())
    staged = stage_files({**basis.model.to_files(), **moments.to_files()}, writing)
    facts = {**moments.facts(), **basis.facts(), FINGERPRINT: features.facts[FINGERPRINT], FITTED_BY: fitted_by}
    return _Outcome(basis, staged.with_facts(data_version=version, **facts), drift, moments)


def _moments(
    context: dg.AssetExecutionContext,
    features: Version,
    before: Version | None,
    spark: SparkResource,
    phases: PhaseTimer,
) -> MomentsOfAll:
    """The moments of all features, from those of the version before as far as they go."""
    same = before is not None and before.facts.get(FINGERPRINT) == features.facts[FINGERPRINT]
    plan = plan_moments(features, before if same else None)
    if not plan.reads_rows:
        return plan.stored_only()
    with phases("moments"), ExitStack() as progress:

        def runner_for(rows: int, size: float) -> TaskRunner:
            tasks = spark.runner_for(rows, size)
            progress.close()
            progress.enter_context(reported_progress(tasks, context.log.info, NAME))
            return tasks

        return plan.run(runner_for)


def possible_components(rows: int, width: int) -> int:
    """How many directions centred rows span at most."""
    return max(1, min(rows - 1, width))


def default_components(moments: Moments) -> int:
    """Components that are kept when a person has set no number."""
    return min(DEFAULT_COMPONENTS, possible_components(moments.count, len(moments.mean)))
