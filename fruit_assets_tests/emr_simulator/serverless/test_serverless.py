"""EMR Serverless's own behaviour: what tests of the step launcher rely on."""

import gzip
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from fruit_assets_tests.emr_simulator import EmrSimulator
from fruit_assets_tests.emr_simulator.runners import ASSERT_NO_CHECKOUT
from fruit_assets_tests.emr_simulator.serverless.applications import ENDED
from fruit_assets_tests.emr_simulator.serverless.environment import light_environment
from fruit_assets_tests.emr_simulator.serverless.execution import JobRunPace

ROLE = "arn:aws:iam::123456789012:role/jobs"
ENVIRONMENT = (
    "--conf spark.archives=s3://code/environment.tar.gz#environment "
    "--conf spark.emr-serverless.driverEnv.PYSPARK_DRIVER_PYTHON=./environment/bin/python "
)


@pytest.fixture
def application(emr_simulator: EmrSimulator) -> str:
    emr_simulator.create_bucket("code")
    emr_simulator.create_bucket("logs")
    put(emr_simulator, "environment.tar.gz", light_environment())
    return create(emr_simulator)


def create(simulator: EmrSimulator, **request: Any) -> str:
    defaults = {"name": "test", "releaseLabel": "emr-spark-8.1.0", "type": "SPARK"}
    client = simulator.client("emr-serverless")
    created = str(client.create_application(**(defaults | request))["applicationId"])
    # Until it has been created it takes no job runs.
    simulator.wait_for(lambda: client.get_application(applicationId=created)["application"]["state"] != "CREATING")
    return created


def put(simulator: EmrSimulator, key: str, body: bytes) -> None:
    simulator.client("s3").put_object(Bucket="code", Key=key, Body=body)


def run(simulator: EmrSimulator, application: str, program: str, **request: Any) -> str:
    main = f"main-{hashlib.sha256(program.encode()).hexdigest()[:8]}.py"
    put(simulator, main, program.encode())
    driver = {
        "entryPoint": f"s3://code/{main}",
        "entryPointArguments": ["a b"],
        "sparkSubmitParameters": ENVIRONMENT,
    }
    logs = {"s3MonitoringConfiguration": {"logUri": "s3://logs/serverless/"}}
    defaults = {
        "applicationId": application,
        "executionRoleArn": ROLE,
        "jobDriver": {"sparkSubmit": driver},
        "configurationOverrides": {"monitoringConfiguration": logs},
    }
    return str(simulator.client("emr-serverless").start_job_run(**(defaults | request))["jobRunId"])


def ended(simulator: EmrSimulator, job_run: str) -> str:
    simulator.wait_for(lambda: simulator.serverless.job_run(job_run).state in ENDED)
    return simulator.serverless.job_run(job_run).state


def refusal(call: Callable[..., Any], **params: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as refused:
        call(**params)
    error = refused.value.response["Error"]
    return error["Code"], error["Message"]


def test_a_job_run_has_the_archives_packages_and_its_logs_are_where_emr_serverless_stores_them(
    emr_simulator: EmrSimulator, application: str
) -> None:
    program = f"import sys, boto3\n{ASSERT_NO_CHECKOUT}print(sys.argv[1])\n"
    job_run = run(emr_simulator, application, program)
    assert ended(emr_simulator, job_run) == "SUCCESS", emr_simulator.serverless.log(job_run, "stdout")
    key = f"serverless/applications/{application}/jobs/{job_run}/SPARK_DRIVER/stdout.gz"
    s3 = emr_simulator.client("s3")
    emr_simulator.wait_for(lambda: s3.list_objects_v2(Bucket="logs", Prefix=key)["KeyCount"] == 1)
    assert gzip.decompress(s3.get_object(Bucket="logs", Key=key)["Body"].read()).strip() == b"a b"


def test_without_the_archive_the_image_has_a_python_and_no_packages(
    emr_simulator: EmrSimulator, application: str
) -> None:
    put(emr_simulator, "main.py", b"import boto3")
    job_run = run(emr_simulator, application, "", jobDriver={"sparkSubmit": {"entryPoint": "s3://code/main.py"}})
    assert ended(emr_simulator, job_run) == "FAILED"
    assert "No module named 'boto3'" in emr_simulator.serverless.log(job_run, "stdout")
    client = emr_simulator.client("emr-serverless")
    details = client.get_job_run(applicationId=application, jobRunId=job_run)["jobRun"]["stateDetails"]
    assert "ExitCode: 1" in details


def test_the_same_client_token_starts_once_and_another_request_with_it_is_a_conflict(
    emr_simulator: EmrSimulator, application: str
) -> None:
    first, second = (run(emr_simulator, application, "pass", clientToken="token") for _ in range(2))
    assert first == second
    conflict = refusal(run, simulator=emr_simulator, application=application, program="", clientToken="token", name="x")
    assert conflict[0] == "ConflictException"
    assert ended(emr_simulator, first) == "SUCCESS"


def test_billed_hours_appear_after_the_end_and_count_at_least_a_minute_for_each_worker(
    emr_simulator: EmrSimulator, application: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = emr_simulator.client("emr-serverless")
    job_run = run(emr_simulator, application, "pass")

    def described() -> dict[str, Any]:
        return dict(client.get_job_run(applicationId=application, jobRunId=job_run)["jobRun"])

    operations = emr_simulator.serverless.operations
    monkeypatch.setattr(operations, "_billing_delay", 3600.0)
    assert ended(emr_simulator, job_run) == "SUCCESS"
    assert "billedResourceUtilization" not in described()
    monkeypatch.setattr(operations, "_billing_delay", 0.0)
    assert "billedResourceUtilization" in described()
    billed, total = described()["billedResourceUtilization"], described()["totalResourceUtilization"]
    assert billed["vCPUHour"] == pytest.approx(4 * 4 / 60)
    assert 0 < total["vCPUHour"] < billed["vCPUHour"]


@pytest.mark.parametrize(("grace", "words"), [(0, ""), (15, "cleaned up")])
def test_a_cancelled_driver_gets_its_grace_period(
    emr_simulator: EmrSimulator, application: str, grace: int, words: str
) -> None:
    client = emr_simulator.client("emr-serverless")
    emr_simulator.serverless.pace = JobRunPace(grace_scale=20.0)  # on a busy machine a driver needs some seconds
    emr_simulator.serverless.world.runner = _patient  # the driver itself gets the signal
    job_run = run(emr_simulator, application, "")
    emr_simulator.wait_for(lambda: "ready" in emr_simulator.serverless.log(job_run, "stdout"))
    client.cancel_job_run(applicationId=application, jobRunId=job_run, shutdownGracePeriodInSeconds=grace)
    assert ended(emr_simulator, job_run) == "CANCELLED"
    assert words in emr_simulator.serverless.log(job_run, "stdout")
    refused = refusal(client.cancel_job_run, applicationId=application, jobRunId=job_run)
    assert "terminal state CANCELLED" in refused[1]


def _patient(call: Any) -> int:
    call.stdout.write("ready\n")
    call.stdout.flush()
    call.interrupted.wait()
    call.stdout.write("cleaned up\n")
    call.stdout.flush()
    return 143


def test_requests_that_emr_serverless_would_refuse_are_refused(emr_simulator: EmrSimulator, application: str) -> None:
    client = emr_simulator.client("emr-serverless")
    job_run = {"applicationId": application, "executionRoleArn": ROLE, "jobDriver": {"hive": {"query": "x"}}}
    assert "regular expression" in refusal(client.start_job_run, **(job_run | {"executionRoleArn": "a" * 20}))[1]
    assert "tags (key)" in refusal(client.start_job_run, **job_run, tags={"a*b": "c"})[1]
    assert "must be sparkSubmit" in refusal(client.start_job_run, **job_run)[1]
    assert refusal(client.get_application, applicationId="00nowhere")[0] == "ResourceNotFoundException"
    assert "not supported" in refusal(create, simulator=emr_simulator, releaseLabel="emr-9.9.9")[1]
    assert "enum value set" in refusal(create, simulator=emr_simulator, architecture="SPARC")[1]
    assert "between 15 and 1800" in refusal(
        client.cancel_job_run, applicationId=application, jobRunId=run(emr_simulator, application, "pass"),
        shutdownGracePeriodInSeconds=5,
    )[1]  # fmt: skip


def test_job_runs_beyond_the_concurrency_wait_and_lists_are_paged(
    emr_simulator: EmrSimulator, application: str
) -> None:
    limited = create(emr_simulator, schedulerConfiguration={"maxConcurrentRuns": 1})
    client = emr_simulator.client("emr-serverless")
    sleeping = run(emr_simulator, limited, "import time; time.sleep(600)")
    waiting = run(emr_simulator, limited, "pass")
    emr_simulator.wait_for(lambda: emr_simulator.serverless.job_run(waiting).state == "QUEUED")
    page = client.list_job_runs(applicationId=limited, maxResults=1)
    assert [row["id"] for row in page["jobRuns"]] == [waiting]
    rest = client.list_job_runs(applicationId=limited, maxResults=1, nextToken=page["nextToken"])
    assert [row["id"] for row in rest["jobRuns"]] == [sleeping]
    client.cancel_job_run(applicationId=limited, jobRunId=sleeping)
    assert ended(emr_simulator, waiting) == "SUCCESS"


def test_an_application_starts_for_a_job_run_stops_when_idle_and_ends(tmp_path: Path) -> None:
    with EmrSimulator(tmp_path, runner=lambda _: 0, idle_scale=0.001) as simulator:
        simulator.create_bucket("code")
        application = create(simulator, autoStopConfiguration={"enabled": True, "idleTimeoutMinutes": 1})
        client = simulator.client("emr-serverless")
        put(simulator, "environment.tar.gz", light_environment())

        def state() -> str:
            return str(client.get_application(applicationId=application)["application"]["state"])

        simulator.wait_for(lambda: state() == "CREATED")
        assert ended(simulator, run(simulator, application, "")) == "SUCCESS"
        simulator.wait_for(lambda: state() == "STOPPED")
        client.delete_application(applicationId=application)
        assert state() == "TERMINATED"


def test_faults_of_a_job_run_are_reported_as_emr_serverless_does(emr_simulator: EmrSimulator, application: str) -> None:
    reported = []
    for order in (emr_simulator.faults.exceed_capacity, emr_simulator.faults.refuse_role):
        order()
        job_run = run(emr_simulator, application, "pass")
        assert ended(emr_simulator, job_run) == "FAILED"
        reported.append(emr_simulator.serverless.job_run(job_run).details)
    assert "ApplicationMaxCapacityExceededException" in reported[0]
    assert f"Could not assume execution role {ROLE}" in reported[1]
