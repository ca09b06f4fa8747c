"""Principal components: from the moments of the features to a model, and from features to scores.

Put here the mathematics on small matrices. The projection of a table belongs in `projection.py`, when a model is fitted
again in `refit.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fruit_assets.analysis.moments import Moments, rounding_variance
from fruit_assets.errors import InputError
from fruit_assets.storage.artifacts import array_bytes, array_from, read_array

if TYPE_CHECKING:
    import numpy as np

    from fruit_assets.storage.delta.version import Version

_ARRAYS = ("mean", "scale", "components", "explained_variance")


@dataclass(frozen=True)
class PcaModel:
    """A fitted PCA.

    Attributes:
        mean: (d,) mean of every feature.
        scale: (d,) what centred features are divided by: their population standard deviation, or 1.
        components: (k, d) orthonormal rows; in each the largest loading is positive.
        explained_variance: (d,) variance along every direction, descending.
        n_samples: rows it was fitted on.
    """

    mean: "np.ndarray"
    scale: "np.ndarray"
    components: "np.ndarray"
    explained_variance: "np.ndarray"
    n_samples: int

    @property
    def n_components(self) -> int:
        return len(self.components)

    @property
    def explained_variance_ratio(self) -> "np.ndarray":
        """(d,) shares of the total variance; all zero when the features are constant."""
        total = self.explained_variance.sum()
        return self.explained_variance / total if total > 0 else self.explained_variance

    def project(self, features: "np.ndarray") -> "np.ndarray":
        """Scores (n, k) of features (n, d); float64."""
        import numpy as np

        # Dividing k x d loadings is less work than dividing n x d features.
        return np.asarray((features - self.mean) @ (self.components / self.scale).T)

    def to_files(self) -> dict[str, bytes]:
        """The model as `.npy` files."""
        import numpy as np

        files = {f"{name}.npy": array_bytes(getattr(self, name)) for name in _ARRAYS}
        return {**files, "n_samples.npy": array_bytes(np.array(self.n_samples))}

    @staticmethod
    def from_files(files: Mapping[str, bytes]) -> "PcaModel":
        """The model that `to_files` gave."""
        arrays = {name: array_from(files[f"{name}.npy"]) for name in _ARRAYS}
        return PcaModel(n_samples=int(array_from(files["n_samples.npy"])), **arrays)

    @staticmethod
    def of(version: "Version") -> "PcaModel":
        arrays = {name: read_array(version, f"{name}.npy") for name in _ARRAYS}
        return PcaModel(n_samples=int(read_array(version, "n_samples.npy")), **arrays)


def fit(moments: Moments, n_components: int | None, variance: float | None, *, standardize: bool) -> PcaModel:
    """Principal components from moments.

    Agrees with scikit-learn's `PCA` on `StandardScaler`d features. Constant features stay as they are
    (scale 1) and have zero loadings.

    Args:
        moments: of the features.
        n_components: how many components to keep; ignored when `variance` is given.
        variance: keep as many components as explain this share of the variance.
        standardize: give every feature the same weight.

    Raises:
        InputError: there are fewer than two rows, or more components are wanted than rows or features allow.
    """
    import numpy as np
    from threadpoolctl import threadpool_limits

    rows, width = moments.count, len(moments.mean)
    if rows < 2:
        raise InputError(
            f"Components need at least 2 featurised images; there is {rows}. Raise `fraction` of sampled_images."
        )
    most = min(rows, width)
    if variance is None and n_components is not None and n_components > most:
        raise InputError(
            f"n_components is {n_components}, but {rows} images of {width} features allow at most {most}. "
            f"Lower n_components of pca_model to {most} or less, or raise `fraction` of sampled_images."
        )
    scale = _scales(moments) if standardize else np.ones(width)
    covariance = moments.scatter / np.outer(scale, scale) / (rows - 1)
    # At this size the threads of BLAS mostly wait for each other, and for Spark's workers.
    with threadpool_limits(1):
        eigenvalues, eigenvectors = np.linalg.eigh(covariance)
    explained = np.clip(eigenvalues[::-1], 0.0, None)
    # Centred rows span one direction less than there are rows; what eigh finds beyond is rounding.
    explained[rows - 1 :] = 0.0
    kept = _kept(explained, most, n_components, variance)
    components = _with_fixed_signs(eigenvectors.T[::-1][:kept])
    return PcaModel(moments.mean, scale, np.ascontiguousarray(components), explained, rows)


def _scales(moments: Moments) -> "np.ndarray":
    import numpy as np

    variance = np.diag(moments.scatter) / moments.count
    # Below rounding of the mean a feature is constant; dividing by its noise would make it the loudest.
    scales: np.ndarray = np.where(variance > rounding_variance(moments.mean), np.sqrt(variance), 1.0)
    return scales


def _kept(explained: "np.ndarray", most: int, n_components: int | None, variance: float | None) -> int:
    import numpy as np

    if variance is None:
        return most if n_components is None else n_components
    total = explained.sum()
    if total <= 0:
        return 1
    reached = np.cumsum(explained) / total >= variance - 1e-12
    return min(int(np.argmax(reached)) + 1, most) if reached.any() else most


def _with_fixed_signs(components: "np.ndarray") -> "np.ndarray":
    """The sign of an eigenvector is arbitrary: make the loading of largest magnitude positive."""
    import numpy as np

    largest = np.abs(components).argmax(axis=1)
    signs = np.sign(components[np.arange(len(components)), largest])
    fixed: np.ndarray = components * np.where(signs == 0, 1.0, signs)[:, None]
    return fixed
