"""How far features have moved away from a basis, and one basis from another.

Put here the figures. What follows from them is decided in `refit.py`.
"""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from fruit_assets.analysis.moments import Moments

if TYPE_CHECKING:
    from fruit_assets.analysis.pca import PcaModel

# The share of fewer rows than this depends too much on which they are.
ENOUGH_NEW_ROWS = 100


@dataclass(frozen=True)
class Spread:
    """Sums over rows of their squared distance from a basis' mean, in units of its scale; of several sets they add up.

    Attributes:
        rows: how many.
        total: along all directions.
        captured: along the components.
    """

    rows: int = 0
    total: float = 0.0
    captured: float = 0.0

    @staticmethod
    def of(moments: Moments | None, model: "PcaModel") -> "Spread":
        """The spread of rows, of which only the moments are known, about a basis."""
        if moments is None:
            return Spread()
        import numpy as np

        offset = moments.mean - model.mean
        squares = moments.scatter + np.outer(offset, offset * moments.count)
        total = (np.diag(squares) / model.scale**2).sum()
        loadings = model.components / model.scale
        return Spread(moments.count, float(total), float(((loadings @ squares) * loadings).sum()))

    def __add__(self, other: "Spread") -> "Spread":
        return Spread(self.rows + other.rows, self.total + other.total, self.captured + other.captured)

    @property
    def share(self) -> float:
        """The share of the variance that the components explain; 1 where there is none to explain."""
        return self.captured / self.total if self.total > 0 else 1.0

    def to_facts(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Drift:
    """What a basis explains of the variance of rows that came after its fit, and of that of the rows it was fitted on.

    Attributes:
        fitted: share of the variance of the rows that it was fitted on.
        since: the spread of the rows that came since.
    """

    fitted: float
    since: Spread

    @property
    def figure(self) -> float:
        """By how much less the basis explains of the new rows; 0 of none, and where it explains more."""
        return max(0.0, self.fitted - self.since.share) if self.since.rows else 0.0

    @property
    def is_reliable(self) -> bool:
        """Whether there are enough new rows to go by the figure."""
        return self.since.rows >= ENOUGH_NEW_ROWS

    def exceeds(self, most: float) -> bool:
        return self.is_reliable and self.figure > most


def largest_angle(one: "PcaModel", other: "PcaModel") -> float:
    """The largest principal angle, in degrees, between the subspaces of two sets of components of the same width."""
    import numpy as np

    cosines = np.linalg.svd(one.components @ other.components.T, compute_uv=False)
    return float(np.degrees(np.arccos(np.clip(cosines.min(), 0.0, 1.0))))
