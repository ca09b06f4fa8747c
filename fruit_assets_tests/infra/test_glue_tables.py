"""Tests of registering tables in Glue's catalog, on moto."""

from pathlib import Path

import boto3
import pyarrow as pa
import pytest
from click.testing import CliRunner

from fruit_assets.cli import main
from fruit_assets.errors import InputError
from fruit_assets.infra.glue_tables import register
from fruit_assets.object_store.stores import open_store
from fruit_assets.storage.delta.table import Table
from fruit_assets.storage.staging import VersionWriter
from fruit_assets_tests.storage.tables import stage_table


def _published(place: str, *assets: str) -> list[Table]:
    rows = pa.table({"path": ["a"], "pca_features": pa.array([[1.0]], pa.list_(pa.float32()))})
    tables = [Table(open_store(f"{place}/{asset}")) for asset in assets]
    for table in tables:
        table.commit(stage_table(rows, VersionWriter(table, "run")), comments={"path": "Where it lies."})
    return tables


def test_tables_are_registered_with_place_and_columns_and_a_second_time_changes_nothing(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _published(f"s3://{bucket}/assets", "pca_components", "image_features")
    monkeypatch.setenv("FRUIT_ASSETS_STORAGE", f"s3://{bucket}/assets")
    for _ in range(2):
        done = CliRunner().invoke(main, ["register", "--database", bucket])
        assert done.exit_code == 0, done.output
        assert f"{bucket}.pca_components  s3://{bucket}/assets/pca_components" in done.output
    found = {table["Name"]: table for table in boto3.client("glue").get_tables(DatabaseName=bucket)["TableList"]}
    assert sorted(found) == ["image_features", "pca_components"]
    components = found["pca_components"]
    assert components["Parameters"]["table_type"] == "DELTA"
    assert components["StorageDescriptor"]["Location"] == f"s3://{bucket}/assets/pca_components/"
    columns = components["StorageDescriptor"]["Columns"]
    assert [(column["Name"], column["Type"]) for column in columns] == [
        ("path", "string"),
        ("pca_features", "array<float>"),
    ]
    assert columns[0]["Comment"] == "Where it lies."


def test_tables_in_a_folder_are_refused(tmp_path: Path, s3_environment: str) -> None:
    with pytest.raises(InputError, match="Glue knows tables on S3 alone"):
        register(boto3.client("glue"), "fruit", _published(str(tmp_path), "pca_components"))


def test_before_anything_is_published_there_is_nothing_to_register(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FRUIT_ASSETS_STORAGE", f"s3://{bucket}/assets")
    assert "nothing to register" in CliRunner().invoke(main, ["register", "--database", bucket]).output
