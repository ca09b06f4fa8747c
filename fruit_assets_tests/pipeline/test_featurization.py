"""Tests of the features: those of the Keras model, whatever batch, partitions, engine or precision."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fruit_assets.deployments import resources_for
from fruit_assets.pipeline.engines import load_engine
from fruit_assets.pipeline.extractor import ExtractorFiles
from fruit_assets.pipeline.featurization import FeaturizationOptions, featurize
from fruit_assets.pipeline.moments import feature_matrix
from fruit_assets.pipeline.reuse import plan_reuse
from fruit_assets.storage.versions import Version

pytestmark = pytest.mark.long


def _version(published, asset: str) -> Version:
    return resources_for(published.settings)["storage"].folder(asset).current()


@pytest.fixture(scope="module")
def extractor(published) -> ExtractorFiles:
    return ExtractorFiles.of(_version(published, "feature_extractor"))


@pytest.fixture(scope="module")
def features(published) -> dict[str, np.ndarray]:
    table = _version(published, "image_features").read_table()
    return dict(zip(table["path"].to_pylist(), feature_matrix(table["features"]), strict=True))


@pytest.fixture(scope="module")
def sample(published) -> dict[str, bytes]:
    table = _version(published, "sampled_images").read_table()
    return dict(zip(table["path"].to_pylist(), table["content"].to_pylist(), strict=True))


@pytest.fixture(scope="module")
def reference(collection, extractor):
    """The network as anyone would build it with Keras, with the same weights."""
    import keras

    network = keras.applications.MobileNetV2(weights=None, include_top=False, pooling="avg", input_shape=(224, 224, 3))
    if collection.real:
        network.load_weights(collection.weights)
    else:
        exported = keras.saving.load_model(Path(extractor.uri) / "extractor.keras", compile=False)
        [inner] = [layer for layer in exported.layers if layer.weights]
        network.set_weights(inner.get_weights())
    return network


def _pixels(root: Path, paths: list[str]) -> np.ndarray:
    images = [Image.open(root / path).convert("RGB").resize((224, 224), Image.Resampling.BICUBIC) for path in paths]
    return np.stack([np.asarray(image) for image in images])


def _nearest_neighbour_accuracy(rows: np.ndarray, labels: list[str]) -> float:
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    similarity = unit @ unit.T
    np.fill_diagonal(similarity, -np.inf)
    names = np.array(labels)
    return float((names[similarity.argmax(axis=1)] == names).mean())


def test_features_of_every_image_are_those_of_the_keras_model(collection, features, reference):
    import keras

    paths = sorted(features)
    assert len(paths) == collection.image_count
    for start in range(0, len(paths), 197):
        chunk = paths[start : start + 197]
        prepared = keras.applications.mobilenet_v2.preprocess_input(
            _pixels(collection.images, chunk).astype(np.float32)
        )
        expected = reference.predict(prepared, batch_size=32, verbose=0)
        assert expected.shape == (len(chunk), 1280)
        assert np.abs(np.stack([features[path] for path in chunk]) - expected).max() < 1e-3


def _planned(spark, published, extractor, tmp_path, *, tasks: int, **options):
    """A lazy frame of the features of the whole sample, and its number of partitions."""
    version = _version(published, "sampled_images")
    size = sum(file.bytes for file in version.manifest.files)
    facts = {**version.manifest.facts, "row_group_bytes": max(1, size // tasks)}
    version = Version(version.store, replace(version.manifest, facts=facts))
    chosen = {"batch_size": 4, "engine": "openvino", "precision": "f32", "cache": tmp_path, **options}
    work = featurize(spark, version, plan_reuse(version, None, None), extractor, FeaturizationOptions(**chosen))
    return work.features, work.features.rdd.getNumPartitions()


def _collected(frame) -> dict[str, np.ndarray]:
    table = frame.select("path", "features").toArrow()
    return dict(zip(table["path"].to_pylist(), feature_matrix(table["features"]), strict=True))


def test_batch_size_and_number_of_tasks_do_not_change_the_features(spark, published, extractor, features, tmp_path):
    _, few = _planned(spark, published, extractor, tmp_path, tasks=1)
    work, many = _planned(spark, published, extractor, tmp_path, tasks=9, batch_size=7)
    assert few < many
    again = _collected(work)
    assert again.keys() == features.keys()
    assert max(np.abs(again[path] - expected).max() for path, expected in features.items()) < 1e-4


def test_what_an_inference_is_filled_up_with_does_not_show(collection, extractor, features):
    paths = sorted(features)[:11]
    expected = np.stack([features[path] for path in paths])
    pixels = _pixels(collection.images, paths)
    for engine, batch_size in (("openvino", 1), ("openvino", 3), ("openvino", 64)):
        infer = load_engine(Path(extractor.uri), 224, engine, "f32", batch_size)
        assert np.abs(infer(pixels) - expected).max() < 1e-3, (engine, batch_size)
        assert infer(pixels[:0]).shape == (0, 1280)
        # What a request before it held must not show.
        assert np.abs(infer(pixels[5:6]) - expected[5:6]).max() < 1e-3


def test_the_tensorflow_engine_runs_in_spark_too(spark, published, extractor, features, tmp_path):
    version = _version(published, "sampled_images")
    paths = sorted(features)[:3]
    plan = plan_reuse(version, None, None)
    plan = replace(plan, computed_paths={n: path for n, path in plan.computed_paths.items() if path in paths})
    work = featurize(spark, version, plan, extractor, FeaturizationOptions(2, "tensorflow", "f32", tmp_path))
    rows = {row["path"]: np.array(row["features"]) for row in work.features.collect()}
    assert sorted(rows) == paths
    assert all(np.abs(rows[path] - features[path]).max() < 1e-3 for path in paths)


def test_bf16_points_the_same_way_and_recognises_as_well(spark, published, collection, extractor, features, tmp_path):
    frame, _ = _planned(spark, published, extractor, tmp_path, tasks=2, precision="bf16")
    half = _collected(frame)
    paths = sorted(features)
    exact, rough = (np.stack([rows[path] for path in paths]) for rows in (features, half))
    norms = np.linalg.norm(exact, axis=1) * np.linalg.norm(rough, axis=1)
    assert ((exact * rough).sum(axis=1) / norms).min() >= 0.97
    labels = [path.split("/")[-2] for path in paths]
    difference = _nearest_neighbour_accuracy(exact, labels) - _nearest_neighbour_accuracy(rough, labels)
    # One point; of the 120 demo images, under random weights, two may change sides.
    assert abs(difference) <= (0.01 if collection.real else 0.02)


def test_the_photographs_are_recognised_by_their_nearest_neighbours(collection, features):
    paths = sorted(features)
    accuracy = _nearest_neighbour_accuracy(
        np.stack([features[path] for path in paths]), [p.split("/")[-2] for p in paths]
    )
    # 0.877 on the photographs; rendered fruit of random weights is easier than chance, no more is known.
    assert accuracy == pytest.approx(0.877, abs=0.002) if collection.real else accuracy > 2 / collection.label_count


def test_the_sample_holds_the_bytes_of_the_files(collection, sample):
    assert len(sample) == collection.image_count
    for path in sorted(sample)[::37]:
        assert sample[path] == (collection.images / path).read_bytes()
        assert Image.open(io.BytesIO(sample[path])).size == (100, 100)
