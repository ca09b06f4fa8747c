"""Tests of how steps end: a failed blocking check publishes nothing, a warning stops nothing."""

from dataclasses import replace

import numpy as np
import pytest

from fruit_assets.assets.components import pca_model as pca_module
from fruit_assets.assets.features import image_features as image_features_module
from fruit_assets_tests.assets.conftest import Graph


@pytest.fixture
def before(graph) -> dict[str, int]:
    graph.run()
    return _versions(graph)


def _versions(graph: Graph) -> dict[str, int]:
    names = ("sampled_images", "image_features", "rejected_images", "pca_model", "pca_components", "fruit_recognition")
    return {name: graph.current(name).number for name in names}


def _checks(result, asset: str) -> dict[str, bool]:
    return {
        check.check_name: check.passed
        for check in result.get_asset_check_evaluations()
        if check.asset_key.path == [asset]
    }


def _ran(result) -> set[str]:
    return {event.step_key for event in result.all_events if event.is_step_success}


def test_a_row_that_gets_lost_keeps_features_and_everything_after_them_from_being_published(graph, before, monkeypatch):
    def loses_a_file(*arguments):
        features, figures = whole(*arguments)
        # Of 12 images on two cores, every task has six at most.
        kept = tuple(file for file in features.version.files[1:])
        lost = features.version.row_count - sum(file.rows for file in kept)
        assert lost == 6
        return replace(features, version=replace(features.version, files=kept)), figures

    whole = image_features_module.featurize
    monkeypatch.setattr(image_features_module, "featurize", loses_a_file)
    result = graph.run(config={"image_features": {"reuse": False}}, success=False)
    assert (
        "Not published, the previous version stays. rows_reconcile: 12 rows expected, 6 featurised + 0 rejected"
        in graph.failure(result)
    )
    assert not _checks(result, "image_features")["rows_reconcile"]
    assert not _ran(result) & {"image_features", "pca_model", "pca_components", "fruit_recognition"}
    assert _versions(graph) == before
    assert graph.table("image_features").num_rows == 12


def test_a_model_that_is_not_sound_never_projects_a_row(graph, before, monkeypatch):
    def broken(*arguments, **options):
        model = fit(*arguments, **options)
        return replace(model, components=np.where(model.components > 0, np.nan, model.components))

    fit = pca_module.fit
    monkeypatch.setattr(pca_module, "fit", broken)
    assets = ("pca_model", "pca_components", "fruit_recognition")
    result = graph.run(*assets, config={"pca_model": {"n_components": 2}}, success=False)
    checks = _checks(result, "pca_model")
    assert not checks["orthonormal_components"]
    assert not checks["finite_values"]
    assert _ran(result) == set()
    assert _versions(graph) == before


def test_warnings_are_recorded_and_everything_is_published(graph):
    (graph.images / "broken").mkdir()
    (graph.images / "broken" / "1.jpg").write_bytes(b"")
    result = graph.run(config={"pca_model": {"n_components": 1}})
    failed = {check.check_name for check in result.get_asset_check_evaluations() if not check.passed}
    assert {"class_coverage", "few_rejected"} <= failed
    assert {graph.current(name).run_id for name in _versions(graph)} == {result.run_id}
