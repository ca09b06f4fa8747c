"""The published images that look most like another one, by the cosine of their principal components.

Put here how an image gets its place among the published rows, and how its neighbours are found. Asking
and showing belong in `cli/similar.py`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fruit_assets.analysis.moments import feature_matrix
from fruit_assets.analysis.pca import PcaModel
from fruit_assets.errors import InputError, StorageError
from fruit_assets.extractor.engines import load_engine
from fruit_assets.extractor.specification import ExtractorFiles
from fruit_assets.images.decoding import UnreadableImage, decode
from fruit_assets.images.pixels.decoding_options import DecodingOptions
from fruit_assets.storage.delta.table import Table
from fruit_assets.storage.delta.version import Version

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    import pyarrow.dataset

_AGAIN = "Materialise feature_extractor, image_features, pca_model and pca_components again."


@dataclass(frozen=True)
class Neighbour:
    """A published image and its cosine similarity, in [-1, 1], to the one asked for."""

    path: str
    label: str
    similarity: float


@dataclass(frozen=True)
class SimilarImages:
    """Published components together with exactly the model and extractor that made them.

    Attributes:
        components: a version of `pca_components`.
        model: the PCA they were projected with.
        extractor: the files of the extractor that made their features.
        precision: the arithmetic it ran in.
        decoding: what names the options their images were decoded with.
    """

    components: Version
    model: PcaModel
    extractor: ExtractorFiles
    precision: str
    decoding: str = ""

    @staticmethod
    def of(components: Table, models: Table, extractors: Table) -> "SimilarImages":
        """Open what is published.

        Raises:
            NotPublishedError: the components have not been published.
            StorageError: the model or the extractor that made them is not kept any more.
        """
        current = components.current()
        named, _, precision = str(current.facts.get("features_fingerprint", "")).rpartition("-")
        fingerprint, _, decoding = named.partition("~")
        extractor = extractors.find_latest(**{"int8" if precision == "int8" else "fingerprint": fingerprint})
        basis = current.facts.get("pca_model")
        model = models.find_latest(basis_version=basis)
        if model is None:  # releases that kept no basis did not name it
            model = models.find_latest(data_version=basis, basis_version=None)
        if extractor is None or model is None:
            missing = "feature_extractor" if extractor is None else "pca_model"
            raise StorageError(f"The {missing} that made the published components is not kept any more. {_AGAIN}")
        return SimilarImages(current, PcaModel.of(model), ExtractorFiles.of(extractor), precision, decoding)

    def place(self, content: bytes, cache: Path) -> "np.ndarray":
        """The components (k,) of one image.

        Args:
            content: bytes of the image file.
            cache: folder for extractor files fetched from S3.

        Raises:
            InputError: the bytes are no image that can be read.
        """
        size = self.extractor.description.input_size
        try:
            pixels = decode(content, size, options=DecodingOptions.from_identity(self.decoding))
        except UnreadableImage as error:
            raise InputError(f"The image cannot be used: {error}.") from error
        folder = self.extractor.local_folder(cache)
        infer = load_engine(folder, size, "openvino", self.precision, batch_size=1)
        place: np.ndarray = self.model.project(infer(pixels[None]))[0]
        return place

    def nearest(self, place: "np.ndarray", top: int) -> list[Neighbour]:
        """The `top` published images nearest to `place` (k,), the nearest first.

        Every row is read and compared, exactly, in half a gigabyte of memory whatever their number: a million rows of
        80 components (300 MB of Parquet) cost about 1.5 s of processor time. For more than one question, `load` first.
        """
        import numpy as np

        similarities = np.empty(0, np.float32)
        rows = np.empty(0, np.int64)
        data = _dataset(self.components)
        for start, points in _point_batches(data):
            found = np.concatenate([similarities, _directions(points) @ _direction(place)])
            numbers = np.concatenate([rows, np.arange(start, start + len(points))])
            best = _best(found, top)
            similarities, rows = found[best], numbers[best]
        return _neighbours(data.take(rows, columns=["path", "label"]), similarities)

    def load(self) -> "LoadedComponents":
        """The components in memory, for many questions: about 400 bytes per row of 80 components."""
        import numpy as np

        data = _dataset(self.components)
        directions = np.empty((data.count_rows(), len(self.model.components)), np.float32)
        for start, points in _point_batches(data):
            directions[start : start + len(points)] = _directions(points)
        return LoadedComponents(directions, data.to_table(columns=["path", "label"]))


@dataclass(frozen=True)
class LoadedComponents:
    """Published components in memory.

    Every row is compared: a million rows of 80 components take a tenth of a second on two cores, so an index, which
    would miss some neighbours and had to be built for every version, is not worth its while.

    Attributes:
        directions: (n, k) float32 of length 1, or 0 in the very middle.
        names: `path, label` of the same rows.
    """

    directions: "np.ndarray"
    names: "pa.Table"

    def nearest(self, place: "np.ndarray", top: int) -> list[Neighbour]:
        """The `top` images nearest to `place` (k,), the nearest first; equal ones in the order of the table."""
        found = self.directions @ _direction(place)
        best = _best(found, top)
        return _neighbours(self.names.take(best), found[best])


def _best(similarities: "np.ndarray", top: int) -> "np.ndarray":
    """Numbers of the `top` largest, the largest first, equal ones in their order.

    So the same question always has the same answer.
    """
    import numpy as np

    rows = np.arange(len(similarities))
    if len(similarities) > top:
        least = np.partition(similarities, -top)[-top]
        rows = np.flatnonzero(similarities >= least)
    order = np.argsort(-similarities[rows], kind="stable")
    best: np.ndarray = rows[order][:top]
    return best


def _neighbours(names: "pa.Table", similarities: "np.ndarray") -> list[Neighbour]:
    return [
        Neighbour(row["path"], row["label"], float(similarity))
        for row, similarity in zip(names.to_pylist(), similarities, strict=True)
    ]


def _dataset(version: Version) -> "pyarrow.dataset.Dataset":
    from pyarrow.dataset import FileSystemDataset, ParquetFileFormat

    parquet = ParquetFileFormat()
    fragments = [parquet.make_fragment(version.store.open(file.path)) for file in version.files]
    return FileSystemDataset(fragments, fragments[0].physical_schema, parquet)


def _point_batches(data: "pyarrow.dataset.Dataset") -> Iterator[tuple[int, "np.ndarray"]]:
    """Components (n, k) of consecutive rows, with the number of the first."""
    start = 0
    for batch in data.to_batches(columns=["pca_features"], batch_size=16384, batch_readahead=4, fragment_readahead=1):
        if batch.num_rows:
            yield start, feature_matrix(batch.column("pca_features"))
        start += batch.num_rows


def _directions(points: "np.ndarray") -> "np.ndarray":
    """Rows of length 1; an image in the very middle has no direction, and is like no other."""
    import numpy as np

    lengths = np.sqrt(np.einsum("ij,ij->i", points, points))[:, None]
    directions: np.ndarray = (points / np.where(lengths > 0, lengths, np.inf)).astype(np.float32)
    return directions


def _direction(place: "np.ndarray") -> "np.ndarray":
    direction: np.ndarray = _directions(place[None])[0]
    return direction
