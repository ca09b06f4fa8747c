"""Neighbours by principal components, against scikit-learn's exhaustive search."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fruit_assets.analysis.pca import PcaModel
from fruit_assets.analysis.similarity import SimilarImages
from fruit_assets.errors import NotPublishedError, StorageError
from fruit_assets.object_store.stores import open_store
from fruit_assets.storage.delta.columns import columns_of
from fruit_assets.storage.delta.table import Table
from fruit_assets.storage.delta.version import Version
from fruit_assets.storage.parquet_files import DataFile


def _published(folder: Path, points: np.ndarray, files: int = 3) -> Version:
    """A version of `pca_components` in several files of uneven length."""
    asset = Table(open_store(str(folder / "pca_components")))
    (folder / "pca_components" / "data" / "run-0").mkdir(parents=True)
    listed = []
    for number, rows in enumerate(np.array_split(np.arange(len(points)), files)):
        table = pa.table(
            {
                "path": [f"Apple/{row}.jpg" for row in rows],
                "label": ["Apple"] * len(rows),
                "pca_features": pa.array(list(points[rows]), pa.list_(pa.float32())),
            }
        )
        key = f"data/run-0/part-{number}.parquet"
        pq.write_table(table, folder / "pca_components" / key, row_group_size=40)
        listed.append(DataFile(key, (folder / "pca_components" / key).stat().st_size, len(rows)))
    columns = columns_of("path string, label string, pca_features array<float>")
    return asset.commit(asset.stage(listed, columns, "run", None))


def _nearest(version: Version, place: np.ndarray, top: int) -> list[tuple[str, float]]:
    """By a scan of the files; the components in memory must give the same."""
    count = len(place)
    model = PcaModel(*(np.zeros(count), np.ones(count), np.eye(count), np.ones(count), 9))
    search = SimilarImages(version, model=model, extractor=None, precision="f32")
    scanned, loaded = (
        [(neighbour.path, neighbour.similarity) for neighbour in where.nearest(place, top)]
        for where in (search, search.load())
    )
    assert [path for path, _ in scanned] == [path for path, _ in loaded]
    assert [similarity for _, similarity in scanned] == pytest.approx(
        [similarity for _, similarity in loaded], abs=1e-6
    )
    return scanned


def test_neighbours_are_those_of_an_exhaustive_search(tmp_path):
    from sklearn.neighbors import NearestNeighbors

    points = np.random.default_rng(0).standard_normal((500, 8)).astype(np.float32)
    place = np.random.default_rng(1).standard_normal(8)
    distances, rows = (
        NearestNeighbors(n_neighbors=20, metric="cosine", algorithm="brute").fit(points).kneighbors([place])
    )
    found = _nearest(_published(tmp_path, points), place, 20)
    assert [path for path, _ in found] == [f"Apple/{row}.jpg" for row in rows[0]]
    assert [similarity for _, similarity in found] == pytest.approx(1 - distances[0], abs=1e-5)


def test_asking_for_more_than_there_are_gives_all_in_order(tmp_path):
    points = np.array([[1, 0], [0, 1], [-1, 0], [1, 1]], np.float32)
    found = _nearest(_published(tmp_path, points), np.array([1.0, 0.0]), 100)
    assert [path for path, _ in found] == ["Apple/0.jpg", "Apple/3.jpg", "Apple/1.jpg", "Apple/2.jpg"]
    assert [similarity for _, similarity in found] == pytest.approx([1, 0.7071, 0, -1], abs=1e-4)


def test_an_image_in_the_very_middle_is_like_no_other(tmp_path):
    points = np.array([[0, 0], [-1, 0], [1, 0]], np.float32)
    found = dict(_nearest(_published(tmp_path, points), np.array([1.0, 0.0]), 3))
    assert found == pytest.approx({"Apple/2.jpg": 1, "Apple/0.jpg": 0, "Apple/1.jpg": -1})


def test_components_without_the_model_that_made_them_are_refused_by_its_name(tmp_path):
    _published(tmp_path, np.ones((3, 2), np.float32))
    folders = [Table(open_store(str(tmp_path / name))) for name in ("pca_components", "pca_model", "none")]
    with pytest.raises(StorageError, match=r"feature_extractor .* not kept any more. Materialise"):
        SimilarImages.of(*folders)


def test_components_that_were_never_published_are_asked_for(tmp_path):
    folders = [Table(open_store(str(tmp_path / name))) for name in ("pca_components", "pca_model", "none")]
    with pytest.raises(NotPublishedError, match="materialise pca_components first"):
        SimilarImages.of(*folders)
