"""How much of the collection a run takes.

Put here the run config and its defaults. The choice itself belongs in `images/sampling.py`.
"""

import dagster as dg
from pydantic import Field, model_validator

from fruit_assets.assets.rejected_share import share_field
from fruit_assets.images.sampling import SamplePlan

# A minute's work for two cores, and enough images of every class for a model to learn from.
WHOLE_UP_TO = 10_000
LEAST_SHARE = 0.01


class SamplingConfig(dg.Config):
    """How much of the collection to take."""

    fraction: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description=f"Share of every class to take, in (0, 1]. By default all of up to {WHOLE_UP_TO:,} images; of a "
        f"larger collection the share that gives as many, and {LEAST_SHARE} at least.",
    )
    min_per_class: int = Field(
        default=1, ge=1, description="Images of every class to keep at least, as far as it has them."
    )
    max_per_class: int | None = Field(default=None, ge=1, description="Images of every class to keep at most.")
    seed: int = Field(default=0, description="Another seed gives another sample; the same seed always the same.")
    max_rejected_share: float | None = share_field(default_from="image_features in the same run")

    @model_validator(mode="after")
    def _limits_fit(self) -> "SamplingConfig":
        if self.max_per_class is not None and self.max_per_class < self.min_per_class:
            raise ValueError(f"max_per_class ({self.max_per_class}) is below min_per_class ({self.min_per_class})")
        return self

    def plan(self, listed: int) -> SamplePlan:
        """How much to take of a collection of `listed` images."""
        given = self.model_dump(exclude={"fraction", "max_rejected_share"})
        return SamplePlan(fraction=self.fraction or default_fraction(listed), **given)


def default_fraction(listed: int) -> float:
    """The share that is taken when a person has set none."""
    return min(1.0, max(LEAST_SHARE, WHOLE_UP_TO / max(listed, 1)))
