"""Checks of `pca_model`: whether the basis is sound, and whether it changed or should."""

from typing import TYPE_CHECKING

import dagster as dg

from fruit_assets.analysis.drift import ENOUGH_NEW_ROWS, Drift, largest_angle
from fruit_assets.analysis.pca import PcaModel
from fruit_assets.analysis.refit import Basis, Refit, basis_version
from fruit_assets.assets.check_set import CheckSet
from fruit_assets.assets.components.config import DEFAULT_COMPONENTS, PcaConfig
from fruit_assets.storage.delta.version import Version

if TYPE_CHECKING:
    import numpy as np

MODEL_NAME = "pca_model"
MIN_VARIANCE_EXPLAINED = 0.5
_ORTHONORMAL_TOLERANCE = 1e-8
CHECKS = CheckSet(
    MODEL_NAME,
    blocking={"orthonormal_components": "The components are orthonormal.", "finite_values": "No NaN, no infinity."},
    warnings={
        "variance_explained": f"The components explain at least {MIN_VARIANCE_EXPLAINED:.0%} of the variance.",
        "enough_images": f"The images allow the {DEFAULT_COMPONENTS} components kept unless a number is given.",
        "basis_unchanged": "The basis is that of the version before, so that models trained on its components still "
        "fit.",
        "drift": "The basis explains about as much of the variance of new images as of those it was fitted on.",
    },
)


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


def sound_values(model: PcaModel) -> dg.AssetCheckResult:
    """No component and no variance may be NaN or infinite."""
    import numpy as np

    broken = (~np.isfinite(model.components).all(axis=1)).sum() + (~np.isfinite(model.explained_variance)).sum()
    return CHECKS.finite_values(int(broken))


def basis_unchanged(before: Version | None, now: Basis) -> dg.AssetCheckResult:
    """The basis should be the one of the version before."""
    if before is None:
        return CHECKS.result("basis_unchanged", True, "This is the first basis.")
    if basis_version(before) == now.version:
        return CHECKS.result("basis_unchanged", True, "The basis is that of the version before.")
    import numpy as np

    model, earlier = now.model, PcaModel.of(before)
    text = "The basis differs from the version before. Train models on the new components again before you use them."
    figures: dict[str, float] = {"components_before": earlier.n_components, "components": model.n_components}
    if len(earlier.mean) == len(model.mean) and np.isfinite(model.components).all():
        figures["largest_angle_degrees"] = angle = largest_angle(earlier, model)
        text += f" The largest angle between the two subspaces is {angle:.2g} degrees."
    text += " With refit: when_needed a basis is kept until the features drift."
    return CHECKS.result("basis_unchanged", False, text, figures)


def no_drift(drift: Drift | None, config: PcaConfig) -> dg.AssetCheckResult:
    """A basis that is kept should explain about as much of new images as of those it was fitted on.

    Args:
        drift: of the basis that was kept or might have been; None without such.
        config: of the run.
    """
    if drift is None or not drift.since.rows:
        return CHECKS.result("drift", True, "The basis was fitted on all images.", {"drift": 0.0, "new_images": 0})
    never, exceeded = config.refit is Refit.never, drift.exceeds(config.max_drift)
    text = (
        f"Of the variance of the {drift.since.rows:,} images that came after its fit, the basis of the version before "
        f"explains {drift.since.share:.1%}; of those that it was fitted on, {drift.fitted:.1%}."
    )
    if not drift.is_reliable:
        text += f" Fewer than {ENOUGH_NEW_ROWS} images say little."
    elif exceeded:
        then = "run once with refit: always" if never else "the basis was fitted again"
        text += f" The difference is above max_drift ({config.max_drift:g}): {then}."
    figures = {
        "drift": drift.figure,
        "max_drift": config.max_drift,
        "new_images": drift.since.rows,
        "explained_of_new_images": drift.since.share,
        "explained_of_fitted_images": drift.fitted,
    }
    return CHECKS.result("drift", not (never and exceeded), text, figures)
