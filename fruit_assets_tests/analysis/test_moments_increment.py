"""Tests of stored moments: scikit-learn's answer after many changes, and only changed rows are read."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from fruit_assets.analysis import moments_increment
from fruit_assets.analysis.moments import Moments
from fruit_assets.analysis.moments_increment import MomentsOfAll, RunnerFor, plan_moments
from fruit_assets.analysis.pca import fit
from fruit_assets.errors import InputError
from fruit_assets.object_store.stores import LocalStore
from fruit_assets.spark.this_process import TaskRunner
from fruit_assets.storage import upkeep
from fruit_assets.storage.artifacts import stage_files
from fruit_assets.storage.delta.table import Table
from fruit_assets.storage.delta.version import Version
from fruit_assets.storage.staging import VersionWriter
from fruit_assets_tests.analysis.conftest import FeatureTable, random_rows

_WIDTH = 16


@pytest.fixture
def models(tmp_path: Path) -> Table:
    return Table(LocalStore(tmp_path / "pca_model"))


@pytest.fixture
def runner_for(spark) -> RunnerFor:
    return lambda rows, size: spark.sparkContext


def _store(moments: MomentsOfAll, models: Table) -> Version:
    staged = stage_files(moments.to_files(), VersionWriter(models, "run"))
    return models.commit(staged.with_facts(**moments.facts()))


def _first(features: FeatureTable, models: Table, runner_for, rows: int = 60) -> Version:
    """Moments of 60 rows, stored."""
    moments = plan_moments(features.change(random_rows(rows, _WIDTH)), None).run(runner_for)
    assert moments.reads_all
    return _store(moments, models)


def _assert_same(moments: Moments, rows: np.ndarray) -> None:
    whole = Moments.of(rows)
    assert moments.count == whole.count
    assert np.allclose(moments.mean, whole.mean, rtol=1e-12, atol=1e-12)
    assert np.allclose(moments.scatter, whole.scatter, rtol=1e-9, atol=1e-10 * np.abs(whole.scatter).max())


def _assert_agrees_with_scikit_learn(moments: Moments, rows: np.ndarray) -> None:
    reference = PCA(5, svd_solver="full").fit(StandardScaler().fit_transform(rows.astype(np.float64)))
    model = fit(moments, 5, None, standardize=True)
    assert np.allclose(model.explained_variance[:5], reference.explained_variance_, rtol=1e-6)
    assert np.abs(np.linalg.svd(model.components @ reference.components_.T, compute_uv=False) - 1).max() < 1e-6
    assert np.allclose(model.mean, rows.mean(axis=0, dtype=np.float64), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_after_many_additions_and_removals_components_are_those_of_scikit_learn(features, models, runner_for, offset):
    generator = np.random.default_rng(1)
    stored = _store(plan_moments(features.change(random_rows(400, _WIDTH, 0, offset)), None).run(runner_for), models)
    for step in range(1, 13):
        gone = generator.choice(list(features.rows), 2, replace=False).tolist() if step % 2 else ()
        version = features.change(random_rows(7, _WIDTH, step, offset), gone)
        moments = plan_moments(version, stored).run(runner_for)
        assert not moments.reads_all
        assert (moments.updates, moments.new.count, moments.removed) == (step, 7, len(gone))
        stored = _store(moments, models)
    _assert_same(moments.moments, features.matrix())
    _assert_agrees_with_scikit_learn(moments.moments, features.matrix())


def test_new_rows_are_added_without_reading_those_of_before(features, models, runner_for):
    stored = _first(features, models, runner_for)
    for file in features.table.current().files:
        Path(features.table.store.uri_of(file.path)).unlink()
    moments = plan_moments(features.change(random_rows(5, _WIDTH, 1)), stored).run(runner_for)
    _assert_same(moments.moments, features.matrix())
    _assert_same(moments.new, random_rows(5, _WIDTH, 1))


def test_tasks_are_run_by_what_suits_the_rows_that_are_read(features, models, runner_for, monkeypatch):
    asked: list[tuple[int, float]] = []

    def noted(rows: int, size: float) -> TaskRunner:
        asked.append((rows, size))
        return runner_for(rows, size)

    stored = _first(features, models, noted)
    version = features.change(random_rows(5, _WIDTH, 1))
    [new] = [file for file in version.files if file.rows == 5]
    plan_moments(version, stored).run(noted)
    monkeypatch.setattr(moments_increment, "MOST_UPDATES", 0)
    assert plan_moments(version, stored).run(noted).reads_all
    everything = (65, version.bytes)
    assert asked == [(60, version.bytes - new.bytes), (5, new.bytes), (5, new.bytes), everything]


def test_rows_that_are_only_copied_to_another_file_are_neither_added_nor_taken_away(features, models, runner_for):
    stored = _first(features, models, runner_for)
    version = features.change(removed=[3])
    assert [file.rows for file in version.files] == [59]
    moments = plan_moments(version, stored).run(runner_for)
    assert not moments.reads_all
    assert moments.new is None
    assert (moments.removed, moments.subtracted) == (1, 1)
    _assert_same(moments.moments, features.matrix())


def test_without_a_change_nothing_needs_spark(features, models, runner_for):
    stored = _first(features, models, runner_for)
    plan = plan_moments(features.table.current(), stored)
    assert not plan.reads_rows
    again = plan.stored_only()
    assert np.array_equal(again.moments.scatter, Moments.of_array(plan.run(runner_for).moments.to_array()).scatter)
    assert (again.new, again.updates) == (None, 0)


def test_a_merge_of_small_files_by_upkeep_is_no_change(features, models, runner_for, monkeypatch):
    _first(features, models, runner_for)
    stored = _store(plan_moments(features.change(random_rows(4, _WIDTH, 1)), None).run(runner_for), models)
    monkeypatch.setattr(upkeep, "SMALL_FILES", 2)
    assert upkeep.clean_up(features.table).compacted == 2
    merged = features.table.current()
    assert not plan_moments(merged, stored).reads_rows
    features._names_in[merged.files[0].path] = list(features.rows)
    moments = plan_moments(features.change(random_rows(3, _WIDTH, 2)), stored).run(runner_for)
    assert (moments.new.count, moments.removed, moments.reads_all) == (3, 0, False)
    _assert_same(moments.moments, features.matrix())


def test_all_rows_are_read_again_after_a_number_of_updates(features, models, runner_for, monkeypatch):
    monkeypatch.setattr(moments_increment, "MOST_UPDATES", 1)
    stored = _first(features, models, runner_for)
    for step, reads_all in ((1, False), (2, True), (3, False)):
        moments = plan_moments(features.change(random_rows(4, _WIDTH, step)), stored).run(runner_for)
        assert moments.reads_all == reads_all
        assert moments.new.count == 4
        _assert_same(moments.moments, features.matrix())
        stored = _store(moments, models)


def test_all_rows_are_read_again_when_a_tenth_has_been_taken_away(features, models, runner_for):
    stored = _first(features, models, runner_for)
    moments = plan_moments(features.change(removed=range(5)), stored).run(runner_for)
    assert (moments.reads_all, moments.subtracted) == (False, 5)
    moments = plan_moments(features.change(removed=[5]), _store(moments, models)).run(runner_for)
    assert (moments.reads_all, moments.removed, moments.subtracted) == (True, 1, 0)
    _assert_same(moments.moments, features.matrix())


def test_a_removal_that_leaves_hardly_any_variance_is_computed_from_all_rows(features, models, runner_for):
    rows = random_rows(60, _WIDTH)
    rows[7, 4] += 1e6
    stored = _store(plan_moments(features.change(rows), None).run(runner_for), models)
    moments = plan_moments(features.change(removed=[7]), stored).run(runner_for)
    assert moments.reads_all
    _assert_agrees_with_scikit_learn(moments.moments, features.matrix())


def test_all_rows_are_read_when_removed_files_were_deleted_or_the_table_was_made_again(
    features, models, runner_for, tmp_path
):
    stored = _first(features, models, runner_for)
    (old,) = features.table.current().files
    version = features.change(random_rows(3, _WIDTH, 1), removed=[0])
    Path(features.table.store.uri_of(old.path)).unlink()
    moments = plan_moments(version, stored).run(runner_for)
    assert moments.reads_all
    _assert_same(moments.moments, features.matrix())
    another = FeatureTable(tmp_path / "another")
    assert plan_moments(another.change(random_rows(9, _WIDTH)), stored).run(runner_for).moments.count == 9


def test_all_rows_are_read_when_the_log_no_longer_holds_the_version_before(features, models, runner_for):
    stored = _first(features, models, runner_for)
    features.change(random_rows(3, _WIDTH, 1))
    features.table.open().delta.create_checkpoint()
    Path(features.table.store.uri_of("_delta_log/00000000000000000000.json")).unlink()
    moments = plan_moments(features.table.current(), stored).run(runner_for)
    assert moments.reads_all
    _assert_same(moments.moments, features.matrix())


def test_features_that_were_all_removed_are_refused(features, models, runner_for):
    stored = _first(features, models, runner_for)
    with pytest.raises(InputError, match="every sampled image was rejected"):
        plan_moments(features.change(removed=list(features.rows)), stored).run(runner_for)


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 40), st.integers(1, 20), st.integers(0, 1000), st.floats(-1e4, 1e4))
def test_moments_without_some_rows_are_those_of_the_others(kept, taken, seed, offset):
    rows = np.random.default_rng(seed).normal(loc=offset, size=(kept + taken, 5))
    rest = Moments.of(rows).without(Moments.of(rows[kept:]))
    if rest is not None:
        assert rest.count == kept
        assert np.allclose(rest.mean, rows[:kept].mean(axis=0), rtol=1e-10, atol=1e-9)
        assert np.allclose(rest.scatter, Moments.of(rows[:kept]).scatter, rtol=1e-5, atol=1e-5)
    else:
        spread = Moments.of(rows[:kept]).scatter.diagonal() / Moments.of(rows).scatter.diagonal()
        assert spread.min() < 0.011


def test_a_constant_feature_does_not_keep_rows_from_being_taken_away():
    rows = random_rows(50, _WIDTH)
    rows[:, 2], rows[:, 5] = 0.1, 0.0
    rest = Moments.of(rows).without(Moments.of(rows[40:]))
    assert rest is not None
    assert fit(rest, 3, None, standardize=True).scale[[2, 5]].tolist() == [1.0, 1.0]
