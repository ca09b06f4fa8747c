"""Tests of reading some rows of a version by their numbers."""

import numpy as np
import pyarrow as pa
import pytest

from fruit_assets.errors import StorageError
from fruit_assets.object_store.stores import LocalStore
from fruit_assets.spark.writing import RowWriter, WriteTarget, data_files_from, stage_written
from fruit_assets.storage.delta import version as versions
from fruit_assets.storage.delta.staged_commit import StagedCommit
from fruit_assets.storage.delta.table import Table
from fruit_assets.storage.staging import VersionWriter
from fruit_assets_tests.object_store.places import AWKWARD

_ROWS = [{"path": f"a=b/é {n}#.jpg", "label": "a=b", "features": [float(n), float(n) / 3]} for n in range(50)]
_SCHEMA = "path string, label string, features array<float>"
_ARROW_SCHEMA = pa.schema([("path", pa.string()), ("label", pa.string()), ("features", pa.list_(pa.float32()))])


@pytest.fixture
def folder(tmp_path) -> Table:
    return Table(LocalStore(tmp_path / AWKWARD / "label=x" / "image_features"))


def _staged(folder: Table, name: str) -> StagedCommit:
    """The rows in three files, as three tasks would write them."""
    writing = VersionWriter(folder, name)
    files = []
    for part in (slice(0, 20), slice(20, 21), slice(21, 50)):
        writer = RowWriter(WriteTarget.of(writing, 16))
        writer.write(pa.RecordBatch.from_pylist(_ROWS[part], _ARROW_SCHEMA))
        files.append(writer.close())
    return stage_written(writing, data_files_from(pa.table({"files": files})), _SCHEMA)


@pytest.mark.parametrize("rows_at_a_time", [1, 3, 2048])
@pytest.mark.parametrize("numbers", [[], [0], [19, 20, 21], [0, 0, 15, 16, 17, 49], list(range(50))])
def test_rows_are_found_by_their_numbers_in_the_order_of_the_files(folder, monkeypatch, numbers, rows_at_a_time):
    monkeypatch.setattr(versions, "_ROWS_AT_A_TIME", rows_at_a_time)
    version = folder.commit(_staged(folder, "one"))
    everything = version.read_table(["label", "path"])
    found = version.read_rows(np.array(numbers, np.int64), ["label", "path"])
    assert found.to_pylist() == everything.take(pa.array(numbers, pa.int64())).to_pylist()


def test_a_missing_file_is_named(folder):
    version = folder.commit(_staged(folder, "one"))
    (folder.store.root / version.files[1].path).unlink()
    with pytest.raises(StorageError, match=r"Cannot read .*data/one-0/part-"):
        version.read_rows(np.arange(50), ["path"])
