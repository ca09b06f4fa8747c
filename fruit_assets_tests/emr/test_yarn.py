"""Our launcher's steps on a real YARN: client and cluster mode, and what a cancelled step leaves behind.

The simulator stands in for EMR only; ResourceManager, NodeManager, containers and S3A are Hadoop's own.
"""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from fruit_assets.emr.staging import StagingStore
from fruit_assets_tests.emr.conftest import HERE, TinyLocation
from fruit_assets_tests.emr.targets import ClusterTarget
from fruit_assets_tests.emr_simulator import EmrSimulator
from fruit_assets_tests.emr_simulator.yarn import MiniYarn

pytestmark = pytest.mark.long(90)

_BUCKET = "yarn-steps"
_HANG = """
import time
from pyspark.sql import SparkSession
spark = SparkSession.builder.getOrCreate()
spark.range(1).rdd.map(lambda row: time.sleep(600)).count()
"""


@pytest.fixture(scope="module")
def yarn(tmp_path_factory: pytest.TempPathFactory, maven_jars: None) -> Iterator[MiniYarn]:
    with MiniYarn(tmp_path_factory.mktemp("yarn")) as running:
        yield running


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory, yarn: MiniYarn) -> Iterator[EmrSimulator]:
    folder = tmp_path_factory.mktemp("emr_on_yarn")
    with EmrSimulator(folder, runner="spark", yarn=yarn) as running:
        running.create_bucket(_BUCKET)
        running.client("s3").put_object(Bucket=_BUCKET, Key="hang.py", Body=_HANG.encode())
        yield running


@pytest.fixture(scope="module")
def cluster_id(simulator: EmrSimulator) -> str:
    master = {"InstanceRole": "MASTER", "InstanceType": "m8i.xlarge", "InstanceCount": 1}
    answer = simulator.client("emr").run_job_flow(
        Name="on yarn",
        ReleaseLabel="emr-spark-8.1.0",
        JobFlowRole="profile",
        ServiceRole="role",
        LogUri=f"s3://{_BUCKET}/logs",
        StepConcurrencyLevel=2,
        Instances={"InstanceGroups": [master], "KeepJobFlowAliveWhenNoSteps": True},
    )
    return str(answer["JobFlowId"])


def submit(simulator: EmrSimulator, cluster_id: str, *args: str) -> str:
    step = {"Jar": "command-runner.jar", "Args": list(args)}
    answer = simulator.client("emr").add_job_flow_steps(
        JobFlowId=cluster_id, Steps=[{"Name": "step", "ActionOnFailure": "CONTINUE", "HadoopJarStep": step}]
    )
    return str(answer["StepIds"][0])


def spark_submit(mode: str, name: str) -> list[str]:
    # In cluster mode YARN knows an application by the name it was submitted with, not by the session's.
    return ["spark-submit", "--deploy-mode", mode, "--name", name]


def application_ids(simulator: EmrSimulator, cluster_id: str, step_id: str) -> list[str]:
    step = simulator.client("emr").describe_step(ClusterId=cluster_id, StepId=step_id)["Step"]
    return list(step.get("AdditionalInfo", {}).get("ResourceManagerApplicationIds", []))


@pytest.fixture
def tiny(
    simulator: EmrSimulator, cluster_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[TinyLocation]:
    """The tiny code location on the YARN cluster."""
    for name, value in simulator.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.syspath_prepend(str(HERE))
    staging = StagingStore(f"s3://{_BUCKET}/staging/{tmp_path.name}")
    with dg.DagsterInstance.ephemeral() as instance:
        yield TinyLocation(
            simulator, staging, tmp_path, instance, monkeypatch, ClusterTarget(simulator, _BUCKET, cluster_id)
        )


@pytest.mark.parametrize("mode", ["client", "cluster"])
def test_an_asset_runs_on_yarn_with_shipped_code_reading_and_writing_s3(
    simulator: EmrSimulator, yarn: MiniYarn, tiny: TinyLocation, mode: str
) -> None:
    seen = {"TINY_FOLDER": str(tiny.folder), "TINY_OUTPUT": f"s3://{_BUCKET}/output/{mode}"}
    outcome = tiny.run("spark", deploy_mode=mode, environment=seen, heartbeat_seconds=30.0)
    assert outcome.success
    assert "on yarn summed to 999000" in outcome.messages
    assert "shipped-code" in outcome.materialization["file"]
    step = simulator.clusters[tiny.target.id].steps[outcome.materialization["emr/step"]]
    simulator.wait_for_step(step.id)
    (application_id,) = step.application_ids
    # In client mode the application ends after its driver.
    application = yarn.wait_until_inactive(application_id)
    assert (application.name, application.final_status) == (step.config["Name"], "SUCCEEDED")
    s3, containers = simulator.client("s3"), f"logs/{tiny.target.id}/containers/{application_id}/"
    simulator.wait_for(lambda: s3.list_objects_v2(Bucket=_BUCKET, Prefix=containers)["KeyCount"] > 0)


def test_a_cancelled_step_leaves_an_application_in_cluster_mode_only(simulator, yarn, cluster_id):
    steps = {}
    for mode in ("client", "cluster"):
        steps[mode] = submit(simulator, cluster_id, *spark_submit(mode, f"hang-{mode}"), f"s3://{_BUCKET}/hang.py")

    def running() -> dict[str, str]:
        return {app.name: app.id for app in yarn.applications() if app.state == "RUNNING"}

    simulator.wait_for(lambda: {"hang-client", "hang-cluster"} <= running().keys(), timeout=600)
    applications = running()
    simulator.client("emr").cancel_steps(ClusterId=cluster_id, StepIds=list(steps.values()))
    assert [simulator.wait_for_step(step_id) for step_id in steps.values()] == ["CANCELLED", "CANCELLED"]
    assert yarn.wait_until_inactive(applications["hang-client"]).state == "FINISHED"
    assert yarn.application(applications["hang-cluster"]).is_active

    kill = submit(simulator, cluster_id, "yarn", "application", "-kill", applications["hang-cluster"])
    assert simulator.wait_for_step(kill) == "COMPLETED", simulator.step_log(kill, "stderr")
    assert yarn.wait_until_inactive(applications["hang-cluster"]).state == "KILLED"
