"""Tests of what people get wrong: a clear error, and the version published before stays readable."""

import io
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fruit_assets.analysis.pca import PcaModel
from fruit_assets.assets.config_inheritance import INHERIT_CONFIG_TAG
from fruit_assets.spark.resource import LocalSpark
from fruit_assets_tests.assets.conftest import Graph, copy_some, make_graph
from fruit_assets_tests.conftest import materialised_metadata

pytestmark = pytest.mark.long(40)

__all__ = ["make_graph"]

_TABLES = ("sampled_images", "image_features", "rejected_images", "pca_components")
_EVERYTHING = ("feature_extractor", *_TABLES, "pca_model", "fruit_recognition")


@pytest.fixture
def graph(make_graph, published, collection) -> Graph:
    """A storage that holds what the shared run published, and new images: four of each of three classes."""
    graph: Graph = make_graph()
    shutil.copytree(published.storage, graph.settings.storage, dirs_exist_ok=True)
    copy_some(collection, graph.images, classes=3, per_class=4)
    return graph


def _pointers(graph: Graph, *assets: str) -> dict[str, int]:
    return {asset: graph.current(asset).number for asset in assets}


def _assert_readable(graph: Graph) -> None:
    for asset in _TABLES:
        assert graph.table(asset).num_rows == graph.current(asset).row_count
    assert PcaModel.of(graph.current("pca_model")).components.shape[1] == 1280


def _assert_refused(graph: Graph, message: str, *, kept: tuple[str, ...] = _EVERYTHING, config=None) -> None:
    before = _pointers(graph, *kept)
    result = graph.run(config=config, success=False)
    assert message in graph.failure(result)
    assert _pointers(graph, *kept) == before
    _assert_readable(graph)


_SAMPLE_ON = tuple(asset for asset in _EVERYTHING if asset != "feature_extractor")
# A few images are fetched without Spark.
_FEATURES_ON = tuple(asset for asset in _SAMPLE_ON if asset != "sampled_images")


def _empty(images: Path) -> None:
    shutil.rmtree(images)
    images.mkdir()


def _file(images: Path) -> None:
    shutil.rmtree(images)
    images.write_text("not a folder")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_empty, "No images in"),
        (shutil.rmtree, "does not exist. Set FRUIT_ASSETS_IMAGES to a collection"),
        (_file, "which is a file. Name the folder that holds the class folders"),
    ],
)
def test_a_collection_that_is_empty_missing_or_a_file_is_refused(graph, spoil, message):
    spoil(graph.images)
    _assert_refused(graph, message, kept=_SAMPLE_ON)


def test_more_components_than_images_are_refused_after_the_features_were_published(graph):
    kept = ("pca_model", "pca_components", "fruit_recognition")
    message = "n_components is 80, but 12 images of 1280 features allow at most 12"
    _assert_refused(graph, message, kept=kept, config={"pca_model": {"n_components": 80}})
    assert graph.table("image_features").num_rows == 12


def test_a_sample_of_one_image_is_refused(graph, collection):
    shutil.rmtree(graph.images)
    copy_some(collection, graph.images, classes=1, per_class=1)
    _assert_refused(graph, "The sample holds 1 image(s); components need at least 2", kept=_SAMPLE_ON)


def test_a_label_with_one_image_takes_part_and_is_warned_about(graph):
    for path in sorted(graph.images.rglob("*.jpg"))[1:4]:
        path.unlink()
    result = graph.run()
    assert graph.table("pca_components").num_rows == 9
    coverage = next(check for check in result.get_asset_check_evaluations() if check.check_name == "class_coverage")
    assert not coverage.passed
    assert "1 with a single image" in coverage.description
    assert materialised_metadata(result, "fruit_recognition")["test_images"] == 4


def test_images_that_are_all_the_same_give_sound_components_and_warnings(graph):
    buffer = io.BytesIO()
    Image.fromarray(np.full((100, 100, 3), 90, np.uint8)).save(buffer, "PNG")
    for path in graph.images.rglob("*.jpg"):
        path.write_bytes(buffer.getvalue())
    result = graph.run()
    assert materialised_metadata(result, "image_features")["computed"] == 1
    scores = np.array(graph.table("pca_components")["pca_features"].to_pylist())
    assert scores.shape == (12, 3)
    assert np.abs(scores).max() < 1e-3
    failed = {check.check_name for check in result.get_asset_check_evaluations() if not check.passed}
    expected = {"variance_explained", "better_than_chance", "few_featureless", "basis_unchanged"}
    assert failed - {"weights_are_pretrained"} == expected


def test_a_share_of_variance_chooses_the_number_of_components(graph):
    result = graph.run(config={"pca_model": {"variance": 0.9}})
    metadata = materialised_metadata(result, "pca_model")
    assert metadata["variance_explained"] >= 0.9
    assert 1 < metadata["n_components"] < 12
    assert {len(row) for row in graph.table("pca_components")["pca_features"].to_pylist()} == {metadata["n_components"]}
    # And a run that starts by itself repeats that choice.
    repeated = graph.run("pca_model", tags={INHERIT_CONFIG_TAG: "true"})
    assert materialised_metadata(repeated, "pca_model")["n_components"] == metadata["n_components"]


def test_a_weights_file_that_is_none_is_refused(graph, make_graph, tmp_path):
    (tmp_path / "weights.h5").write_bytes(b"no weights")
    wrong = make_graph(weights=tmp_path / "weights.h5")
    _assert_refused(
        wrong, "is not a Keras weights file (HDF5)", kept=("feature_extractor", "image_features", "pca_model")
    )


def test_storage_that_cannot_be_written_is_named(graph, make_settings, tmp_path):
    (tmp_path / "in the way").write_text("a file")
    refused = Graph(
        make_settings(tmp_path, weights="random", storage=tmp_path / "in the way" / "assets"), graph.instance
    )
    result = refused.run("sampled_images", success=False)
    assert f"Cannot write {tmp_path / 'in the way' / 'assets'}" in refused.failure(result)
    assert "FRUIT_ASSETS_STORAGE" in refused.failure(result)
    _assert_readable(graph)


def test_a_java_that_is_not_there_is_named_with_the_fix(graph, tmp_path):
    graph.replaced = {"spark": LocalSpark(cache=str(tmp_path), java_home=str(tmp_path / "jdk"))}
    _assert_refused(graph, f"JAVA_HOME is {tmp_path / 'jdk'}, but there is no", kept=_FEATURES_ON)


def test_all_wrong_values_of_the_run_config_are_reported_at_once(graph):
    config = {
        "sampled_images": {"fraction": 0.0, "min_per_class": 0},
        "feature_extractor": {"input_size": 100},
        "image_features": {"batch_size": 1000, "engine": "tensorflow", "precision": "bf16"},
        "pca_model": {"n_components": 5, "variance": 0.9},
    }
    before = _pointers(graph, *_EVERYTHING)
    failure = graph.failure(graph.run(config=config, success=False))
    for problem in (
        "ops.sampled_images.config.fraction: Input should be greater than 0 (it is 0.0)",
        "ops.sampled_images.config.min_per_class: Input should be greater than or equal to 1 (it is 0)",
        "ops.feature_extractor.config: input_size is 100: choose one of 96, 128, 160, 192, 224 for MobileNetV2",
        "ops.image_features.config.batch_size: Input should be less than or equal to 256 (it is 1000)",
        "ops.pca_model.config: give n_components or variance, not both",
    ):
        assert problem in failure
    assert _pointers(graph, *_EVERYTHING) == before


def test_a_storage_of_the_layout_before_delta_tables_is_named_with_the_way_out(graph):
    folder = Path(graph.settings.storage) / "image_features"
    shutil.rmtree(folder)
    folder.mkdir()
    (folder / "CURRENT").write_bytes(b"{}")
    result = graph.run("pca_model", success=False)
    assert "image_features was published by a release before Delta tables" in graph.failure(result)
    assert "materialise image_features again" in graph.failure(result)


def test_a_damaged_log_is_named(graph):
    (Path(graph.settings.storage) / "image_features" / "_delta_log" / f"{0:020}.json").write_bytes(b'{"version": ')
    result = graph.run("pca_model", success=False)
    assert f"Cannot open the table {graph.settings.storage}/image_features" in graph.failure(result)
