"""Tests of tables that Spark writes and anyone reads."""

import json

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fruit_assets.errors import StorageError
from fruit_assets.storage import read_current
from fruit_assets.storage.stores import LocalStore, open_store
from fruit_assets.storage.tables import Writing, stage_again, stage_frame, stage_table
from fruit_assets.storage.versions import AssetFolder
from fruit_assets_tests.storage.conftest import AWKWARD

_ROWS = [{"path": f"a=b/é {n}#.jpg", "label": "a=b", "features": [float(n), float(n) / 3]} for n in range(50)]
_SCHEMA = "path string, label string, features array<float>"


@pytest.fixture
def folder(tmp_path) -> AssetFolder:
    return AssetFolder(LocalStore(tmp_path / AWKWARD / "label=x" / "image_features"))


@pytest.fixture
def frame(spark):
    return spark.createDataFrame(_ROWS, _SCHEMA).repartition(3)


def test_a_frame_is_written_once_counted_and_described(spark, frame, folder):
    from pyspark.sql import functions as F

    evaluated = spark.sparkContext.accumulator(0)

    def counted(batches):
        for batch in batches:
            evaluated.add(batch.num_rows)
            yield batch

    widths = {"widest": F.max(F.size("features"))}
    staged = stage_frame(frame.mapInArrow(counted, _SCHEMA), Writing(folder, "one"), measures=widths)
    assert evaluated.value == 50
    assert staged.manifest.facts["measures"] == {"widest": 2}
    assert staged.manifest.row_count == 50
    assert staged.manifest.schema == [
        {"name": "path", "type": "string"},
        {"name": "label", "type": "string"},
        {"name": "features", "type": "array<float>"},
    ]
    assert sum(file.rows for file in staged.manifest.files) == 50


def test_a_published_table_reads_the_same_in_spark_arrow_and_pandas_from_a_folder_with_an_awkward_name(
    spark, frame, folder
):
    folder.publish(stage_frame(frame, Writing(folder, "one")))
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
    folder.publish(stage_table(pa.Table.from_pylist(_ROWS), Writing(folder, "one")))
    assert read_current(f"s3://{bucket}/{AWKWARD}").num_rows == 50
    client = boto3.client("s3")
    manifest = json.loads(client.get_object(Bucket=bucket, Key=f"{AWKWARD}/CURRENT")["Body"].read())
    [file] = manifest["files"]
    body = client.get_object(Bucket=bucket, Key=f"{AWKWARD}/{file['path']}")["Body"].read()
    assert pd.read_parquet(pa.BufferReader(body)).shape == (50, 3)


def test_rows_that_a_dead_task_attempt_left_behind_stop_the_version(frame, folder):
    writing = Writing(folder, "one")
    left = folder.store.root / writing.prefix / "part-00000-attempt-0.parquet"
    left.parent.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(_ROWS[:7]), left)
    with pytest.raises(
        StorageError, match=r"Spark wrote 50 rows .* hold 57.*Nothing was published; run the step again"
    ):
        stage_frame(frame, writing)


def test_storage_that_cannot_be_written_refuses_before_any_row_is_computed(spark, frame, tmp_path):
    (tmp_path / "assets").write_text("in the way")
    evaluated = spark.sparkContext.accumulator(0)

    def counted(batches):
        for batch in batches:
            evaluated.add(batch.num_rows)
            yield batch

    with pytest.raises(StorageError, match="Cannot write"):
        stage_frame(frame.mapInArrow(counted, _SCHEMA), Writing(AssetFolder(LocalStore(tmp_path / "assets")), "one"))
    assert evaluated.value == 0


def test_a_table_without_rows_keeps_its_columns(spark, folder):
    folder.publish(stage_frame(spark.createDataFrame([], _SCHEMA), Writing(folder, "none")))
    table = read_current(folder.store.uri)
    assert (table.num_rows, table.column_names) == (0, ["path", "label", "features"])
    assert folder.current().to_spark(spark).count() == 0
    folder.publish(stage_again(folder.current(), Writing(folder, "again")))
    assert read_current(folder.store.uri, ["path"]).column_names == ["path"]


def test_a_failing_job_publishes_nothing_and_leaves_no_listed_file(frame, folder):
    from pyspark.errors import PySparkException

    def fails(batches):
        yield from batches
        raise ValueError("a broken worker")

    folder.publish(stage_frame(frame, Writing(folder, "good")))
    with pytest.raises(PySparkException, match="a broken worker"):
        stage_frame(frame.mapInArrow(fails, _SCHEMA), Writing(folder, "bad"))
    assert read_current(folder.store.uri).num_rows == 50
    assert folder.current().manifest.run_id == "good"
