"""Applications of EMR Serverless: created once, found again, described by a spec, ended by us alone."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from fruit_assets.emr.aws import AwsRefusedError
from fruit_assets.emr.errors import PermanentError, TransientError
from fruit_assets.emr.serverless.application_spec import ApplicationSpec, load_application_spec
from fruit_assets.emr.serverless.applications import Applications, with_max_runtime
from fruit_assets.emr.serverless.job_runs import JobSettings
from fruit_assets.emr.staging import StagingStore
from fruit_assets_tests.emr.targets import APPLICATION_SPEC, ROLE, application_variables
from fruit_assets_tests.emr_simulator import EmrSimulator


def spec_with(tmp_path: Path, **changes: Any) -> ApplicationSpec:
    content = json.loads(APPLICATION_SPEC.read_text())
    for name, value in changes.items():
        content[name] = content[name] | value if isinstance(value, dict) and name in content else value
    path = tmp_path / "application.json"
    path.write_text(json.dumps(content))
    return load_application_spec(path, application_variables())


def test_the_spec_of_this_project_becomes_a_request_that_emr_serverless_accepts(
    emr: EmrSimulator, staging: StagingStore
) -> None:
    spec = load_application_spec(APPLICATION_SPEC, application_variables())
    compute, is_new = Applications(staging).find_or_create(spec)
    made = compute.describe()
    assert is_new
    assert (made["releaseLabel"], made["architecture"], made["type"]) == ("emr-spark-8.1.0", "X86_64", "SPARK")
    assert made["maximumCapacity"]["cpu"] == "100 vCPU"
    assert (made["autoStartConfiguration"]["enabled"], made["autoStopConfiguration"]["idleTimeoutMinutes"]) == (
        True,
        15,
    )
    assert "networkConfiguration" not in made, "no subnets: nothing is asked for"
    assert "imageConfiguration" not in made
    assert made["tags"]["project"] == "orchard"
    assert spec.job_runs.execution_role_arn == ROLE
    assert spec.job_runs.spark_conf["spark.archives"].endswith("environment.tar.gz#environment")


def test_network_image_capacity_and_key_are_passed_on(tmp_path: Path) -> None:
    capacity = {"DRIVER": {"workerCount": 1, "workerConfiguration": {"cpu": "2 vCPU", "memory": "8 GB"}}}
    content = json.loads(APPLICATION_SPEC.read_text()) | {"initialCapacity": capacity}
    path = tmp_path / "application.json"
    path.write_text(json.dumps(content))
    image, key = "123456789012.dkr.ecr.us-east-1.amazonaws.com/orchard:1", "arn:aws:kms:us-east-1:123456789012:key/k"
    more = {"job_subnets": "subnet-1,subnet-2", "job_security_groups": "sg-1", "image": image, "kms_key": key}
    spec = load_application_spec(path, application_variables() | more)
    assert spec.parameters["networkConfiguration"] == {
        "subnetIds": ["subnet-1", "subnet-2"],
        "securityGroupIds": ["sg-1"],
    }
    assert spec.parameters["imageConfiguration"] == {"imageUri": image}
    assert spec.parameters["initialCapacity"] == capacity
    assert spec.job_runs.log_key_arn == key


def test_an_application_is_found_by_its_tag_and_another_spec_creates_another(
    emr: EmrSimulator, staging: StagingStore, tmp_path: Path
) -> None:
    applications = Applications(staging)
    first, _ = applications.find_or_create(spec_with(tmp_path))
    again, is_new = applications.find_or_create(spec_with(tmp_path))
    assert (again.application_id, is_new) == (first.application_id, False)
    job_runs_differ, is_new = applications.find_or_create(spec_with(tmp_path, jobRuns={"executionTimeoutMinutes": 5}))
    assert (job_runs_differ.application_id, is_new) == (first.application_id, False)
    other, is_new = applications.find_or_create(spec_with(tmp_path, architecture="ARM64"))
    assert (other.application_id != first.application_id, is_new) == (True, True)


def test_another_staging_bucket_has_applications_of_its_own(
    emr: EmrSimulator, staging: StagingStore, tmp_path: Path
) -> None:
    spec = spec_with(tmp_path)
    ours, _ = Applications(staging).find_or_create(spec)
    theirs, is_new = Applications(staging.subprefix("theirs")).find_or_create(spec)
    assert is_new
    assert theirs.application_id != ours.application_id
    with pytest.raises(PermanentError, match="not created by this project"):
        Applications(staging).delete(theirs.application_id)


def test_parallel_steps_and_a_lost_answer_create_one_application(
    emr: EmrSimulator, staging: StagingStore, tmp_path: Path
) -> None:
    spec = spec_with(tmp_path)
    emr.faults.drop_connection("CreateApplication", times=1, after=True)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: Applications(staging).find_or_create(spec)[0].application_id, range(4)))
    assert len(set(found)) == 1


def test_an_application_that_was_deleted_is_replaced(emr: EmrSimulator, staging: StagingStore, tmp_path: Path) -> None:
    applications, spec = Applications(staging), spec_with(tmp_path)
    first, _ = applications.find_or_create(spec)
    emr.wait_for(lambda: first.describe()["state"] == "CREATED")
    applications.delete(first.application_id)
    failure = first.failure()
    assert failure is not None
    assert failure.clean_shutdown
    second, is_new = applications.find_or_create(spec)
    assert (second.application_id != first.application_id, is_new) == (True, True)
    assert second.failure() is None


def test_an_application_with_job_runs_is_not_deleted(emr: EmrSimulator, staging: StagingStore, tmp_path: Path) -> None:
    compute, _ = Applications(staging).find_or_create(spec_with(tmp_path))
    emr.wait_for(lambda: compute.describe()["state"] != "CREATING")  # until then it takes no job runs
    emr.faults.hang_next_step()
    emr.client("emr-serverless").start_job_run(
        applicationId=compute.application_id,
        executionRoleArn=ROLE,
        jobDriver={"sparkSubmit": {"entryPoint": "s3://nowhere/main.py"}},
    )
    with pytest.raises(TransientError, match="1 job runs that have not ended"):
        Applications(staging).delete(compute.application_id)
    (job_run,) = compute.active()
    compute.cancel(job_run, force=True)


def test_refusals_of_emr_serverless_are_reported_with_advice(
    emr: EmrSimulator, staging: StagingStore, tmp_path: Path
) -> None:
    with pytest.raises(AwsRefusedError, match=r"emr-spark-9\.9\.0 is not supported.*does not offer the release"):
        Applications(staging).find_or_create(spec_with(tmp_path, releaseLabel="emr-spark-9.9.0"))


def test_an_application_that_does_not_start_itself_is_refused_with_the_command(
    emr: EmrSimulator, staging: StagingStore, tmp_path: Path
) -> None:
    compute, _ = Applications(staging).find_or_create(spec_with(tmp_path, autoStartConfiguration={"enabled": False}))
    emr.wait_for(lambda: compute.describe()["state"] == "CREATED")
    with pytest.raises(PermanentError, match=f"start-application --application-id {compute.application_id}"):
        Applications(staging).get(compute.application_id, JobSettings())


def test_all_problems_of_a_spec_are_listed_at_once(tmp_path: Path) -> None:
    content = {"releaseLabel": "emr-spark-8.1.0", "autoStopConfiguration": {"enabled": False}, "name": "${absent}"}
    content["jobRuns"] = {"executionTimeoutMinutes": 20_000, "color": "red"}  # type: ignore[assignment]
    path = tmp_path / "application.json"
    path.write_text(json.dumps(content))
    with pytest.raises(PermanentError) as caught:
        load_application_spec(path, {})
    for problem in (
        "${absent} has no value", "type is missing", "jobRuns.executionRoleArn is missing", "jobRuns.logUri is missing",
        "jobRuns.color is not known", "executionTimeoutMinutes is 20000", "would keep costing",
    ):  # fmt: skip
        assert problem in str(caught.value)


def test_a_job_run_ends_soon_after_the_launchers_own_limit() -> None:
    settings = JobSettings(timeout_minutes=720)
    assert with_max_runtime(settings, 600.0).timeout_minutes == 15
    assert with_max_runtime(settings, None).timeout_minutes == with_max_runtime(settings, 1e6).timeout_minutes == 720
