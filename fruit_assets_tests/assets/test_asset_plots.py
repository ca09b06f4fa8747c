"""Tests of the pictures' choice of what they show."""

import pyarrow as pa

from fruit_assets.assets import asset_plots as pictures
from fruit_assets.object_store.stores import LocalStore
from fruit_assets.plots import figures as plots
from fruit_assets.spark.writing import RowWriter, WriteTarget, data_files_from, stage_written
from fruit_assets.storage.delta.table import Table
from fruit_assets.storage.staging import VersionWriter


def test_of_many_files_the_map_shows_images_of_every_class(tmp_path, monkeypatch):
    shown = {}
    monkeypatch.setattr(
        plots, "scatter_by_class", lambda points, labels: shown.update(points=points, labels=labels) or b"\x89PNG"
    )
    writing, files = VersionWriter(Table(LocalStore(tmp_path)), "one"), []
    for number in range(50):
        writer = RowWriter(WriteTarget.of(writing, 64))
        features = pa.array([[float(number), float(place), 1.0] for place in range(10)], pa.list_(pa.float32()))
        columns = {"path": [f"{number}/{place}.jpg" for place in range(10)], "label": [f"l{number:02}"] * 10}
        writer.write(pa.RecordBatch.from_pydict({**columns, "pca_features": features}))
        files.append(writer.close())
    schema = "path string, label string, pca_features array<float>"
    version = stage_written(writing, data_files_from(pa.table({"files": files})), schema).version
    pictures.scatter(version, 100)
    assert len(shown["labels"]) == len(shown["points"]) == 100
    assert set(shown["labels"]) == {f"l{number:02}" for number in range(50)}
    assert {f"l{int(first):02}" for first, _ in shown["points"]} == set(shown["labels"])
