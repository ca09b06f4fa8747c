"""Tests of the recognition report's choice of images: as many as are wanted, in any order of the files."""

import pyarrow as pa

from fruit_assets.assets import fruit_recognition as module
from fruit_assets.images.sampling import SamplePlan, choose
from fruit_assets.keys.key_table import KeyTable
from fruit_assets.object_store.stores import LocalStore
from fruit_assets.storage.delta.table import Table
from fruit_assets.storage.delta.version import Version
from fruit_assets.storage.staging import VersionWriter
from fruit_assets_tests.storage.tables import stage_table

_COUNT = 120


def _components(folder: Table) -> Version:
    rows = [
        {"path": f"{(7 * n) % _COUNT:03}.jpg", "label": f"l{n % 4}", "pca_features": [float(n), 1.0]}
        for n in range(_COUNT)
    ]
    features = pa.field("pca_features", pa.list_(pa.float32()))
    schema = pa.schema([pa.field("path", pa.string()), pa.field("label", pa.string()), features])
    return folder.commit(stage_table(pa.Table.from_pylist(rows, schema), VersionWriter(folder, "one")))


def test_of_many_images_a_share_of_every_label_is_read_with_its_own_components(tmp_path, monkeypatch):
    version = _components(Table(LocalStore(tmp_path)))
    everything = version.read_table()
    assert module._some_of(version).equals(everything)
    monkeypatch.setattr(module, "MAX_IMAGES", 40)
    some = module._some_of(version)
    expected = choose(KeyTable.of(everything), SamplePlan(fraction=40 / _COUNT)).to_table().sort_by("path")
    assert some.num_rows == 40
    assert some.sort_by("path").to_pylist() == expected.to_pylist()
