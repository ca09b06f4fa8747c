"""Tests of how others read the published tables: Polars, DuckDB, deltalake and Spark know nothing of our code."""

import json
import subprocess
import sys

import duckdb
import polars
import pytest
from deltalake import DeltaTable

from fruit_assets.object_store.stores import LocalStore, Store, open_store
from fruit_assets.storage import read_current
from fruit_assets.storage.delta.table import Table
from fruit_assets.storage.staging import VersionWriter, republish
from fruit_assets_tests.emr_simulator.jar_cache import resolve_jars
from fruit_assets_tests.emr_simulator.node import JARS_CACHE
from fruit_assets_tests.emr_simulator.s3a_jars import resolve_s3a_jars
from fruit_assets_tests.storage import delta_spark

_HTTP = {"AWS_ALLOW_HTTP": "true"}


@pytest.fixture
def folder(published) -> str:
    return str(published.storage / "pca_components")


@pytest.fixture
def on_s3(published, bucket) -> str:
    """The same table in a bucket: a table is its files."""
    store = open_store(f"s3://{bucket}/assets/pca_components")
    _copy(LocalStore(published.storage / "pca_components"), store)
    return store.uri


def _copy(source: Store, target: Store) -> None:
    for item in source.list():
        target.put(item.key, source.get(item.key))


def _expected(uri: str) -> list[tuple[str, str, list[float]]]:
    return sorted((row["path"], row["label"], row["pca_features"]) for row in read_current(uri).to_pylist())


@pytest.mark.parametrize("where", ["folder", "on_s3"])
def test_python_readers_find_the_same_rows_and_none_of_our_columns(request, where, collection):
    uri = request.getfixturevalue(where)
    expected = _expected(uri)
    assert len(expected) == collection.image_count
    options = {} if where == "folder" else _HTTP
    table = DeltaTable(uri, storage_options=options)
    rows = table.to_pyarrow_table()
    frame = polars.read_delta(uri, storage_options=options)
    reported = duckdb.sql("from rows").fetchall()
    assert rows.column_names == frame.columns == ["path", "label", "pca_features"]
    assert sorted((row["path"], row["label"], row["pca_features"]) for row in rows.to_pylist()) == expected
    assert sorted(frame.rows()) == expected
    assert sorted((path, label, list(values)) for path, label, values in reported) == expected
    assert len(rows.to_pandas()) == len(expected)
    assert "label" in {field.name for field in table.schema().fields if field.metadata.get("comment")}


def test_spark_reads_the_tables_with_delta_spark_and_their_history(folder, on_s3, maven_jars, s3_environment):
    jars = [*resolve_jars(delta_spark.DELTA_SPARK_JARS, JARS_CACHE), *resolve_s3a_jars(JARS_CACHE)]
    command = [sys.executable, "-m", delta_spark.__name__, ",".join(map(str, jars)), folder, on_s3]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    expected = _expected(folder)
    for uri, found in json.loads(done.stdout).items():
        assert [tuple(row) for row in found["rows"]] == expected, uri
        assert found["comments"]["path"].startswith("Path below the collection's root")
        assert found["versions"] == [0]


def test_a_reader_of_an_earlier_version_sees_it_whole_after_another_was_published(published, tmp_path):
    table = Table(LocalStore(tmp_path / "pca_components"))
    _copy(LocalStore(published.storage / "pca_components"), table.store)
    before = table.current()
    table.commit(table.stage([], before.columns, "empty", before))
    assert DeltaTable(table.store.uri).to_pyarrow_table().num_rows == 0
    assert polars.read_delta(table.store.uri, version=before.number).height == before.row_count
    table.commit(republish(before, VersionWriter(table, "again")))
    assert polars.read_delta(table.store.uri).height == before.row_count
