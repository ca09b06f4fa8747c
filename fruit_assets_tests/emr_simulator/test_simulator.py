"""The simulator's own behaviour: what tests of the step launcher rely on."""

import gzip
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, ConnectionClosedError

from fruit_assets_tests.emr_simulator import EmrSimulator, StepCall
from fruit_assets_tests.emr_simulator.logs import LogArchive
from fruit_assets_tests.emr_simulator.runners import ASSERT_NO_CHECKOUT


def run_cluster(simulator: EmrSimulator, **request: Any) -> str:
    defaults = {
        "Name": "test",
        "ReleaseLabel": "emr-spark-8.1.0",
        "JobFlowRole": "profile",
        "ServiceRole": "role",
        "LogUri": "s3://logs/emr",
        "Instances": {
            "KeepJobFlowAliveWhenNoSteps": True,
            "InstanceFleets": [
                {
                    "InstanceFleetType": "MASTER",
                    "TargetOnDemandCapacity": 1,
                    "InstanceTypeConfigs": [{"InstanceType": "m8i.xlarge"}],
                },
            ],
        },
    }
    return simulator.client("emr").run_job_flow(**(defaults | request))["JobFlowId"]


def add_step(simulator: EmrSimulator, cluster_id: str, *args: str, action: str = "CONTINUE") -> str:
    jar = {"Jar": "command-runner.jar", "Args": list(args)}
    step = {"Name": "step", "ActionOnFailure": action, "HadoopJarStep": jar}
    return simulator.client("emr").add_job_flow_steps(JobFlowId=cluster_id, Steps=[step])["StepIds"][0]


def refusal(call: Callable[..., Any], **params: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as refused:
        call(**params)
    error = refused.value.response["Error"]
    return error["Code"], error["Message"]


def test_a_step_runs_with_the_code_it_ships_and_its_logs_appear_late(
    emr_simulator: EmrSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, upload = threading.Event(), LogArchive._upload

    def upload_when_seen(self: LogArchive, *logs: Any) -> None:
        seen.wait()
        upload(self, *logs)

    # The step would not end, if its end waited for its logs.
    monkeypatch.setattr(LogArchive, "_upload", upload_when_seen)
    s3, emr = emr_simulator.client("s3"), emr_simulator.client("emr")
    for name in ("code", "logs"):
        emr_simulator.create_bucket(name)
    script = (
        f"import os, sys, boto3\n{ASSERT_NO_CHECKOUT}"
        "boto3.client('s3').put_object(Bucket='code', Key='answer', Body=' '.join(sys.argv[1:]).encode())\n"
        "print(os.environ['EMR_STEP_ID'], sorted(k for k in os.environ if k.startswith('PYTEST')))\n"
        "raise ValueError('no fruit')\n"
    )
    s3.put_object(Bucket="code", Key="main.py", Body=script.encode())
    cluster_id = run_cluster(emr_simulator)
    step_id = add_step(emr_simulator, cluster_id, "spark-submit", "--deploy-mode", "client", "s3://code/main.py", "a b")
    assert emr_simulator.wait_for_step(step_id) == "FAILED"

    assert s3.get_object(Bucket="code", Key="answer")["Body"].read() == b"a b"
    step = emr.describe_step(ClusterId=cluster_id, StepId=step_id)["Step"]
    stderr_key = f"emr/{cluster_id}/steps/{step_id}/stderr.gz"
    assert step["Status"]["FailureDetails"] == {
        "Reason": "Unknown Error.",
        "LogFile": f"s3://logs/{stderr_key}",
    }
    assert "EndDateTime" in step["Status"]["Timeline"]
    assert refusal(s3.get_object, Bucket="logs", Key=stderr_key)[0] == "NoSuchKey"
    seen.set()
    emr_simulator.wait_for(lambda: s3.list_objects_v2(Bucket="logs")["KeyCount"] == 4)
    stdout = gzip.decompress(
        s3.get_object(Bucket="logs", Key=stderr_key.replace("stderr", "stdout"))["Body"].read()
    ).decode()
    assert stdout.startswith(f"{step_id} []\nTraceback")
    cluster = emr.describe_cluster(ClusterId=cluster_id)["Cluster"]
    assert cluster["LogUri"] == "s3n://logs/emr/"
    assert cluster["Status"]["State"] == "WAITING"
    assert [call.caller for call in emr_simulator.calls("DescribeStep")] == ["orchestrator"]
    assert emr_simulator.calls("PutObject", caller="cluster")[0].params == {"Bucket": "code", "Key": "answer"}


def test_interrupt_then_terminate_stop_a_step(emr_simulator: EmrSimulator) -> None:
    emr = emr_simulator.client("emr")
    cluster_id = run_cluster(emr_simulator)
    stubborn = "import signal, time\nsignal.signal(15, signal.SIG_IGN)\nprint('on', flush=True)\ntime.sleep(600)"
    step_id = add_step(emr_simulator, cluster_id, "python3", "-c", stubborn)
    waiting = add_step(emr_simulator, cluster_id, "true")
    emr_simulator.wait_for(lambda: "on" in emr_simulator.step_log(step_id, "stdout"))

    answer = emr.cancel_steps(ClusterId=cluster_id, StepIds=[step_id, "s-0"])["CancelStepsInfoList"]
    assert [entry["Status"] for entry in answer] == ["SUBMITTED", "FAILED"]
    time.sleep(0.3)
    assert emr.list_steps(ClusterId=cluster_id, StepIds=[step_id])["Steps"][0]["Status"]["State"] == "CANCEL_PENDING"
    emr.cancel_steps(ClusterId=cluster_id, StepIds=[step_id], StepCancellationOption="TERMINATE_PROCESS")
    assert emr_simulator.wait_for_step(step_id) == "CANCELLED"
    assert emr_simulator.wait_for_step(waiting) == "COMPLETED"


def test_an_interrupt_reaches_the_driver_s_parent_only(emr_simulator: EmrSimulator, tmp_path: Path) -> None:
    mark = tmp_path / "alive"
    script = tmp_path / "main.py"
    script.write_text(
        "import pathlib, signal, sys, time\n"
        f"mark = pathlib.Path({str(mark)!r})\n"
        "signal.signal(signal.SIGTERM, lambda *_: mark.write_text('asked'))\n"
        "mark.touch()\n"
        "while mark.read_text() != 'stop':\n"
        "    time.sleep(0.05)\n"
        "mark.unlink()\n"
    )
    cluster_id = run_cluster(emr_simulator)
    step_id = add_step(emr_simulator, cluster_id, "spark-submit", str(script))
    emr_simulator.wait_for(mark.exists)
    emr_simulator.client("emr").cancel_steps(ClusterId=cluster_id, StepIds=[step_id])
    assert emr_simulator.wait_for_step(step_id) == "CANCELLED"
    assert mark.read_text() == ""
    mark.write_text("stop")
    emr_simulator.wait_for(lambda: not mark.exists())


def test_a_lost_cluster_interrupts_its_step_and_accepts_no_more(emr_simulator: EmrSimulator) -> None:
    emr = emr_simulator.client("emr")
    cluster_id = run_cluster(emr_simulator)
    emr_simulator.faults.hang_next_step()
    hung = add_step(emr_simulator, cluster_id, "true")
    pending = add_step(emr_simulator, cluster_id, "true")
    emr_simulator.wait_for_step(hung, "RUNNING")
    emr_simulator.faults.lose_cluster(cluster_id, "INSTANCE_FAILURE", "lost")
    emr_simulator.wait_for(lambda: emr_simulator.clusters[cluster_id].has_ended)

    status = emr.describe_cluster(ClusterId=cluster_id)["Cluster"]["Status"]
    assert (status["State"], status["StateChangeReason"]) == (
        "TERMINATED_WITH_ERRORS",
        {"Code": "INSTANCE_FAILURE", "Message": "lost"},
    )
    assert [emr_simulator.wait_for_step(step) for step in (hung, pending)] == ["INTERRUPTED", "CANCELLED"]
    code, message = refusal(
        emr.add_job_flow_steps,
        JobFlowId=cluster_id,
        Steps=[{"Name": "x", "HadoopJarStep": {"Jar": "command-runner.jar"}}],
    )
    assert code == "ValidationException"
    assert "finished may not be modified" in message


def test_emr_s_limits_are_enforced(emr_simulator: EmrSimulator) -> None:
    emr = emr_simulator.client("emr")
    cluster_id = run_cluster(emr_simulator, StepConcurrencyLevel=2)
    step = {"Name": "x", "ActionOnFailure": "CONTINUE", "HadoopJarStep": {"Jar": "command-runner.jar"}}
    long = step | {"HadoopJarStep": {"Jar": "command-runner.jar", "Args": ["x" * 10_230]}}
    for steps in (
        [step] * 101,
        [long],
        [step | {"ActionOnFailure": "CANCEL_AND_WAIT"}],
        [step | {"ActionOnFailure": "?"}],
    ):
        assert refusal(emr.add_job_flow_steps, JobFlowId=cluster_id, Steps=steps)[0] == "ValidationException"
    assert refusal(emr.describe_cluster, ClusterId="j-NONE") == (
        "InvalidRequestException",
        "Cluster id 'j-NONE' is not valid.",
    )
    assert "emr-8.1.0" in refusal(run_cluster, simulator=emr_simulator, ReleaseLabel="emr-8.1.0")[1]
    assert emr.list_steps(ClusterId=cluster_id)["Steps"] == []


def test_a_failed_bootstrap_leaves_its_log_and_its_reason(emr_simulator: EmrSimulator) -> None:
    emr_simulator.create_bucket("logs")
    emr_simulator.faults.fail_bootstrap("pip: no matching distribution")
    cluster_id = run_cluster(emr_simulator)
    emr_simulator.wait_for(lambda: emr_simulator.clusters[cluster_id].has_ended)
    reason = emr_simulator.client("emr").describe_cluster(ClusterId=cluster_id)["Cluster"]["Status"][
        "StateChangeReason"
    ]
    assert reason["Code"] == "BOOTSTRAP_FAILURE"
    s3 = emr_simulator.client("s3")
    emr_simulator.wait_for(lambda: s3.list_objects_v2(Bucket="logs")["KeyCount"])
    key = s3.list_objects_v2(Bucket="logs")["Contents"][0]["Key"]
    assert key.endswith("/bootstrap-actions/1/stderr.gz")
    assert b"no matching" in gzip.decompress(s3.get_object(Bucket="logs", Key=key)["Body"].read())


def test_a_cluster_with_a_missing_role_or_script_terminates(tmp_path: Path) -> None:
    with EmrSimulator(tmp_path, check_roles=True) as simulator:
        assert refusal(run_cluster, simulator=simulator) == ("ValidationException", "Invalid InstanceProfile: profile.")
        simulator.create_roles("other", "profile")
        without_role = run_cluster(simulator)
        script = {"Name": "prepare", "ScriptBootstrapAction": {"Path": "s3://nowhere/prepare.sh"}}
        without_script = run_cluster(simulator, ServiceRole="other", BootstrapActions=[script])
        emr = simulator.client("emr")
        for cluster_id, code, words in (
            (without_role, "VALIDATION_ERROR", "role/role is invalid"),
            (without_script, "BOOTSTRAP_FAILURE", "failed attempting to download bootstrap action 1"),
        ):
            simulator.wait_for(lambda cluster_id=cluster_id: simulator.clusters[cluster_id].has_ended)
            reason = emr.describe_cluster(ClusterId=cluster_id)["Cluster"]["Status"]["StateChangeReason"]
            assert reason["Code"] == code
            assert words in reason["Message"]


def test_a_cluster_is_found_in_its_own_region_only(emr_simulator: EmrSimulator) -> None:
    cluster_id = run_cluster(emr_simulator)
    elsewhere = boto3.session.Session(region_name="eu-west-3").client("emr")
    assert refusal(elsewhere.describe_cluster, ClusterId=cluster_id)[0] == "InvalidRequestException"
    assert elsewhere.list_clusters()["Clusters"] == []


def test_emr_s_rates_are_enforced_when_asked_for(tmp_path: Path) -> None:
    with EmrSimulator(tmp_path, enforce_quotas=True) as simulator:
        emr = simulator.client("emr")
        # The allowance of 10 refills while a slow machine calls, so a few more may be answered.
        codes = [refusal(emr.describe_step, ClusterId="j-NONE", StepId="s-NONE")[0] for _ in range(60)]
        assert codes[0] == "InvalidRequestException"
        assert "ThrottlingException" in codes[10:]
        assert emr.list_clusters()["Clusters"] == []


def test_an_idle_cluster_terminates_itself(tmp_path: Path) -> None:
    with EmrSimulator(tmp_path, idle_scale=0.01) as simulator:
        cluster_id = run_cluster(simulator)
        step_id = add_step(simulator, cluster_id, "true")
        assert simulator.wait_for_step(step_id) == "COMPLETED"
        # Not before: on a busy machine the cluster could be idle for so long until its step comes.
        policy = {"IdleTimeout": 60}
        simulator.client("emr").put_auto_termination_policy(ClusterId=cluster_id, AutoTerminationPolicy=policy)
        simulator.wait_for(lambda: simulator.clusters[cluster_id].state == "TERMINATED")


def test_faults_affect_only_the_operations_they_name(emr_simulator: EmrSimulator) -> None:
    emr, s3 = emr_simulator.client("emr"), emr_simulator.client("s3")
    cluster_id = run_cluster(emr_simulator)
    emr_simulator.faults.throttle("DescribeCluster")
    assert refusal(emr.describe_cluster, ClusterId=cluster_id)[0] == "ThrottlingException"
    emr_simulator.faults.drop_connection("ListClusters")
    with pytest.raises(ConnectionClosedError):
        emr.list_clusters()
    assert emr.list_clusters()["Clusters"][0]["Id"] == cluster_id
    emr_simulator.faults.expire_token(times=1)
    assert refusal(emr.describe_cluster, ClusterId=cluster_id)[0] == "ExpiredTokenException"
    refused = [call.params for call in emr_simulator.calls("DescribeCluster") if call.status == 400]
    assert refused == [{"ClusterId": cluster_id}] * 2
    emr_simulator.create_bucket("bucket")
    s3.put_object(Bucket="bucket", Key="events/1.json", Body=b"0123456789")
    emr_simulator.faults.truncate_object("events/")
    reads = [s3.get_object(Bucket="bucket", Key="events/1.json")["Body"].read() for _ in range(2)]
    assert reads == [b"01234", b"0123456789"]
    emr_simulator.faults.refuse("PutObject", "AccessDenied", "Access Denied", caller="cluster")
    emr_simulator.faults.throttle("HeadObject")
    s3.put_object(Bucket="bucket", Key="mine", Body=b"")
    assert refusal(s3.head_object, Bucket="bucket", Key="mine")[0] == "503"
    assert len(emr_simulator.calls("PutObject", caller="orchestrator")) == 2


def test_a_function_can_replace_a_step(tmp_path: Path) -> None:
    def run(call: StepCall) -> int:
        print(call.args, file=call.stdout)
        return 0 if call.interrupted.wait(0.01) else 3

    with EmrSimulator(tmp_path, runner=run) as simulator:
        step_id = add_step(simulator, run_cluster(simulator), "spark-submit", "x")
        assert simulator.wait_for_step(step_id) == "FAILED"
        assert simulator.step_log(step_id, "stdout") == "['spark-submit', 'x']\n"
