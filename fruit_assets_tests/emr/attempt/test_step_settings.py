"""What one step is submitted with: Spark settings, role and code, from the launcher and from op tags."""

import io
import json
import zipfile

import pytest

from fruit_assets.emr.attempt.packaging import build_package, ship
from fruit_assets.emr.attempt.step_settings import tag_value
from fruit_assets_tests.emr.conftest import TinyLocation

ROLE = "arn:aws:iam::123456789012:role/orchard-steps"

pytestmark = pytest.mark.long(40)


def test_spark_settings_of_the_launcher_and_of_an_asset_are_merged_and_written_as_spark_expects(
    tiny: TinyLocation,
) -> None:
    tags = {"emr/spark_conf": {"spark.sql.shuffle.partitions": 64, "spark.dynamicAllocation.enabled": False}}
    tiny.monkeypatch.setenv("TINY_OP_TAGS", json.dumps(tags))
    outcome = tiny.run(spark_conf={"spark.executor.cores": 2, "spark.sql.shuffle.partitions": 200})
    assert outcome.success, outcome.failure_text
    conf = tiny.target.submitted.spark_conf
    names = ["spark.executor.cores", "spark.sql.shuffle.partitions", "spark.dynamicAllocation.enabled"]
    assert [conf[name] for name in names] == ["2", "64", "false"]
    (engine, *_) = outcome.events("ENGINE_EVENT")
    spark_ui = {
        "cluster": "http://ip-10-0-0-4.ec2.internal:18080",
        "application": "aws emr-serverless get-dashboard-for-job-run",
    }
    assert engine.event_specific_data.metadata["emr/spark_ui"].value.startswith(spark_ui[tiny.target.kind])


def test_spark_settings_that_are_not_an_object_are_refused_before_submission(tiny: TinyLocation) -> None:
    tiny.monkeypatch.setenv("TINY_OP_TAGS", json.dumps({"emr/spark_conf": "spark.executor.cores=2"}))
    assert "The op tag emr/spark_conf of subject is" in tiny.run().failure.error.to_string()
    assert tiny.step_ids == []


def test_a_step_requests_its_role_and_emrs_refusal_is_shown(tiny: TinyLocation) -> None:
    tiny.monkeypatch.setenv("TINY_OP_TAGS", json.dumps({"emr/execution_role_arn": ROLE}))
    outcome = tiny.run(execution_role_arn="arn:aws:iam::123456789012:role/other")
    assert tiny.target.submitted.role == ROLE
    # The cluster of these tests has no security configuration, so EMR refuses runtime roles on it.
    refused = tiny.target.kind == "cluster"
    assert outcome.success is not refused
    if refused:
        assert "Runtime roles are not supported on this cluster" in outcome.failure.error.to_string()


def test_code_is_read_from_the_given_uri(tiny: TinyLocation) -> None:
    uri, _ = ship(build_package(["fruit_assets.emr", "tiny_location"]), tiny.staging.subprefix("releases/7"))
    assert tiny.run(code=uri).success
    assert tiny.target.submitted.py_files == uri
    assert not [name for name in tiny.staging.list_keys("code/") if name.endswith(".zip")]


def test_installed_code_is_not_shipped_and_a_node_without_it_reports_that(tiny: TinyLocation) -> None:
    outcome = tiny.run(code="installed")
    assert tiny.target.submitted.py_files == ""
    assert not [name for name in tiny.staging.list_keys("code/") if name.endswith(".zip")]
    assert "The code did not start" in outcome.failure_text
    assert "No module named 'fruit_assets'" in outcome.failure_text


def test_installed_code_is_run_and_nothing_is_shipped(tiny: TinyLocation) -> None:
    installed = tiny.folder / "installed"
    for package in ("fruit_assets.emr", "tiny_location"):
        zipfile.ZipFile(io.BytesIO(build_package([package]).content)).extractall(installed)
    tiny.target.install(installed)
    outcome = tiny.run(code="installed", **tiny.target.launcher)
    assert outcome.success, outcome.failure_text
    assert outcome.materialization["file"] == str(installed / "tiny_location/__init__.py")
    assert tiny.target.submitted.py_files == ""
    assert not [name for name in tiny.staging.list_keys("code/") if name.endswith(".zip")]


def test_an_incomplete_package_is_refused_before_a_cluster_is_acquired(tiny: TinyLocation) -> None:
    (tiny.folder / "grove").mkdir()
    (tiny.folder / "grove/__init__.py").write_text("import tiny_location\nimport furrow\n")
    (tiny.folder / "furrow.py").write_text("")
    tiny.monkeypatch.syspath_prepend(str(tiny.folder))
    outcome = tiny.run(packages=["tiny_location", "grove"], **{f"{tiny.target.kind}_id": "NOT-LOOKED-FOR"})
    assert "grove/__init__.py imports furrow" in outcome.failure.error.to_string()


def test_cost_allocation_tags_hold_what_aws_accepts() -> None:
    assert tag_value("double[a] of s3://x") == "double_a_ of s3://x"
    assert len(tag_value("x" * 300)) == 256
