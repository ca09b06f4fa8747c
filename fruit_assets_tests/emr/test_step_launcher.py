"""One step on a light EMR, from launch to the last event: what a user sees when it works and when it does not."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fruit_assets.emr.attempt import step_attempt, submission
from fruit_assets.emr.protocol.messages import encode
from fruit_assets.emr.staging import StagingStore
from fruit_assets_tests.emr.conftest import (
    BUCKET,
    Outcome,
    TinyLocation,
    eventually,
    objects_below,
    tiny_location_on,
)
from fruit_assets_tests.emr.targets import Target
from fruit_assets_tests.emr_simulator import EmrSimulator

KMS = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "alias/orchard"}
SPEC = Path(__file__).parents[2] / "bootstrap" / "cluster.json"

pytestmark = pytest.mark.long(290)


@dataclass(frozen=True)
class Success:
    """One run that went well, and what it left behind."""

    outcome: Outcome
    target: Target
    step_id: str
    objects: list[tuple[str, bytes]]
    requests: list[str]
    encryption: dict[str, tuple[str | None, str | None]]


@pytest.fixture(scope="module")
def success(kind: str, light_emr: EmrSimulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Success]:
    """A run of both assets, shared by the tests that only look."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        for name, value in light_emr.environment().items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("DATABASE_PASSWORD", "melon-secret")
        staging = StagingStore(f"s3://{BUCKET}/success-{kind}")
        with tiny_location_on(light_emr, staging, tmp_path_factory.mktemp("success"), monkeypatch, kind) as tiny:
            # Other tests' requests, such as those that store a secret, are on record before this run's.
            earlier = len(light_emr.requests)
            outcome = tiny.run(job="tiny", encryption=KMS)
            (step_id,) = tiny.step_ids
            requests = [json.dumps(request.params, default=str) for request in light_emr.requests[earlier:]]
            encryption = encryption_below(light_emr, staging)
            yield Success(outcome, tiny.target, step_id, objects_below(staging), requests, encryption)


def test_a_step_runs_on_the_cluster_with_the_code_that_was_shipped(success: Success) -> None:
    assert success.outcome.success
    assert "shipped-code" in success.outcome.materialization["file"]
    assert success.outcome.count("STEP_SUCCESS") == success.outcome.count("STEP_START") == 1
    assert "the subject has started" in success.outcome.messages


def test_the_materialization_has_links_to_its_step_and_its_cost(success: Success) -> None:
    metadata = success.outcome.materialization
    assert (metadata[f"emr/{success.target.kind}"], metadata["emr/step"]) == (success.target.id, success.step_id)
    assert metadata["emr/logs"] == success.target.logs_of(success.step_id)
    costs = next(event for event in success.outcome.events("ENGINE_EVENT") if "cost about" in event.message)
    usage = costs.event_specific_data.metadata
    if success.target.kind == "cluster":
        assert success.target.id in metadata["emr/console"]
        assert list(metadata["emr/instance_hours"]) == ["m7g.xlarge on-demand"]
        assert list(usage["emr/instance_hours"].value) == ["m7g.xlarge on-demand"]
    else:
        # A command that asks for the address: the address holds a token.
        assert f"get-dashboard-for-job-run --application-id {success.target.id}" in metadata["emr/spark_ui"]
        assert "authToken" not in str(success.outcome.entries)
        # A driver and the default of three executors, a minute of each at least.
        assert usage["emr/billed_hours"].value["vcpu"] >= 4 * 4 / 60
    assert usage["emr/run_cost_usd"].value >= usage["emr/cost_usd"].value > 0


def test_input_data_versions_are_sent_so_that_the_asset_is_not_stale(success: Success) -> None:
    (event,) = success.outcome.events("ASSET_MATERIALIZATION")
    assert event.event_specific_data.materialization.tags["dagster/input_data_version/source"] == "v7"


def test_nothing_secret_leaves_the_orchestrator(success: Success) -> None:
    texts = [body.decode(errors="replace") for _, body in success.objects] + success.requests
    assert len(success.objects) > 5
    assert not [text for text in texts if "melon-secret" in text or "orchestrator-secret" in text]


def test_objects_of_both_sides_are_encrypted_as_configured(success: Success) -> None:
    kinds = {name.split("/")[0] for name in success.encryption} | {name.split("/")[-2] for name in success.encryption}
    assert {"code", "clusters", "runs", "events", "stdout", "costs"} <= kinds
    assert set(success.encryption.values()) == {("aws:kms", "alias/orchard")}


def test_nothing_is_pickled_in_either_direction(success: Success) -> None:
    assert not [name for name, body in success.objects if body.startswith(b"\x80") or name.endswith(".pkl")]


def test_events_and_output_arrive_while_the_step_runs(tiny: TinyLocation, capfd: pytest.CaptureFixture[str]) -> None:
    seen: list[str] = []

    def first_word_arrived() -> bool:
        runs = tiny.instance.get_runs()
        reported = [entry.user_message or "" for entry in tiny.instance.all_logs(runs[0].run_id)]
        seen.append(capfd.readouterr().out)
        return sum("event" in message for message in reported) >= 3 and "words on stdout" in "".join(seen)

    def look(step_id: str) -> None:
        tiny.emr.wait_for(first_word_arrived)
        assert tiny.state(step_id) == "RUNNING"
        tiny.is_enough()

    with tiny.meanwhile(look):
        outcome = tiny.run("chatter-then-sleep", seconds=3)
    assert "words on stdout from the cluster" in "".join(seen)
    assert [line for line in outcome.messages.splitlines() if line.startswith("event")] == [
        f"event {number}" for number in range(30)
    ]


def test_a_failure_carries_the_remote_traceback_the_place_and_the_end_of_stderr(tiny: TinyLocation) -> None:
    outcome = tiny.run("fail")
    metadata = outcome.failure.user_failure_data.metadata
    assert "ValueError: the pears are not ripe" in outcome.failure.error.to_string()
    assert "in behave" in outcome.failure.error.to_string()
    assert metadata["emr/step"].value == tiny.step_ids[0]
    assert "words on stderr" in metadata["emr/stderr"].value


def test_a_step_that_is_killed_after_publishing_fails_with_emrs_reason(tiny: TinyLocation) -> None:
    message = b"the subject has started"

    def die_once_it_is_stored(_: str) -> None:
        eventually(lambda: any(message in body for name, body in objects_below(tiny.staging) if "/events/" in name))
        tiny.is_enough()

    with tiny.meanwhile(die_once_it_is_stored):
        outcome = tiny.run("die-after-publish")
    metadata = outcome.failure.user_failure_data.metadata
    assert "ended as FAILED" in outcome.failure.error.to_string()
    assert metadata["emr/state"].value == "FAILED"
    assert metadata["emr/log_file"].value.endswith("stderr.gz")
    assert "the subject has started" in outcome.messages, "output before the kill is kept"
    assert metadata["emr/run_cost_usd"].value >= metadata["emr/cost_usd"].value > 0


def test_a_step_that_dies_without_output_is_reported_with_emrs_logs(
    tiny: TinyLocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tiny.folder / "bootstrap_main.py"
    broken.write_text("import sys\nsys.exit('there is no room on this node')\n")
    monkeypatch.setattr(submission, "REMOTE_MAIN", broken)
    outcome = tiny.run()
    # Spark's Python runner sends the stderr of a client-mode driver to the step's stdout.
    assert "there is no room on this node" in outcome.failure.user_failure_data.metadata["emr/stdout"].value
    assert "Waiting for its logs" in outcome.messages


def test_a_completed_step_without_a_success_event_is_a_failure(
    tiny: TinyLocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fruit_assets.emr.attempt.monitor.DRAIN_SECONDS", {"succeeded": 1.0})
    outcome = tiny.run("exit-zero")
    assert tiny.states == ["COMPLETED"]
    assert "no success event arrived" in outcome.failure.error.to_string()


def test_slow_writes_of_events_lose_nothing(tiny: TinyLocation) -> None:
    tiny.emr.faults.delay_objects("/events/", 1.5)
    try:
        outcome = tiny.run("chatter", seconds=1)
    finally:
        tiny.emr.faults.delay_objects("/events/", 0)
    assert outcome.success
    assert outcome.messages.count("event ") == 10


def test_a_truncated_event_object_fails_the_step_and_is_named(
    tiny: TinyLocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fruit_assets.emr.protocol.streams.REREAD_SECONDS", 1.0)
    tiny.emr.faults.truncate_object("/events/000001.json", times=100)
    outcome = tiny.run("chatter", seconds=1)
    assert "events/000001.json is damaged" in outcome.failure.error.to_string()


def test_forged_events_in_the_bucket_fail_the_step_unread_and_end_it(tiny: TinyLocation) -> None:
    """A writer of the bucket puts an object there that would have code imported."""

    def forge(_: str) -> None:
        eventually(lambda: event_names(tiny))
        folder = max(event_names(tiny)).rpartition("/")[0]
        packed = {"__class__": "ModuleCodePointer", "module": "os", "fn_name": "getcwd", "working_directory": None}
        for sequence in range(1, 10):
            body = {"format": 1, "sequence": sequence, "events": [packed], "end": None}
            tiny.staging.put(f"{folder}/{sequence:06d}.json", encode(body))

    with tiny.meanwhile(forge):
        outcome = tiny.run("sleep", retries=2)
    assert "ModuleCodePointer" in outcome.failure.error.to_string()
    assert tiny.states == ["CANCELLED"], "not retried, and nothing goes on"


def event_names(tiny: TinyLocation) -> list[str]:
    return [name for name in tiny.staging.list_keys("runs/") if "/events/" in name]


def test_a_step_cancelled_on_emr_is_not_retried(tiny: TinyLocation) -> None:
    with tiny.meanwhile(tiny.target.cancel_from_elsewhere):
        outcome = tiny.run("sleep", retries=2)
    assert "was cancelled on EMR, not by this run" in outcome.failure.error.to_string()
    assert len(tiny.step_ids) == 1
    assert outcome.run.tags["dagster/retry_on_asset_or_op_failure"] == "false"


def test_unknown_intermediate_states_do_not_end_the_step(tiny: TinyLocation) -> None:
    def report(step_id: str) -> None:
        polls = tiny.target.polls
        for state in ("CANCEL_PENDING", "HIBERNATING"):
            tiny.target.report(step_id, state)
            asked = len(tiny.emr.calls(polls))
            tiny.emr.wait_for(lambda asked=asked: len(tiny.emr.calls(polls)) > asked)
        tiny.is_enough()

    with tiny.meanwhile(report):
        assert tiny.run("sleep").success


def test_lost_machines_are_reported_with_emrs_reason(tiny: TinyLocation) -> None:
    with tiny.meanwhile(lambda _: tiny.target.lose("the machine was taken away")):
        outcome = tiny.run("sleep")
    error = outcome.failure.error.to_string()
    assert "the machine was taken away" in error
    if tiny.target.kind == "cluster":
        assert tiny.states == ["INTERRUPTED"]
        assert "EC2 had no capacity" in error


@pytest.mark.parametrize("does", ["fail-once", "die-once"])
def test_a_retry_starts_clean_and_sees_nothing_of_the_first_attempt(tiny: TinyLocation, does: str) -> None:
    outcome = tiny.run(does, retries=2)
    assert outcome.success
    eventually(lambda: tiny.states == ["FAILED", "COMPLETED"])
    assert (outcome.count("STEP_UP_FOR_RETRY"), outcome.count("STEP_SUCCESS"), outcome.count("STEP_FAILURE")) == (
        1,
        1,
        0,
    )
    retries = [line.split()[1] for line in (tiny.folder / "starts").read_text().splitlines()]
    assert retries == ["0", "1"]


def test_a_failure_that_forbids_retries_is_not_retried(tiny: TinyLocation) -> None:
    outcome = tiny.run("fail-for-good", retries=2)
    assert "the pears are rotten" in outcome.failure_text
    assert len(tiny.step_ids) == 1


def test_version_skew_is_refused_before_the_code_runs_and_names_both_versions(
    tiny: TinyLocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = submission.orchestrator_versions("fruit_assets")
    monkeypatch.setattr(submission, "orchestrator_versions", lambda _: {**ours, "spark": "3.5.6", "dagster": "1.9.0"})
    outcome = tiny.run(retries=2, modules=["dagster", "cucumbers"], encryption=KMS)
    error = outcome.failure.error.to_string()
    assert f"spark is {ours['spark']} on the cluster and 3.5.6 where the run was launched" in error
    assert f"dagster is {ours['dagster']} on the cluster and 1.9.0" in error
    assert "the cluster lacks the package 'cucumbers'" in error
    assert len(tiny.step_ids) == 1, "skew is not retried"
    assert not (tiny.folder / "starts").exists()
    assert set(encryption_below(tiny.emr, tiny.staging).values()) == {("aws:kms", "alias/orchard")}


def test_an_older_python_is_refused_by_the_remote_main_alone(
    tiny: TinyLocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = submission.orchestrator_versions("fruit_assets")
    monkeypatch.setattr(submission, "orchestrator_versions", lambda _: {**ours, "python": "3.14"})
    assert f"Python is {ours['python']} on the cluster" in tiny.run().failure.error.to_string()


def test_an_environment_that_looks_secret_is_refused_before_submission(tiny: TinyLocation) -> None:
    outcome = tiny.run(environment={"DB_PASSWORD": "melon-secret"})
    assert "DB_PASSWORD" in outcome.failure.error.to_string()
    assert "melon-secret" not in outcome.failure.error.to_string()
    assert tiny.step_ids == []


def test_a_given_cluster_that_has_terminated_is_refused_with_advice(cluster_tiny: TinyLocation) -> None:
    client = cluster_tiny.emr.client("emr")
    client.terminate_job_flows(JobFlowIds=[cluster_tiny.target.id])
    cluster_tiny.emr.wait_for(lambda: cluster_tiny.emr.clusters[cluster_tiny.target.id].state == "TERMINATED")
    error = cluster_tiny.run(retries=2).failure.error.to_string()
    assert f"Cluster {cluster_tiny.target.id} is TERMINATED" in error
    assert "set the id of a running one" in error


def test_a_cluster_id_of_another_region_is_refused_with_the_region_named(cluster_tiny: TinyLocation) -> None:
    error = cluster_tiny.run(cluster_id="j-ELSEWHERE").failure.error.to_string()
    assert "There is no cluster j-ELSEWHERE in region us-east-1" in error


def test_an_expired_token_is_reported_with_advice_and_not_retried(tiny: TinyLocation) -> None:
    tiny.emr.faults.expire_token(times=20)
    outcome = tiny.run(retries=2)
    tiny.emr.faults._orders.clear()
    assert "the AWS session token has expired. Sign in again" in outcome.failure.error.to_string()


def test_throttled_and_broken_calls_are_retried(tiny: TinyLocation) -> None:
    tiny.emr.faults.throttle(tiny.target.submits, times=2)
    tiny.emr.faults.drop_connection(tiny.target.polls, times=1)
    tiny.emr.faults.throttle(tiny.target.polls, times=10_000)  # for as long as the step takes: its events come from S3
    tiny.emr.faults.drop_connection("PutObject", times=2)
    tiny.emr.faults.break_object("/events/")
    tiny.emr.faults.break_object("/request.json")
    assert tiny.run().success
    assert len(tiny.step_ids) == 1


def test_a_run_creates_the_cluster_it_needs_and_another_when_that_one_terminates_itself(
    cluster_tiny: TinyLocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = set(cluster_tiny.emr.clusters)
    made = made_by_runs(cluster_tiny)
    first = cluster_tiny.run(**made)
    (cluster_id,) = set(cluster_tiny.emr.clusters) - before
    assert f"on cluster {cluster_id}, created for this run" in engine_said(first)
    send = step_attempt.prepare

    def sent_to_an_idle_cluster(*arguments: Any) -> Any:
        cluster_tiny.emr.faults.end_idle_cluster(cluster_id)
        return send(*arguments)

    monkeypatch.setattr(step_attempt, "prepare", sent_to_an_idle_cluster)
    second = cluster_tiny.run(**made)
    (other_id,) = set(cluster_tiny.emr.clusters) - before - {cluster_id}
    assert (first.success, second.success) == (True, True)
    assert f"on cluster {other_id}, created for this run" in engine_said(second)
    cluster_tiny.emr.client("emr").terminate_job_flows(JobFlowIds=[other_id])


def test_a_run_whose_cluster_cannot_start_reports_the_output_of_its_bootstrap_action(
    cluster_tiny: TinyLocation,
) -> None:
    cluster_tiny.emr.faults.fail_bootstrap("pip: no matching wheel for plums")
    outcome = cluster_tiny.run(retries=2, **made_by_runs(cluster_tiny))
    error = outcome.failure.error.to_string()
    assert "BOOTSTRAP_FAILURE" in error
    assert "pip: no matching wheel for plums" in error
    assert outcome.run.tags["dagster/retry_on_asset_or_op_failure"] == "false"


def made_by_runs(tiny: TinyLocation) -> dict[str, Any]:
    """Launcher settings with which clusters come from the project's own spec."""
    tiny.staging.put("bootstrap/0123/install_runtime.sh", b"#!/bin/bash\n")
    facts = dict.fromkeys(("project", "service_role", "instance_profile", "security_configuration"), "orchard")
    facts |= {"bootstrap_uri": f"{tiny.staging.uri}/bootstrap/0123"}
    return {"cluster_id": None, "cluster_spec": str(SPEC), "cluster_variables": facts}


def engine_said(outcome: Outcome) -> str:
    return "\n".join(event.message or "" for event in outcome.events("ENGINE_EVENT"))


def encryption_below(emr: EmrSimulator, place: StagingStore) -> dict[str, tuple[str | None, str | None]]:
    """Algorithm and key of every object under a place."""
    s3, prefix = emr.client("s3"), place.uri.removeprefix(f"s3://{place.bucket}/")
    heads = {name: s3.head_object(Bucket=place.bucket, Key=f"{prefix}/{name}") for name in place.list_keys()}
    return {name: (head.get("ServerSideEncryption"), head.get("SSEKMSKeyId")) for name, head in heads.items()}


def test_a_lost_answer_does_not_start_the_step_twice(tiny: TinyLocation) -> None:
    tiny.emr.faults.drop_connection(tiny.target.submits, times=1, after=True)
    assert tiny.run().success
    assert len(tiny.step_ids) == 1


def test_constructing_the_launcher_needs_no_network_no_credentials_and_no_boto3() -> None:
    program = (
        "import sys, warnings; warnings.simplefilter('error', DeprecationWarning)\n"
        "from fruit_assets.emr.ec2.step_launcher import EmrPySparkStepLauncher\n"
        "from dagster import StepLauncher\n"
        "launcher = EmrPySparkStepLauncher(staging='s3://b/x', packages=['fruit_assets'], cluster_spec='/nowhere')\n"
        "assert isinstance(launcher, StepLauncher)\n"
        "assert not {'boto3', 'botocore', 'pyspark'} & set(sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env={"PATH": os.environ["PATH"]}
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
