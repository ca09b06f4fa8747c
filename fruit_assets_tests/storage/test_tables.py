"""Tests of tables that anyone reads."""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fruit_assets.errors import StorageError
from fruit_assets.spark.writing import RowWriter, WriteTarget, data_files_from, stage_written
from fruit_assets.storage import read_current, tables
from fruit_assets.storage.stores import LocalStore, open_store
from fruit_assets.storage.tables import VersionWriter, read_rows_at, republish, stage_table
from fruit_assets.storage.versions import AssetFolder, StagedVersion
from fruit_assets_tests.storage.conftest import AWKWARD

_ROWS = [{"path": f"a=b/é {n}#.jpg", "label": "a=b", "features": [float(n), float(n) / 3]} for n in range(50)]
_SCHEMA = "path string, label string, features array<float>"
_ARROW_SCHEMA = pa.schema([("path", pa.string()), ("label", pa.string()), ("features", pa.list_(pa.float32()))])


@pytest.fixture
def folder(tmp_path) -> AssetFolder:
    return AssetFolder(LocalStore(tmp_path / AWKWARD / "label=x" / "image_features"))


def _staged(folder: AssetFolder, name: str) -> StagedVersion:
    """The rows in three files, as three tasks would write them."""
    writing = VersionWriter(folder, name)
    files = []
    for part in (slice(0, 20), slice(20, 21), slice(21, 50)):
        writer = RowWriter(WriteTarget.of(writing, 16))
        writer.write(pa.RecordBatch.from_pylist(_ROWS[part], _ARROW_SCHEMA))
        files.append(writer.close())
    return stage_written(writing, data_files_from(pa.table({"files": files})), _SCHEMA)


def test_a_published_table_reads_the_same_in_spark_arrow_and_pandas_from_a_folder_with_an_awkward_name(spark, folder):
    folder.publish(_staged(folder, "one"))
    # Files nobody listed are what a killed or speculative task leaves.
    stray = folder.store.root / "versions" / "one-0" / "part-99999-stray.parquet"
    pq.write_table(pa.Table.from_pylist(_ROWS), stray)
    expected = sorted((row["path"], row["label"], [round(value, 5) for value in row["features"]]) for row in _ROWS)

    def rows(items):
        return sorted((row["path"], row["label"], [round(float(v), 5) for v in row["features"]]) for row in items)

    version = folder.current()
    assert rows(row.asDict() for row in version.to_spark(spark).collect()) == expected
    assert rows(read_current(folder.store.uri).to_pylist()) == expected
    # Without any of our code: a person with the manifest and pandas.
    manifest = json.loads((folder.store.root / "CURRENT").read_text())
    files = [folder.store.root / file["path"] for file in manifest["files"]]
    table = pd.concat([pd.read_parquet(file, partitioning=None) for file in files])
    assert rows(table.to_dict("records")) == expected


def test_a_table_on_s3_reads_the_same_through_arrow_and_without_our_code(bucket, s3_environment):
    import boto3

    folder = AssetFolder(open_store(f"s3://{bucket}/{AWKWARD}"))
    folder.publish(stage_table(pa.Table.from_pylist(_ROWS), VersionWriter(folder, "one")))
    assert read_current(f"s3://{bucket}/{AWKWARD}").num_rows == 50
    client = boto3.client("s3")
    manifest = json.loads(client.get_object(Bucket=bucket, Key=f"{AWKWARD}/CURRENT")["Body"].read())
    [file] = manifest["files"]
    body = client.get_object(Bucket=bucket, Key=f"{AWKWARD}/{file['path']}")["Body"].read()
    assert pd.read_parquet(pa.BufferReader(body)).shape == (50, 3)


def test_a_table_without_rows_keeps_its_columns(spark, folder):
    folder.publish(stage_written(VersionWriter(folder, "none"), [], _SCHEMA))
    table = read_current(folder.store.uri)
    assert (table.num_rows, table.column_names) == (0, ["path", "label", "features"])
    assert folder.current().to_spark(spark).count() == 0
    folder.publish(republish(folder.current(), VersionWriter(folder, "again")))
    assert read_current(folder.store.uri, ["path"]).column_names == ["path"]


@pytest.mark.parametrize("rows_at_a_time", [1, 3, 2048])
@pytest.mark.parametrize("numbers", [[], [0], [19, 20, 21], [0, 0, 15, 16, 17, 49], list(range(50))])
def test_rows_are_found_by_their_numbers_in_the_order_of_the_files(folder, monkeypatch, numbers, rows_at_a_time):
    monkeypatch.setattr(tables, "_ROWS_AT_A_TIME", rows_at_a_time)
    version = folder.publish(_staged(folder, "one"))
    everything = version.read_table(["label", "path"])
    found = read_rows_at(version, np.array(numbers, np.int64), ["label", "path"])
    assert found.to_pylist() == everything.take(pa.array(numbers, pa.int64())).to_pylist()


def test_a_file_that_is_gone_is_named(folder):
    version = folder.publish(_staged(folder, "one"))
    (folder.store.root / version.manifest.files[1].path).unlink()
    with pytest.raises(StorageError, match=r"Cannot read .*versions/one-0/part-"):
        read_rows_at(version, np.arange(50), ["path"])
