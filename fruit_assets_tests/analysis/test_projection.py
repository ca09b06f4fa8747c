"""Tests of the projection: files of components stay as long as all their rows are wanted."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fruit_assets.analysis.drift import Spread
from fruit_assets.analysis.moments import Moments, feature_matrix
from fruit_assets.analysis.pca import PcaModel, fit
from fruit_assets.analysis.projection import ProjectionPlan, plan_projection, project, stage
from fruit_assets.analysis.refit import Basis
from fruit_assets.object_store.stores import LocalStore
from fruit_assets.storage import upkeep
from fruit_assets.storage.delta.table import Table
from fruit_assets.storage.delta.version import Version
from fruit_assets.storage.staging import VersionWriter
from fruit_assets_tests.analysis.conftest import FeatureTable, random_rows

_WIDTH = 16


@pytest.fixture(scope="module")
def model() -> PcaModel:
    return fit(Moments.of(random_rows(300, _WIDTH)), 4, None, standardize=True)


@pytest.fixture
def components(tmp_path: Path) -> Table:
    return Table(LocalStore(tmp_path / "pca_components"))


@pytest.fixture
def publish(spark, components, model) -> Callable[[ProjectionPlan], Version]:
    """Project what a plan lacks, and commit."""

    def publish(plan: ProjectionPlan) -> Version:
        writing = VersionWriter(components, "run")
        reported = (
            project(plan, spark.sparkContext, Basis(model, "basis", Spread()), writing)
            if plan.missing.row_count
            else None
        )
        return components.commit(stage(plan, reported, writing))

    return publish


def _assert_complete(components: Version, features: FeatureTable, model: PcaModel) -> None:
    rows = components.read_table().sort_by("path")
    assert rows["path"].to_pylist() == [f"a/{name:05}.jpg" for name in features.rows]
    scores = feature_matrix(rows["pca_features"])
    assert np.allclose(scores, model.project(features.matrix()), rtol=1e-5, atol=1e-5)
    assert components.facts["measures"] == {"shortest": 4, "longest": 4, "broken": 0}


def _paths(components: Version) -> list[str]:
    return sorted(components.read_table(["path"])["path"].to_pylist())


def test_new_features_are_projected_and_every_file_of_components_stays(features, publish, components, model):
    before = publish(plan_projection(features.change(random_rows(20, _WIDTH)), None))
    plan = plan_projection(features.change(random_rows(2, _WIDTH, 1)), before)
    assert (plan.kept_rows, plan.missing.row_count) == (20, 2)
    after = publish(plan)
    assert set(before.files) < set(after.files)
    _assert_complete(after, features, model)


def test_a_file_of_features_that_goes_takes_only_its_components_along(features, publish, model):
    features.change(random_rows(20, _WIDTH))
    before = publish(plan_projection(features.change(random_rows(6, _WIDTH, 1)), None))
    assert len(before.files) == 2
    plan = plan_projection(features.change(removed=range(20, 26)), before)
    assert (plan.kept_rows, plan.missing.row_count) == (20, 0)
    after = publish(plan)
    assert len(after.files) == 1
    _assert_complete(after, features, model)


def test_a_file_of_features_that_is_written_again_is_projected_again(features, publish, model):
    features.change(random_rows(20, _WIDTH))
    before = publish(plan_projection(features.change(random_rows(6, _WIDTH, 1)), None))
    plan = plan_projection(features.change(random_rows(3, _WIDTH, 2), removed=[22]), before)
    assert (plan.kept_rows, plan.missing.row_count) == (20, 8)
    _assert_complete(publish(plan), features, model)


def test_files_that_upkeep_has_merged_stay_while_rows_are_only_added(features, publish, components, model, monkeypatch):
    features.change(random_rows(20, _WIDTH))
    publish(plan_projection(features.change(random_rows(6, _WIDTH, 1)), None))
    monkeypatch.setattr(upkeep, "SMALL_FILES", 2)
    assert upkeep.clean_up(components).compacted == 2
    merged = components.current()
    plan = plan_projection(features.change(random_rows(2, _WIDTH, 2)), merged)
    assert (plan.kept_rows, plan.missing.row_count) == (26, 2)
    after = publish(plan)
    assert _paths(after) == [f"a/{name:05}.jpg" for name in features.rows]
    # Which of the merged rows a removed file had is not known: they are projected again, but for the file added since.
    plan = plan_projection(features.change(removed=[3]), after)
    assert (plan.kept_rows, plan.missing.row_count) == (2, 25)
    assert _paths(publish(plan)) == [f"a/{name:05}.jpg" for name in features.rows]


def test_a_merge_of_small_files_of_features_keeps_the_components(features, publish, model, monkeypatch):
    features.change(random_rows(20, _WIDTH))
    before = publish(plan_projection(features.change(random_rows(6, _WIDTH, 1)), None))
    monkeypatch.setattr(upkeep, "SMALL_FILES", 2)
    assert upkeep.clean_up(features.table).compacted == 2
    features._names_in[features.table.current().files[0].path] = list(features.rows)
    plan = plan_projection(features.change(random_rows(2, _WIDTH, 2)), before)
    assert (plan.kept_rows, plan.missing.row_count) == (26, 2)
    _assert_complete(publish(plan), features, model)


def test_components_that_do_not_add_up_are_projected_again(features, publish, components, model):
    features.change(random_rows(20, _WIDTH))
    before = publish(plan_projection(features.change(random_rows(6, _WIDTH, 1)), None))
    lost = components.stage(before.files[:1], before.columns, "run", before, before.facts).version
    plan = plan_projection(features.change(random_rows(2, _WIDTH, 2)), lost)
    assert (plan.kept_rows, plan.missing.row_count) == (0, 28)


def test_broken_rows_are_counted(features, publish):
    rows = random_rows(20, _WIDTH)
    rows[3, 3] = np.nan
    version = publish(plan_projection(features.change(rows), None))
    assert version.facts["measures"] == {"shortest": 4, "longest": 4, "broken": 1}


def test_one_file_of_components_may_hold_several_files_of_features(features, publish, spark, model, monkeypatch):
    monkeypatch.setattr(type(spark.sparkContext), "defaultParallelism", 1)
    for seed in range(3):
        version = features.change(random_rows(5, _WIDTH, seed))
    before = publish(plan_projection(version, None))
    assert [file.rows for file in before.files] == [15]
    version = features.change(random_rows(4, _WIDTH, 3))
    before = publish(plan_projection(version, before))
    plan = plan_projection(features.change(removed=range(5, 10)), before)
    assert (plan.kept_rows, plan.missing.row_count) == (4, 10)
    _assert_complete(publish(plan), features, model)
