"""Tests of the reduction: scikit-learn's answer, from any number of partitions, and clear refusals."""

import io
from functools import reduce
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from fruit_assets.analysis import moments_pass
from fruit_assets.analysis.drift import Spread
from fruit_assets.analysis.moments import Moments, feature_matrix
from fruit_assets.analysis.moments_pass import compute_moments
from fruit_assets.analysis.pca import PcaModel, fit
from fruit_assets.analysis.projection import plan_projection, project, stage
from fruit_assets.analysis.refit import Basis
from fruit_assets.errors import InputError
from fruit_assets.object_store.stores import LocalStore, open_store
from fruit_assets.storage import read_current
from fruit_assets.storage.delta.columns import columns_of
from fruit_assets.storage.delta.table import Table
from fruit_assets.storage.delta.version import Version
from fruit_assets.storage.parquet_files import DataFile
from fruit_assets.storage.staging import VersionWriter


def _rows(count: int, width: int, seed: int = 0) -> np.ndarray:
    """float32 rows with a mean far from zero, spreads over three orders, and correlated columns."""
    generator = np.random.default_rng(seed)
    mixed = generator.normal(size=(count, width)) @ generator.normal(size=(width, width))
    return (mixed * np.logspace(-1, 2, width) + generator.normal(scale=50, size=width)).astype(np.float32)


def _version(folder: Path, rows: np.ndarray, files: int = 2) -> Version:
    """A staged version of these features in so many files."""
    store = LocalStore(folder / "features")
    numbers = np.array_split(np.arange(len(rows)), files)
    listed = []
    for name, chosen in enumerate(numbers):
        table = pa.table(
            {
                "path": [f"{number}.jpg" for number in chosen],
                "label": ["a"] * len(chosen),
                "features": pa.array(list(rows[chosen]), pa.list_(pa.float32())),
            }
        )
        buffer = io.BytesIO()
        pq.write_table(table, buffer)
        store.put(f"data/one-0/part-{name}.parquet", buffer.getvalue())
        listed.append(DataFile(f"data/one-0/part-{name}.parquet", buffer.tell(), len(chosen)))
    columns = columns_of("path string, label string, features array<float>")
    return Table(store).stage(listed, columns, "one", None).version


def _reference(rows: np.ndarray, k: int, *, standardize: bool) -> tuple[PCA, np.ndarray]:
    values = rows.astype(np.float64)
    values = StandardScaler().fit_transform(values) if standardize else values
    reference = PCA(k, svd_solver="full").fit(values)
    return reference, reference.transform(values)


def _assert_agrees(model: PcaModel, rows: np.ndarray, k: int, *, standardize: bool) -> None:
    reference, scores = _reference(rows, k, standardize=standardize)
    variance = reference.explained_variance_
    assert np.allclose(model.explained_variance[:k], variance, rtol=1e-6)
    assert np.allclose(model.explained_variance_ratio[:k], reference.explained_variance_ratio_, rtol=1e-6)
    # The same subspace: the cosines of the angles between the two are all one.
    assert np.abs(np.linalg.svd(model.components @ reference.components_.T, compute_uv=False) - 1).max() < 1e-6
    signs = np.sign((model.components * reference.components_).sum(axis=1))
    assert np.allclose(model.project(rows), scores * signs, rtol=1e-6, atol=1e-6 * np.abs(scores).max())


@pytest.mark.parametrize("standardize", [True, False])
@pytest.mark.parametrize(("count", "width", "k"), [(300, 40, 7), (300, 40, 40), (30, 60, 20)])
def test_components_variance_and_scores_are_those_of_scikit_learn(count, width, k, standardize):
    rows = _rows(count, width)
    model = fit(Moments.of(rows), k, None, standardize=standardize)
    _assert_agrees(model, rows, k, standardize=standardize)
    assert model.n_samples == count
    assert len(model.explained_variance) == width


def test_moments_do_not_depend_on_the_number_of_partitions(spark, tmp_path, monkeypatch):
    rows = _rows(333, 64)
    whole = Moments.of(rows)
    for partitions in (1, 2, 50):
        monkeypatch.setattr(type(spark.sparkContext), "defaultParallelism", partitions)
        moments = compute_moments(_version(tmp_path / str(partitions), rows, partitions), spark.sparkContext)
        assert moments.count == 333
        assert np.allclose(moments.mean, whole.mean, rtol=1e-12)
        assert np.allclose(moments.scatter, whole.scatter, rtol=1e-10, atol=1e-10 * np.abs(whole.scatter).max())
        model = fit(moments, 10, None, standardize=True)
        assert np.allclose(model.components, fit(whole, 10, None, standardize=True).components, atol=1e-9)


def test_moments_are_the_same_when_a_large_cluster_combines_them_in_a_tree(spark, monkeypatch, tmp_path):
    # As many tasks as a cluster of 50 cores would have, merged by 17, 6 and 2.
    monkeypatch.setattr(type(spark.sparkContext), "defaultParallelism", 50)
    monkeypatch.setattr(moments_pass, "_FAN_IN", 3)
    rows = _rows(333, 24)
    whole, moments = Moments.of(rows), compute_moments(_version(tmp_path, rows, 60), spark.sparkContext)
    assert moments.count == 333
    assert np.allclose(moments.mean, whole.mean, rtol=1e-12)
    assert np.allclose(moments.scatter, whole.scatter, rtol=1e-10, atol=1e-10 * np.abs(whole.scatter).max())


def test_no_task_of_the_tree_merges_more_than_its_share(spark, monkeypatch):
    monkeypatch.setattr(moments_pass, "_merged_moments", _counted)
    partials = spark.sparkContext.parallelize([b"moments"] * 50, 50)
    counts = moments_pass._merged_to(partials, 7).collect()
    assert sum(counts) == 50
    assert len(counts) == 7
    assert max(counts) <= 8


def _counted(streams):
    return [len(list(streams))]


def test_moments_cross_between_workers_without_losing_a_bit():
    parts = [Moments.of(_rows(20, 9, seed)) for seed in range(3)]
    table = pa.Table.from_batches([part.to_batch() for part in parts])
    for part, again in zip(parts, Moments.of_rows(table), strict=True):
        assert again.count == part.count
        assert np.array_equal(again.mean, part.mean)
        assert np.array_equal(again.scatter, part.scatter)


@pytest.mark.parametrize("standardize", [True, False])
def test_features_far_from_zero_lose_no_accuracy(standardize):
    rows = _rows(300, 40) + np.float32(1e4)
    moments = reduce(Moments.merge, [Moments.of(part) for part in np.array_split(rows, 7)])
    _assert_agrees(fit(moments, 40, None, standardize=standardize), rows, 40, standardize=standardize)


def test_projecting_in_spark_gives_every_row_its_scores(spark, tmp_path):
    rows = _rows(120, 32)
    model = fit(Moments.of(rows), 5, None, standardize=True)
    writing = VersionWriter(Table(LocalStore(tmp_path / "components")), "one")
    plan = plan_projection(_version(tmp_path, rows, 7), None)
    staged = stage(plan, project(plan, spark.sparkContext, Basis(model, "basis", Spread()), writing), writing)
    assert staged.version.facts["measures"] == {"shortest": 5, "longest": 5, "broken": 0}
    table = staged.version.read_table()
    assert table.schema.field("pca_features").type == pa.list_(pa.field("element", pa.float32()))
    order = np.argsort([int(path.removesuffix(".jpg")) for path in table["path"].to_pylist()])
    scores = feature_matrix(table["pca_features"])[order]
    assert scores.shape == (120, 5)
    assert np.allclose(scores, model.project(rows), rtol=1e-6, atol=1e-6)


def test_components_of_the_real_features_are_those_of_scikit_learn(published, spark):
    features = feature_matrix(read_current(str(published.storage / "image_features"))["features"])
    model = PcaModel.of(_current(published, "pca_model"))
    assert model.components.shape == (80, 1280)
    _assert_agrees(model, features, 80, standardize=True)
    plain = fit(Moments.of(features), 80, None, standardize=False)
    _assert_agrees(plain, features, 80, standardize=False)


def test_eighty_standardised_components_explain_72_percent_of_the_photographs(published, collection):
    share = published.metadata("pca_model")["variance_explained"]
    ratio = PcaModel.of(_current(published, "pca_model")).explained_variance_ratio
    assert share == pytest.approx(ratio[:80].sum(), rel=1e-12)
    # Known for the photographs; demo images under random weights vary along fewer directions.
    assert 0.71 < share < 0.73 if collection.real else 0.72 < share <= 1


def _current(published, asset: str):
    return Table(open_store(str(published.storage / asset))).current()


def test_a_constant_feature_has_scale_one_and_no_loading(spark, tmp_path):
    rows = _rows(200, 20)
    rows[:, 3], rows[:, 7], rows[:, 11] = 0.0, 0.1, 3e7
    model = fit(compute_moments(_version(tmp_path, rows, 3), spark.sparkContext), 17, None, standardize=True)
    assert model.scale[[3, 7, 11]].tolist() == [1.0, 1.0, 1.0]
    assert np.abs(model.components[:, [3, 7, 11]]).max() < 1e-6
    _assert_agrees(model, rows, 17, standardize=True)


def test_identical_rows_give_a_sound_model_that_explains_nothing():
    model = fit(Moments.of(np.tile(_rows(1, 20), (50, 1))), 5, None, standardize=True)
    assert np.isfinite(model.components).all()
    assert np.allclose(model.components @ model.components.T, np.eye(5))
    assert model.explained_variance_ratio.sum() == 0
    assert np.abs(model.project(_rows(1, 20))).max() < 1e-3


def test_the_largest_loading_of_every_component_is_positive():
    for seed in range(5):
        model = fit(Moments.of(_rows(100, 30, seed)), 30, None, standardize=True)
        largest = np.abs(model.components).argmax(axis=1)
        assert (model.components[np.arange(30), largest] > 0).all()


def test_a_share_of_the_variance_keeps_as_few_components_as_reach_it():
    rows = _rows(300, 40)
    moments = Moments.of(rows)
    for share in (0.1, 0.5, 0.9, 0.999, 1.0):
        model = fit(moments, None, share, standardize=True)
        ratio = model.explained_variance_ratio
        assert ratio[: model.n_components].sum() >= share - 1e-9
        assert ratio[: model.n_components - 1].sum() < share
    assert (
        fit(moments, None, 0.9, standardize=True).n_components
        == _reference(rows, 0.9, standardize=True)[0].n_components_
    )
    constant = Moments.of(np.ones((5, 4), np.float32))
    assert fit(constant, None, 0.9, standardize=True).n_components == 1


def test_more_components_than_images_or_features_are_refused_with_the_limit():
    with pytest.raises(InputError, match=r"n_components is 11, but 10 images of 20 features allow at most 10\. Lower"):
        fit(Moments.of(_rows(10, 20)), 11, None, standardize=True)
    with pytest.raises(InputError, match="allow at most 6"):
        fit(Moments.of(_rows(10, 6)), 7, None, standardize=True)
    assert fit(Moments.of(_rows(10, 20)), 10, None, standardize=True).n_components == 10


def test_one_image_or_none_is_refused_with_the_knob(spark, tmp_path):
    with pytest.raises(InputError, match=r"at least 2 featurised images; there is 1\. Raise `fraction`"):
        fit(Moments.of(_rows(1, 20)), 1, None, standardize=True)
    with pytest.raises(InputError, match="every sampled image was rejected"):
        compute_moments(_version(tmp_path, _rows(0, 20), 1), spark.sparkContext)


def test_a_model_survives_being_written_and_read(tmp_path):
    from fruit_assets.storage.artifacts import stage_files

    rows = _rows(60, 12)
    model = fit(Moments.of(rows), 4, None, standardize=True)
    folder = Table(LocalStore(tmp_path))
    folder.commit(stage_files(model.to_files(), VersionWriter(folder, "one")))
    again = PcaModel.of(folder.current())
    assert np.array_equal(again.project(rows), model.project(rows))
    assert again.n_samples == 60


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=6), st.integers(0, 1000), st.floats(-1e4, 1e4))
def test_moments_of_parts_merge_to_the_moments_of_the_whole(sizes, seed, offset):
    rows = np.random.default_rng(seed).normal(loc=offset, size=(sum(sizes), 5))
    parts = [Moments.of(part) for part in np.split(rows, np.cumsum(sizes)[:-1])]
    merged = parts[0]
    for part in parts[1:]:
        merged = part.merge(merged)
    assert merged.count == len(rows)
    assert np.allclose(merged.mean, rows.mean(axis=0), rtol=1e-10, atol=1e-10)
    assert np.allclose(merged.scatter, np.cov(rows.T, bias=True) * len(rows), rtol=1e-8, atol=1e-6)
