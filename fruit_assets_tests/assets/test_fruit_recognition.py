"""Tests of the recognition report's choice of images: as many as are wanted, in any order of the files."""

import random
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest

from fruit_assets.assets import fruit_recognition as module
from fruit_assets.images.sampling import SamplePlan, choose
from fruit_assets.keys.key_table import KeyTable
from fruit_assets.object_store.stores import LocalStore
from fruit_assets.storage.delta.columns import columns_of
from fruit_assets.storage.delta.table import Table
from fruit_assets.storage.delta.version import Version
from fruit_assets.storage.staging import VersionWriter, write_file

_MEASURED = """
import sys
from pathlib import Path
import pyarrow as pa
from fruit_assets.assets import fruit_recognition as module
from fruit_assets.object_store.stores import LocalStore
from fruit_assets.storage.delta.table import Table
module.MAX_IMAGES = 30
some = module._some_of(Table(LocalStore(Path(sys.argv[1]))).current())
print(some.num_rows, pa.default_memory_pool().max_memory())
"""
_COUNT, _FILES = 120, 7
_SCHEMA = pa.schema([("path", pa.string()), ("label", pa.string()), ("pca_features", pa.list_(pa.float32()))])


def _components(folder: Table, rows: pa.Table, files: int = _FILES) -> Version:
    """The rows in several files, one after the other."""
    writing, size = VersionWriter(folder, "one"), -(-rows.num_rows // files)
    written = [write_file(rows.slice(start, size), writing, "path") for start in range(0, rows.num_rows, size)]
    return folder.commit(writing.stage(written, columns_of("path string, label string, pca_features array<float>")))


def _rows(order: list[int]) -> pa.Table:
    rows = [{"path": f"{n:03}.jpg", "label": f"l{n % 4}", "pca_features": [float(n), 1.0]} for n in order]
    return pa.Table.from_pylist(rows, _SCHEMA)


def test_all_of_few_images_are_read_in_the_order_of_their_files(tmp_path, monkeypatch):
    version = _components(Table(LocalStore(tmp_path)), _rows(list(range(_COUNT))))
    monkeypatch.setattr(module, "MAX_IMAGES", _COUNT)
    assert module._some_of(version).equals(version.read_table())


@pytest.mark.parametrize("seed", [1, 2])
def test_of_many_images_a_share_of_every_label_is_read_with_its_own_components(tmp_path, monkeypatch, seed):
    order = random.Random(seed).sample(range(_COUNT), _COUNT)
    version = _components(Table(LocalStore(tmp_path)), _rows(order))
    monkeypatch.setattr(module, "MAX_IMAGES", 40)
    some = module._some_of(version)
    # The paths alone decide, in whatever files and order the rows are.
    chosen = choose(KeyTable.of(_rows(list(range(_COUNT)))), SamplePlan(fraction=40 / _COUNT)).to_table()
    assert some.num_rows == 40
    assert some.sort_by("path").to_pylist() == chosen.sort_by("path").to_pylist()
    assert some["label"].value_counts().field("counts").to_pylist() == [10] * 4


def test_the_keys_of_many_images_are_not_in_memory_together(tmp_path):
    count, files = 60_000, 60
    paths = pa.array([f"{n:05} {'long ' * 60}" for n in range(count)])
    labels, points = pa.array(np.arange(count) % 3).cast(pa.string()), pa.array([[0.5]] * count, pa.list_(pa.float32()))
    _components(Table(LocalStore(tmp_path)), pa.Table.from_arrays([paths, labels, points], schema=_SCHEMA), files)
    # Arrow counts its memory over the life of a process.
    done = subprocess.run([sys.executable, "-c", _MEASURED, tmp_path], capture_output=True, text=True, check=True)
    rows, most = map(int, done.stdout.split())
    assert rows == 30
    assert 0 < most < paths.nbytes / 2
