"""Run config of `pca_model`."""

import math
from typing import Any

import dagster as dg
from pydantic import Field, model_validator

from fruit_assets.analysis.drift import ENOUGH_NEW_ROWS
from fruit_assets.analysis.refit import Refit
from fruit_assets.extractor.architectures import ARCHITECTURES

DEFAULT_COMPONENTS = 80


class PcaConfig(dg.Config):
    """How many components to keep, and when to fit them again."""

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
    refit: Refit = Field(
        default=Refit.always,
        description="Fit the components again: always, when the features have changed; when_needed, only when they "
        "have drifted by more than max_drift; or never. A basis that is kept keeps the meaning of every component "
        "for models trained on them, and only new images are projected.",
    )
    max_drift: float = Field(
        default=0.3,
        ge=0,
        le=1,
        description="How much less of the variance of new images than of those it was fitted on a basis may explain "
        f"(0.3: 30 points less), from {ENOUGH_NEW_ROWS} new images on.",
    )

    @model_validator(mode="after")
    def _one_way_to_choose(self) -> "PcaConfig":
        if self.variance is not None and self.n_components is not None:
            raise ValueError("give n_components or variance, not both")
        return self

    def fitted_by(self) -> dict[str, Any]:
        """The part that a basis depends on."""
        return self.model_dump(include={"n_components", "variance", "standardize"})

    def drift_limit(self) -> float:
        """The drift beyond which a basis is fitted again."""
        return math.inf if self.refit is Refit.never else self.max_drift
