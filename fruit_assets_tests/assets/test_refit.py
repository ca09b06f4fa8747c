"""Tests of `refit`: what becomes of the basis and the components as images come and go."""

import shutil

import numpy as np
import pytest

from fruit_assets.analysis import drift as drift_module
from fruit_assets.analysis.moments import Moments, feature_matrix
from fruit_assets.analysis.pca import PcaModel, fit
from fruit_assets.analysis.refit import Refit, basis_to_keep
from fruit_assets.analysis.similarity import SimilarImages
from fruit_assets.assets.config_inheritance import INHERIT_CONFIG_TAG
from fruit_assets.errors import InputError
from fruit_assets.object_store.stores import open_store
from fruit_assets.resources import resources_for
from fruit_assets.spark.resource import LocalSpark
from fruit_assets.storage.delta.table import Table
from fruit_assets.storage.staging import restore
from fruit_assets_tests.assets.conftest import Graph, NoSpark, Run, copy_some
from fruit_assets_tests.conftest import materialised_metadata
from fruit_assets_tests.storage.tables import read_all

_KEPT = {"pca_model": {"n_components": 3, "refit": "when_needed"}}


@pytest.fixture
def graph(make_graph, collection) -> Graph:
    """Twenty images of four classes."""
    made = make_graph()
    copy_some(collection, made.images, classes=4, per_class=5)
    return made


def _add(graph: Graph, collection, count: int, label: str = "new") -> None:
    """Copy some of the last images of the collection, which the graph does not have yet."""
    taken = sum(1 for _ in graph.images.glob("new*/*"))
    images = sorted(collection.images.glob("Training/*/*.jpg"), reverse=True)[taken : taken + count]
    (graph.images / label).mkdir()
    for path in images:
        shutil.copy(path, graph.images / label / f"{path.parent.name}-{path.name}")


def _checks(result: Run) -> dict[str, bool]:
    of_model = (check for check in result.get_asset_check_evaluations() if check.asset_key.path == ["pca_model"])
    return {check.check_name: check.passed for check in of_model}


def _basis(graph: Graph) -> dict[str, bytes]:
    files = read_all(graph.current("pca_model"))
    return {name: content for name, content in files.items() if name != "moments.npy"}


def test_with_refit_when_needed_two_new_images_leave_the_basis_and_the_components_of_the_others(
    graph, collection, monkeypatch
):
    graph.run(config=_KEPT)
    basis, before = _basis(graph), graph.current("pca_components")
    _add(graph, collection, 2)
    asked, original = [], LocalSpark.runner_for
    monkeypatch.setattr(LocalSpark, "runner_for", lambda *size: asked.append(size[1]) or original(*size))
    result = graph.run(config=_KEPT)
    # By sampled_images, pca_model and pca_components: all of them look at the new images alone.
    assert asked == [2, 2, 2]
    assert _basis(graph) == basis
    after = graph.current("pca_components")
    assert set(before.files) < set(after.files)
    assert after.row_count == 22
    metadata = materialised_metadata(result, "pca_components")
    assert (metadata["rows_projected"], metadata["rows_kept"]) == (2, 20)
    metadata = materialised_metadata(result, "pca_model")
    assert (metadata["basis"], metadata["rows_added"], metadata["rows_read"]) == ("kept", 2, "new and removed")
    assert _checks(result)["basis_unchanged"]
    assert _checks(result)["drift"]
    model = PcaModel.of(graph.current("pca_model"))
    rows, features = graph.table("pca_components"), graph.table("image_features").sort_by("path")
    expected = model.project(feature_matrix(features["features"]))
    assert np.allclose(feature_matrix(rows.sort_by("path")["pca_features"]), expected, rtol=1e-5, atol=1e-5)
    # And once more, with nothing new: no commit, and no Spark.
    numbers = {name: graph.current(name).number for name in ("pca_model", "pca_components", "fruit_recognition")}
    graph.replaced["spark"] = NoSpark()
    graph.run("pca_model", "pca_components", "fruit_recognition", config=_KEPT)
    assert {name: graph.current(name).number for name in numbers} == numbers


def test_images_that_go_leave_the_components_without_starting_spark(graph, collection):
    graph.run(config=_KEPT)
    for label in ("new", "newer"):
        _add(graph, collection, 2, label)
        graph.run(config=_KEPT)
    shutil.rmtree(graph.images / "new")
    graph.run("sampled_images", "feature_extractor", "image_features", "rejected_images", "pca_model", config=_KEPT)
    graph.replaced["spark"] = NoSpark()
    result = graph.run("pca_components", config={})
    metadata = materialised_metadata(result, "pca_components")
    assert (metadata["rows_projected"], metadata["rows_kept"]) == (0, 22)
    assert metadata["committed_by_this_run"]
    assert graph.table("pca_components")["path"].to_pylist() == graph.table("image_features")["path"].to_pylist()


def test_by_default_the_basis_is_fitted_from_all_moments_and_a_check_warns_that_it_differs(graph, collection):
    assert _checks(graph.run())["basis_unchanged"]
    _add(graph, collection, 2)
    result = graph.run()
    checks = {check.check_name: check for check in result.get_asset_check_evaluations()}
    assert not checks["basis_unchanged"].passed
    assert 0 < checks["basis_unchanged"].metadata["largest_angle_degrees"].value <= 90
    metadata = materialised_metadata(result, "pca_model")
    assert (metadata["basis"], metadata["rows_added"], metadata["rows_read"]) == ("fitted", 2, "new and removed")
    features = feature_matrix(graph.table("image_features")["features"])
    expected = fit(Moments.of(features), 3, None, standardize=True)
    model = PcaModel.of(graph.current("pca_model"))
    assert np.allclose(model.components, expected.components, atol=1e-6)
    assert materialised_metadata(result, "pca_components")["rows_projected"] == 22
    # Another number of components needs no pass over the rows.
    result = graph.run("pca_model", config={"pca_model": {"n_components": 5}})
    assert "seconds/moments" not in materialised_metadata(result, "pca_model")
    assert PcaModel.of(graph.current("pca_model")).n_components == 5


def test_an_earlier_basis_that_is_restored_serves_again(graph, collection):
    graph.run()
    basis, first = _basis(graph), graph.current("pca_components")
    _add(graph, collection, 2)
    graph.run()
    assert _basis(graph) != basis
    restore(resources_for(graph.settings)["storage"].table("pca_model"), 0)
    result = graph.run("pca_model", "pca_components", config=_KEPT)
    assert _basis(graph) == basis
    assert materialised_metadata(result, "pca_components")["rows_projected"] == 2
    assert set(first.files) < set(graph.current("pca_components").files)


def test_features_that_have_drifted_give_a_new_basis_unless_refit_is_never(graph, collection, monkeypatch):
    monkeypatch.setattr(drift_module, "ENOUGH_NEW_ROWS", 2)
    graph.run(config=_KEPT)
    basis = _basis(graph)
    _add(graph, collection, 3)
    never = {"pca_model": {**_KEPT["pca_model"], "refit": "never", "max_drift": 0.0}}
    result = graph.run(config=never)
    checks = {check.check_name: check for check in result.get_asset_check_evaluations()}
    assert _basis(graph) == basis
    assert not checks["drift"].passed
    assert "run once with refit: always" in (checks["drift"].description or "")
    assert checks["drift"].metadata["drift"].value > 0
    assert checks["drift"].metadata["new_images"].value == 3
    # With nothing new, and from the moments that are stored.
    result = graph.run("pca_model", config={"pca_model": {**_KEPT["pca_model"], "max_drift": 0.0}})
    assert _basis(graph) != basis
    assert not _checks(result)["basis_unchanged"]
    assert _checks(result)["drift"]
    assert materialised_metadata(result, "pca_model")["samples"] == 23
    assert graph.current("pca_model").facts["since_fit"]["rows"] == 0


def test_refit_never_refuses_where_no_basis_fits(graph):
    result = graph.run(config={"pca_model": {"n_components": 3, "refit": "never"}}, success=False)
    assert "refit is never, but pca_model has not been fitted yet. Materialise pca_model once" in graph.failure(result)
    graph.run(config={"pca_model": {"n_components": 3}})
    result = graph.run("pca_model", config={"pca_model": {"n_components": 4, "refit": "never"}}, success=False)
    assert "the basis was fitted with n_components: 3, not 4" in graph.failure(result)
    model, features = graph.current("pca_model"), graph.current("image_features")
    other = type(features)(**{**vars(features), "facts": {**features.facts, "features_fingerprint": "other-f32"}})
    with pytest.raises(InputError, match="another extractor or precision \\(other-f32\\)"):
        basis_to_keep(Refit.never, model, other, model.facts["fitted_by"])


def test_a_kept_basis_serves_similar_images_and_runs_that_inherit_their_config(graph, collection):
    graph.run(config=_KEPT)
    _add(graph, collection, 2)
    result = graph.run(config={"pca_model": {}}, tags={INHERIT_CONFIG_TAG: "true"})
    assert _checks(result)["basis_unchanged"]
    assert graph.current("pca_model").facts["run_config"]["refit"] == "when_needed"
    store = open_store(graph.settings.storage)
    folders = (Table(store.below(name)) for name in ("pca_components", "pca_model", "feature_extractor"))
    published = SimilarImages.of(*folders)
    assert published.components.row_count == 22
    assert published.model.n_components == 3
