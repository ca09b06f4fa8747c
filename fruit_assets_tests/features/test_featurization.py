"""Tests of the features: those of the Keras model, whatever batch, partitions, engine or precision."""

import io
import uuid
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from PIL import Image

from fruit_assets.analysis.moments import feature_matrix
from fruit_assets.extractor.engines import load_engine
from fruit_assets.extractor.specification import ExtractorFiles
from fruit_assets.features import featurization
from fruit_assets.features.featurization import FeaturizationOptions, featurize
from fruit_assets.features.known_features import Increment, KnownFeatures, plan_of
from fruit_assets.images.fetching import SAMPLE_SCHEMA
from fruit_assets.object_store.stores import LocalStore
from fruit_assets.resources import resources_for
from fruit_assets.spark.writing import RowWriter, WriteTarget, data_files_from, stage_written
from fruit_assets.storage.delta.staged_commit import StagedCommit
from fruit_assets.storage.delta.table import Table
from fruit_assets.storage.delta.version import Version
from fruit_assets.storage.parquet_files import ROW_GROUP_ROWS
from fruit_assets.storage.staging import VersionWriter

pytestmark = pytest.mark.long(60)


def _version(published, asset: str) -> Version:
    return resources_for(published.settings)["storage"].table(asset).current()


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
def extractor_folder(extractor, tmp_path_factory):
    return extractor.local_folder(tmp_path_factory.mktemp("extractor"))


@pytest.fixture(scope="module")
def reference(collection, extractor, extractor_folder):
    """The network as anyone would build it with Keras, with the same weights."""
    import keras

    network = keras.applications.MobileNetV2(weights=None, include_top=False, pooling="avg", input_shape=(224, 224, 3))
    if collection.real:
        network.load_weights(collection.weights)
    else:
        exported = keras.saving.load_model(extractor_folder / "extractor.keras", compile=False)
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


def _from_nothing(sample: Version) -> Increment:
    return plan_of(sample, KnownFeatures(sample.store))


def _featurized(spark, version: Version, extractor, tmp_path, increment=None, **options) -> StagedCommit:
    """The features of a sample, staged."""
    chosen = {"batch_size": 4, "engine": "openvino", "precision": "f32", "cache": tmp_path, **options}
    writing = VersionWriter(Table(LocalStore(tmp_path / "features")), uuid.uuid4().hex)
    increment = increment or _from_nothing(version)
    staged, _ = featurize(spark.sparkContext, increment, extractor, FeaturizationOptions(**chosen), writing)
    return staged


def _in_row_groups(version: Version, rows: int, folder: Path) -> Version:
    """The same sample, written in other portions."""
    writing = VersionWriter(Table(LocalStore(folder / f"sample-{rows}")), "one")
    writer = RowWriter(WriteTarget.of(writing, rows))
    for batch in version.read_table().to_batches():
        writer.write(batch)
    files = data_files_from(pa.table({"files": [writer.close()]}))
    return stage_written(writing, files, SAMPLE_SCHEMA, {ROW_GROUP_ROWS: rows}).version


def _collected(staged: StagedCommit) -> dict[str, np.ndarray]:
    table = staged.version.read_table(["path", "features"])
    return dict(zip(table["path"].to_pylist(), feature_matrix(table["features"]), strict=True))


def test_batch_size_and_number_of_tasks_do_not_change_the_features(spark, published, extractor, features, tmp_path):
    sample = _in_row_groups(_version(published, "sampled_images"), 13, tmp_path)
    staged = _featurized(spark, sample, extractor, tmp_path, batch_size=7)
    published_files = _version(published, "image_features").files
    assert len(staged.version.files) > len(published_files) or len(features) < 300
    again = _collected(staged)
    assert again.keys() == features.keys()
    assert max(np.abs(again[path] - expected).max() for path, expected in features.items()) < 1e-4


def test_identical_files_are_inferred_once_and_every_path_has_its_row(
    spark, published, extractor, features, tmp_path, monkeypatch
):
    monkeypatch.setattr(featurization, "_COPIED_ROWS", 3)
    few = _version(published, "sampled_images").read_table().slice(0, 20)
    again = [
        few.set_column(0, "path", pc.binary_join_element_wise(folder, few["path"], "/")) for folder in ("again", "more")
    ]
    twice = pa.concat_tables([few, *again])
    broken = [
        {"path": path, "label": "z", "sha256": "0", "size": 0, "stamp": "", "content": b""}
        for path in ("z/1.jpg", "z/2.jpg")
    ]
    table = pa.concat_tables([twice, pa.Table.from_pylist(broken, twice.schema)])
    writing = VersionWriter(Table(LocalStore(tmp_path / "doubled")), "one")
    writer = RowWriter(WriteTarget.of(writing, 9))
    for batch in table.to_batches():
        writer.write(batch)
    files = data_files_from(pa.table({"files": [writer.close()]}))
    sample = stage_written(writing, files, SAMPLE_SCHEMA, {ROW_GROUP_ROWS: 9}).version
    target = VersionWriter(Table(LocalStore(tmp_path / "features")), "one")
    options = FeaturizationOptions(None, "openvino", "f32", tmp_path)
    staged, figures = featurize(spark.sparkContext, _from_nothing(sample), extractor, options, target)
    rows = _collected(staged)
    assert figures.computed == 20
    assert figures.rejected.rows("select path from {table}") == [("z/1.jpg",), ("z/2.jpg",)]
    assert sorted(rows) == sorted(twice["path"].to_pylist())
    for path in few["path"].to_pylist():
        assert np.array_equal(rows[path], rows[f"again/{path}"])
        assert np.array_equal(rows[path], rows[f"more/{path}"])
        assert np.abs(rows[path] - features[path]).max() < 1e-4
    assert staged.version.facts["measures"] == {"shortest": 1280, "longest": 1280}


def test_what_an_inference_is_filled_up_with_does_not_show(collection, extractor_folder, features):
    paths = sorted(features)[:11]
    expected = np.stack([features[path] for path in paths])
    pixels = _pixels(collection.images, paths)
    for engine, batch_size in (("openvino", None), ("openvino", 1), ("openvino", 3), ("openvino", 64)):
        infer = load_engine(extractor_folder, 224, engine, "f32", batch_size)
        assert np.abs(infer(pixels) - expected).max() < 1e-3, (engine, batch_size)
        assert infer(pixels[:0]).shape == (0, 1280)
        # What a request before it held must not show.
        assert np.abs(infer(pixels[5:6]) - expected[5:6]).max() < 1e-3


def test_the_tensorflow_engine_runs_in_spark_too(spark, published, extractor, features, tmp_path):
    version = _version(published, "sampled_images")
    paths = sorted(features)[:3]
    all_of_it = _from_nothing(version)
    few = all_of_it.plan.new.select(f"select * from {{table}} where path in {tuple(paths)}")
    increment = replace(all_of_it, plan=replace(all_of_it.plan, new=few))
    rows = _collected(_featurized(spark, version, extractor, tmp_path, increment, batch_size=2, engine="tensorflow"))
    assert sorted(rows) == paths
    assert all(np.abs(rows[path] - features[path]).max() < 1e-3 for path in paths)


def test_bf16_points_the_same_way_and_recognises_as_well(spark, published, collection, extractor, features, tmp_path):
    half = _collected(_featurized(spark, _version(published, "sampled_images"), extractor, tmp_path, precision="bf16"))
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


class _Clock:
    """Time that passes by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("seconds_per_image", "sizes"),
    [(0.01, [8, 56, 64, 64, 8]), (0.5, [8, *[16] * 3, 8, *[16] * 8, 8]), (4.0, [8, *[2] * 96])],
)
def test_the_slower_the_network_the_fewer_images_are_computed_between_two_looks_at_the_clock(seconds_per_image, sizes):
    clock, numbers = _Clock(), pa.RecordBatch.from_pydict({"row": list(range(200))})
    batches = [numbers.slice(start, 64) for start in range(0, 200, 64)]
    seen, found = [], []
    for portion in featurization._portions(batches, clock):
        clock.now += seconds_per_image * portion.num_rows
        found.append(portion.num_rows)
        seen += portion["row"].to_pylist()
    assert seen == list(range(200))
    assert found == sizes
    assert max(found[1:]) * seconds_per_image <= 8.0
