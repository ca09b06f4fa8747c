"""Tests of the graph with every network but the default one: chosen by name, and never mixed with another."""

import shutil
from typing import Any

import dagster as dg
import pytest

from fruit_assets.analysis.pca import PcaModel
from fruit_assets.definitions import ASSETS
from fruit_assets.extractor.architectures import ARCHITECTURES, Architecture
from fruit_assets.resources import resources_for
from fruit_assets.storage import read_current
from fruit_assets_tests.conftest import materialised_metadata
from fruit_assets_tests.extractor.calibrated_network import calibrated_network

pytestmark = pytest.mark.long(60)

SIZE = 96
IMAGES = 18


@pytest.fixture(params=ARCHITECTURES[1:], ids=lambda entry: entry.name)
def architecture(request) -> Architecture:
    entry: Architecture = request.param
    return entry


@pytest.fixture
def settings(architecture, collection, make_settings, tmp_path):
    """Eighteen images of three classes, and calibrated weights of the network."""
    folders = sorted({path.parent for path in collection.images.glob("Training/*/*.jpg")})[:3]
    for folder in folders:
        (tmp_path / "images" / folder.name).mkdir(parents=True)
        for path in sorted(folder.iterdir())[: IMAGES // 3]:
            shutil.copy(path, tmp_path / "images" / folder.name)
    calibrated_network(architecture, SIZE).save_weights(tmp_path / "calibrated.weights.h5")
    return make_settings(tmp_path, weights=tmp_path / "calibrated.weights.h5")


def _run(settings, extractor: dict[str, Any], precision: str = "f32", selection=None):
    ops = {
        "sampled_images": {"fraction": 1.0},
        "feature_extractor": {"input_size": SIZE, **extractor},
        "image_features": {"precision": precision},
        "pca_model": {"n_components": 3},
    }
    chosen = {name: {"config": config} for name, config in ops.items() if not selection or name in selection}
    return dg.materialize(ASSETS, resources=resources_for(settings), run_config={"ops": chosen}, selection=selection)


UP_TO_FEATURES = ["sampled_images", "feature_extractor", "image_features", "rejected_images"]


def test_the_whole_graph_runs_with_a_network_and_mixes_it_with_no_other(
    architecture, settings, make_settings, tmp_path
):
    result = _run(settings, {"model": architecture.name})
    extractor = materialised_metadata(result, "feature_extractor")
    assert (extractor["architecture"], extractor["features"]) == (architecture.name, architecture.features)
    assert all(item.passed for item in result.get_asset_check_evaluations() if item.severity.value == "ERROR")
    rows = read_current(f"{settings.storage}/image_features")["features"].to_pylist()
    assert {len(row) for row in rows} == {architecture.features}
    model = PcaModel.of(resources_for(settings)["storage"].table("pca_model").current())
    assert model.components.shape == (3, architecture.features)

    other = _run(make_settings(tmp_path, weights="random"), {}, selection=UP_TO_FEATURES)
    features = materialised_metadata(other, "image_features")
    assert (features["computed"], features["reused"]) == (IMAGES, 0)
    again = _run(settings, {"model": architecture.name}, selection=UP_TO_FEATURES)
    features = materialised_metadata(again, "image_features")
    assert (features["computed"], features["reused"]) == (0, IMAGES)

    chosen = {"model": architecture.name, "calibration_images": settings.images}
    rounded = _run(settings, chosen, "int8", selection=UP_TO_FEATURES)
    features = materialised_metadata(rounded, "image_features")
    assert (features["computed"], features["precision"], features["guard/images"]) == (IMAGES, "int8", IMAGES)
    assert features["arithmetic"].startswith("int8 by ")
