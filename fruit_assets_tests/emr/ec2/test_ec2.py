"""Steps of a cluster: what is sent, what is understood, and what is refused before it is sent."""

from datetime import UTC, datetime

import pytest

from fruit_assets.emr.compute import Submission
from fruit_assets.emr.ec2.compute import MAX_STEP_CHARACTERS, EmrOnEc2
from fruit_assets.emr.staging import StagingStore
from fruit_assets.errors import PermanentError
from fruit_assets_tests.emr.conftest import BUCKET, start_cluster
from fruit_assets_tests.emr_simulator import EmrSimulator

SUBMISSION = Submission(
    "dagster/run/step/1", "s3://b/main.py", ["s3://b/request.json"], "s3://b/code.zip", {"spark.x": "1"}
)


def test_a_step_is_one_short_spark_submit_that_does_not_end_other_steps(emr: EmrSimulator) -> None:
    cluster_id = start_cluster(emr)
    EmrOnEc2(cluster_id).submit(SUBMISSION)
    call = next(call for call in emr.calls("AddJobFlowSteps") if call.params["JobFlowId"] == cluster_id)
    (step,) = call.params["Steps"]
    words = step["HadoopJarStep"]["Args"]
    assert step["ActionOnFailure"] == "CONTINUE"
    assert step["HadoopJarStep"]["Jar"] == "command-runner.jar"
    assert words[:5] == ["spark-submit", "--master", "yarn", "--deploy-mode", "client"]
    assert words[-4:] == ["--py-files", "s3://b/code.zip", "s3://b/main.py", "s3://b/request.json"]
    assert "spark.x=1" in words
    assert sum(map(len, words)) < MAX_STEP_CHARACTERS / 10


def test_in_cluster_mode_yarn_does_not_run_the_driver_twice(emr: EmrSimulator) -> None:
    cluster_id = start_cluster(emr)
    submission = Submission("n", "s3://b/main.py", [], "s3://b/code.zip", {}, "cluster")
    EmrOnEc2(cluster_id).submit(submission)
    words = emr.calls("AddJobFlowSteps")[-1].params["Steps"][0]["HadoopJarStep"]["Args"]
    assert "spark.yarn.maxAppAttempts=1" in words
    assert words[words.index("--deploy-mode") + 1] == "cluster"


def test_arguments_beyond_emrs_limit_are_refused_before_they_are_sent() -> None:
    conf = {f"spark.setting.{number}": "x" * 100 for number in range(100)}
    with pytest.raises(PermanentError, match="the limit of EMR is 10240"):
        EmrOnEc2("j-1").submit(Submission("n", "s3://b/main.py", [], "s3://b/code.zip", conf))


def test_the_log_uri_and_the_instances_of_a_cluster_are_described(emr: EmrSimulator, staging: StagingStore) -> None:
    cluster_id = start_cluster(emr)
    compute = EmrOnEc2(cluster_id)
    assert compute.describe().log_uri == f"s3://{BUCKET}/logs"
    (machine,) = compute.instances()
    assert (machine.instance_type, machine.market, machine.until) == ("m7g.xlarge", "ON_DEMAND", None)
    assert machine.since < datetime.now(UTC)
    assert compute.failure() is None


def test_the_command_to_cancel_by_hand_is_complete() -> None:
    assert EmrOnEc2("j-1", "eu-west-3").cancel_command("s-1") == (
        "aws emr cancel-steps --cluster-id j-1 --step-ids s-1 "
        "--step-cancellation-option TERMINATE_PROCESS --region eu-west-3"
    )
