"""EMR configurations and the notebook cluster: valid for EMR, and saying what the project relies on."""

import json
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator

from fruit_assets.emr.ec2.cluster_spec import load_spec
from fruit_assets.infra.bootstrap_files import deployment_facts
from fruit_assets.infra.node_requirements import BOOTSTRAP
from fruit_assets.spark.session import PIPELINE_CONF

PYTHON = "/opt/fruit_assets/bin/python"
FACTS = deployment_facts(
    {
        "ServiceRole": "service",
        "NodeProfile": "nodes",
        "SecurityConfiguration": "security",
        "SubnetIds": "subnet-1,subnet-2",
        "LogUri": "s3://b/logs/",
        "StagingUri": "s3://b/staging",
        "BucketName": "b",
    },
    project="fruit-assets",
    region="us-east-1",
)


@pytest.fixture(scope="module")
def configurations() -> dict[str, dict[str, str]]:
    listed = json.loads((BOOTSTRAP / "configurations.json").read_text())
    return {item["Classification"]: item for item in listed}


def test_driver_and_executors_run_the_bootstrapped_python(configurations: dict[str, Any]) -> None:
    exported = configurations["spark-env"]["Configurations"][0]["Properties"]
    spark = configurations["spark-defaults"]["Properties"]
    assert {exported["PYSPARK_PYTHON"], exported["PYSPARK_DRIVER_PYTHON"]} == {PYTHON}
    assert {spark["spark.pyspark.python"], spark["spark.pyspark.driver.python"]} == {PYTHON}
    assert spark["spark.yarn.appMasterEnv.PYSPARK_PYTHON"] == PYTHON
    assert f"prefix={Path(PYTHON).parents[1]}" in (BOOTSTRAP / "install_runtime.sh").read_text()


def test_spark_on_emr_is_set_up_as_the_pipeline_relies_on(configurations: dict[str, Any]) -> None:
    spark = configurations["spark-defaults"]["Properties"]
    assert {name: spark.get(name) for name in PIPELINE_CONF} == PIPELINE_CONF


def test_an_executor_fits_on_the_smallest_node_beside_an_application_master(configurations: dict[str, Any]) -> None:
    """YARN offers 12 GiB of an xlarge of the general family; the client-mode master takes 1 GiB of it."""
    spark = configurations["spark-defaults"]["Properties"]
    executor = sum(int(spark[name].rstrip("g")) for name in ("spark.executor.memory", "spark.executor.memoryOverhead"))
    assert executor + 1 <= 12
    assert int(spark["spark.executor.cores"]) % int(spark["spark.task.cpus"]) == 0


def test_every_value_is_text_as_emr_wants_it(configurations: dict[str, Any]) -> None:
    for item in configurations.values():
        for properties in (item["Properties"], *(one["Properties"] for one in item.get("Configurations", []))):
            assert all(isinstance(value, str) for value in properties.values()), item["Classification"]


@pytest.mark.parametrize("name", ["cluster.json", "cluster-notebooks.json", "cluster-studio.json"])
def test_a_cluster_spec_is_a_request_that_emrs_own_model_accepts(name: str) -> None:
    request = load_spec(BOOTSTRAP / name, FACTS).run_job_flow()
    model = botocore.session.get_session().get_service_model("emr").operation_model("RunJobFlow")
    assert ParamValidator().validate(request, model.input_shape).generate_report() == ""
    assert request["Instances"]["Ec2SubnetIds"] == ["subnet-1", "subnet-2"]
    action = request["BootstrapActions"][0]["ScriptBootstrapAction"]
    assert action["Path"] == f"{FACTS['bootstrap_uri']}/install_runtime.sh"
    assert action["Args"] == ["--source", FACTS["bootstrap_uri"]]


def test_the_notebook_cluster_keeps_notebooks_in_the_bucket_and_ends_when_idle() -> None:
    request = load_spec(BOOTSTRAP / "cluster-notebooks.json", FACTS).run_job_flow()
    assert request["ReleaseLabel"].startswith("emr-7.")
    assert {"Name": "JupyterHub"} in request["Applications"]
    persisted = next(item for item in request["Configurations"] if item["Classification"] == "jupyter-s3-conf")
    assert persisted["Properties"] == {"s3.persistence.enabled": "true", "s3.persistence.bucket": "b"}
    assert request["AutoTerminationPolicy"]["IdleTimeout"] <= 3600
    assert {"Key": "project", "Value": "fruit-assets"} in request["Tags"]
