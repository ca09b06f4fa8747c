"""When a basis is fitted again, and when it is kept.

Put here the decision and what it leads to: the basis, and the facts by which the next run decides. The moments come
from `moments_increment.py`, the mathematics from `pca.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from fruit_assets.analysis.drift import Drift, Spread
from fruit_assets.analysis.pca import PcaModel
from fruit_assets.errors import InputError

if TYPE_CHECKING:
    from fruit_assets.analysis.moments import Moments
    from fruit_assets.storage.delta.version import Version

# Facts: which basis a version holds, what its features were computed with, how it was fitted, and the spread of the
# rows that came since.
BASIS = "basis_version"
FINGERPRINT = "features_fingerprint"
FITTED_BY = "fitted_by"
SINCE_FIT = "since_fit"


class Refit(Enum):
    """When to fit the basis again after the features have changed."""

    always = "always"
    when_needed = "when_needed"
    never = "never"


@dataclass(frozen=True)
class Basis:
    """A basis that a version of the model holds.

    Attributes:
        model: mean, scale and components.
        version: names it: the data version of the model when it was fitted.
        since: the spread of the rows that came since the fit.
    """

    model: PcaModel
    version: str
    since: Spread

    @staticmethod
    def of(version: "Version") -> "Basis":
        return Basis(PcaModel.of(version), basis_version(version), Spread(**version.facts.get(SINCE_FIT, {})))

    def with_new_rows(self, new: "Moments | None") -> "Basis":
        """The same basis, after these rows have come."""
        return Basis(self.model, self.version, self.since + Spread.of(new, self.model))

    def facts(self) -> dict[str, Any]:
        return {BASIS: self.version, SINCE_FIT: self.since.to_facts()}

    @property
    def drift(self) -> Drift:
        ratio = self.model.explained_variance_ratio
        return Drift(float(ratio[: self.model.n_components].sum()), self.since)


def basis_version(model: "Version") -> str:
    """Which basis a version of the model holds: what is made of features with it alone depends on it."""
    named: str = model.facts.get(BASIS) or model.facts["data_version"]
    return named


def basis_to_keep(
    refit: Refit, before: "Version | None", features: "Version", fitted_by: Mapping[str, Any]
) -> Basis | None:
    """The basis of the version before, where it shall be kept if the features have not drifted; None to fit one.

    Args:
        refit: what the run config asks for.
        before: the version of the model before.
        features: that are to be projected.
        fitted_by: the part of the run config that a basis depends on.

    Raises:
        InputError: `never`, and there is no basis for these features and this config.
    """
    if refit is Refit.always:
        return None
    reason = _why_not(before, features, fitted_by)
    if reason is None and before is not None:
        return Basis.of(before)
    if refit is Refit.never:
        raise InputError(
            f"refit is never, but {reason}. Materialise pca_model once with refit: always, or with refit: when_needed."
        )
    return None


def _why_not(before: "Version | None", features: "Version", fitted_by: Mapping[str, Any]) -> str | None:
    """Why the basis of a version cannot be kept."""
    if before is None or FITTED_BY not in before.facts:
        return "pca_model has not been fitted yet" if before is None else "a release that kept none fitted pca_model"
    known, wanted = before.facts[FINGERPRINT], features.facts[FINGERPRINT]
    if known != wanted:
        return (
            f"the features were computed with another extractor or precision ({wanted}) than those that the basis was "
            f"fitted on ({known})"
        )
    changed = [name for name, value in fitted_by.items() if before.facts[FITTED_BY].get(name) != value]
    if changed:
        before_text = ", ".join(f"{name}: {before.facts[FITTED_BY].get(name)}" for name in changed)
        return f"the basis was fitted with {before_text}, not {', '.join(str(fitted_by[name]) for name in changed)}"
    return None
