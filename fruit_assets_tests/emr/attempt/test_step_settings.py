"""What one step is submitted with: Spark settings, role and code, from the launcher and from op tags."""

import json
from typing import Any

import pytest

from fruit_assets.emr.attempt.packaging import build_package, ship
from fruit_assets.emr.attempt.step_settings import tag_value
from fruit_assets_tests.emr.conftest import TinyLocation

ROLE = "arn:aws:iam::123456789012:role/orchard-steps"

pytestmark = pytest.mark.long


@pytest.fixture
def tiny(cluster_tiny: TinyLocation) -> TinyLocation:
    """On a cluster: the requests looked at are those of EMR on EC2."""
    return cluster_tiny


def submitted(tiny: TinyLocation) -> dict[str, Any]:
    """The last AddJobFlowSteps request of the cluster."""
    calls = [call for call in tiny.emr.calls("AddJobFlowSteps") if call.params["JobFlowId"] == tiny.target.id]
    return dict(calls[-1].params)


def words(tiny: TinyLocation) -> list[str]:
    return list(submitted(tiny)["Steps"][0]["HadoopJarStep"]["Args"])


def test_spark_settings_of_the_launcher_and_of_an_asset_are_merged_and_spelled_for_spark(tiny: TinyLocation) -> None:
    tags = {"emr/spark_conf": {"spark.sql.shuffle.partitions": 64, "spark.dynamicAllocation.enabled": False}}
    tiny.monkeypatch.setenv("TINY_OP_TAGS", json.dumps(tags))
    outcome = tiny.run(spark_conf={"spark.executor.cores": 2, "spark.sql.shuffle.partitions": 200})
    assert outcome.success, outcome.failure_text
    assert {
        "spark.executor.cores=2",
        "spark.sql.shuffle.partitions=64",
        "spark.dynamicAllocation.enabled=false",
    } <= set(words(tiny))
    (engine, *_) = outcome.events("ENGINE_EVENT")
    assert engine.event_specific_data.metadata["emr/spark_ui"].value.startswith("http://ip-10-0-0-4.ec2.internal:18080")


def test_spark_settings_that_are_no_object_are_refused_before_anything_is_submitted(tiny: TinyLocation) -> None:
    tiny.monkeypatch.setenv("TINY_OP_TAGS", json.dumps({"emr/spark_conf": "spark.executor.cores=2"}))
    assert "The op tag emr/spark_conf of subject is" in tiny.run().failure.error.to_string()
    assert tiny.step_ids == []


def test_a_step_asks_for_its_role_and_emrs_refusal_is_shown(tiny: TinyLocation) -> None:
    tiny.monkeypatch.setenv("TINY_OP_TAGS", json.dumps({"emr/execution_role_arn": ROLE}))
    outcome = tiny.run(execution_role_arn="arn:aws:iam::123456789012:role/other")
    assert submitted(tiny)["ExecutionRoleArn"] == ROLE
    # The cluster of these tests has no security configuration, so EMR refuses runtime roles on it.
    assert "Runtime roles are not supported on this cluster" in outcome.failure.error.to_string()


def test_code_is_taken_from_where_it_lies_already(tiny: TinyLocation) -> None:
    uri, _ = ship(build_package(["fruit_assets.emr", "tiny_location"]), tiny.staging.subprefix("releases/7"))
    assert tiny.run(code=uri).success
    assert words(tiny)[words(tiny).index("--py-files") + 1] == uri
    assert not [name for name in tiny.staging.list_keys("code/") if name.endswith(".zip")]


def test_code_that_nodes_have_is_not_shipped_and_a_node_without_it_says_so(tiny: TinyLocation) -> None:
    outcome = tiny.run(code="installed")
    assert "--py-files" not in words(tiny)
    assert not [name for name in tiny.staging.list_keys("code/") if name.endswith(".zip")]
    assert "The code did not start" in outcome.failure_text
    assert "No module named 'fruit_assets'" in outcome.failure_text


def test_an_incomplete_package_is_refused_before_a_cluster_is_looked_for(tiny: TinyLocation) -> None:
    (tiny.folder / "grove").mkdir()
    (tiny.folder / "grove/__init__.py").write_text("import tiny_location\nimport furrow\n")
    (tiny.folder / "furrow.py").write_text("")
    tiny.monkeypatch.syspath_prepend(str(tiny.folder))
    outcome = tiny.run(packages=["tiny_location", "grove"], cluster_id="j-NOT-LOOKED-FOR")
    assert "grove/__init__.py imports furrow" in outcome.failure.error.to_string()


def test_cost_allocation_tags_hold_what_aws_accepts() -> None:
    assert tag_value("double[a] of s3://x") == "double_a_ of s3://x"
    assert len(tag_value("x" * 300)) == 256
