"""Steps on a real YARN: client and cluster mode, and what a cancelled step leaves behind.

The simulator stands in for EMR only; ResourceManager, NodeManager, containers and S3A are Hadoop's own.
"""

import json
from collections.abc import Iterator

import pytest

from fruit_assets_tests.emr_simulator import EmrSimulator
from fruit_assets_tests.emr_simulator.yarn import MiniYarn

_BUCKET = "yarn-steps"
_COUNT = """
import os, sys
from pyspark.sql import SparkSession
spark = SparkSession.builder.getOrCreate()
rows = spark.read.text(sys.argv[1]).repartition(2)
lengths = rows.rdd.map(lambda row: (len(row.value), os.environ["CONTAINER_ID"])).collect()
summary = spark.createDataFrame([(sum(length for length, _ in lengths), spark.conf.get("spark.submit.deployMode"))])
summary.coalesce(1).write.mode("overwrite").json(sys.argv[2])
"""
_HANG = """
import time
from pyspark.sql import SparkSession
spark = SparkSession.builder.getOrCreate()
spark.range(1).rdd.map(lambda row: time.sleep(600)).count()
"""


@pytest.fixture(scope="module")
def yarn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MiniYarn]:
    with MiniYarn(tmp_path_factory.mktemp("yarn")) as running:
        yield running


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory, yarn: MiniYarn) -> Iterator[EmrSimulator]:
    folder = tmp_path_factory.mktemp("emr_on_yarn")
    with EmrSimulator(folder, runner="spark", yarn=yarn) as running:
        running.create_bucket(_BUCKET)
        s3 = running.client("s3")
        for key, text in (("count.py", _COUNT), ("hang.py", _HANG), ("input/words", "fig\npear\nmedlar\n")):
            s3.put_object(Bucket=_BUCKET, Key=key, Body=text.encode())
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


@pytest.mark.parametrize("mode", ["client", "cluster"])
def test_a_step_runs_on_yarn_reading_and_writing_s3(simulator, yarn, cluster_id, mode):
    output = f"s3://{_BUCKET}/output/{mode}"
    program = [f"s3://{_BUCKET}/count.py", f"s3://{_BUCKET}/input/", output]
    step_id = submit(simulator, cluster_id, *spark_submit(mode, f"count-{mode}"), *program)
    state = simulator.wait_for_step(step_id, timeout=400)
    application_id = application_ids(simulator, cluster_id, step_id)[0]
    logs = simulator.step_log(step_id, "stderr"), yarn.container_logs(application_id)
    assert state == "COMPLETED", logs
    application = yarn.application(application_id)
    assert (application.name, application.final_status) == (f"count-{mode}", "SUCCEEDED")
    s3 = simulator.client("s3")
    keys = [entry["Key"] for entry in s3.list_objects_v2(Bucket=_BUCKET, Prefix=f"output/{mode}/part-")["Contents"]]
    assert json.loads(s3.get_object(Bucket=_BUCKET, Key=keys[0])["Body"].read()) == {"_1": 13, "_2": mode}
    containers = f"logs/{cluster_id}/containers/{application_id}/"
    simulator.wait_for(lambda: s3.list_objects_v2(Bucket=_BUCKET, Prefix=containers)["KeyCount"] > 0)


def test_a_cancelled_step_leaves_an_application_in_cluster_mode_only(simulator, yarn, cluster_id):
    steps = {}
    for mode in ("client", "cluster"):
        steps[mode] = submit(simulator, cluster_id, *spark_submit(mode, f"hang-{mode}"), f"s3://{_BUCKET}/hang.py")

    def running() -> dict[str, str]:
        return {app.name: app.id for app in yarn.applications() if app.state == "RUNNING"}

    simulator.wait_for(lambda: {"hang-client", "hang-cluster"} <= running().keys(), timeout=400)
    applications = running()
    simulator.client("emr").cancel_steps(ClusterId=cluster_id, StepIds=list(steps.values()))
    assert [simulator.wait_for_step(step_id) for step_id in steps.values()] == ["CANCELLED", "CANCELLED"]
    assert yarn.wait_until_inactive(applications["hang-client"]).state == "FINISHED"
    assert yarn.application(applications["hang-cluster"]).is_active

    kill = submit(simulator, cluster_id, "yarn", "application", "-kill", applications["hang-cluster"])
    assert simulator.wait_for_step(kill) == "COMPLETED", simulator.step_log(kill, "stderr")
    assert yarn.wait_until_inactive(applications["hang-cluster"]).state == "KILLED"
