"""The launcher on EMR Serverless: what only applications and job runs do; the rest is in `../test_step_launcher.py`."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import pytest

from fruit_assets.emr.attempt import step_attempt
from fruit_assets.emr.staging import StagingStore
from fruit_assets_tests.emr.conftest import TinyLocation, eventually, tiny_location_on
from fruit_assets_tests.emr.targets import ROLE
from fruit_assets_tests.emr_simulator import EmrSimulator

pytestmark = pytest.mark.long(60)

# A job run that never started has neither logs nor a bill to wait for.
_NEVER_STARTED = {"log_wait_seconds": 1.0, "billing_wait_seconds": 1.0}


@pytest.fixture
def tiny(
    emr: EmrSimulator, staging: StagingStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[TinyLocation]:
    """The tiny code location on an application."""
    with tiny_location_on(emr, staging, tmp_path, monkeypatch, "application") as location:
        yield location


def test_a_run_creates_the_application_it_needs_and_another_when_that_one_was_deleted(
    tiny: TinyLocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    applications = tiny.emr.serverless.applications
    before = set(applications)
    first = tiny.run(application_id=None)
    (created,) = set(applications) - before
    prepare = step_attempt.prepare

    def prepare_while_it_is_deleted(*arguments: Any) -> Any:
        applications[created].change("TERMINATED")
        return prepare(*arguments)

    monkeypatch.setattr(step_attempt, "prepare", prepare_while_it_is_deleted)
    second = tiny.run(application_id=None)
    (other,) = set(applications) - before - {created}
    assert (first.success, second.success) == (True, True)
    for outcome, application in ((first, created), (second, other)):
        messages = [event.message or "" for event in outcome.events("ENGINE_EVENT")]
        assert any(f"on application {application}, created for this run" in message for message in messages)
    run = next(iter(applications[created].job_runs.values()))
    assert run.request["executionRoleArn"] == ROLE
    assert run.request["configurationOverrides"]["applicationConfiguration"][0]["properties"]["spark.task.cpus"] == "1"


@pytest.mark.parametrize(
    ("of", "words", "advice"),
    [
        ("application", "ApplicationMaxCapacityExceededException", "raise maximumCapacity"),
        ("account", "service limit on the maximum vCPU", "quota L-D05C8A75"),
    ],
)
def test_a_job_run_without_capacity_is_retryable_and_reported_with_advice(
    tiny: TinyLocation, of: Literal["application", "account"], words: str, advice: str
) -> None:
    tiny.emr.faults.exceed_capacity(of)
    outcome = tiny.run(retries=1, **_NEVER_STARTED)
    assert outcome.success
    eventually(lambda: tiny.states == ["FAILED", "COMPLETED"])
    assert words in outcome.messages
    assert advice in outcome.messages


def test_a_role_that_cannot_be_assumed_is_reported_and_not_retried(tiny: TinyLocation) -> None:
    tiny.emr.faults.refuse_role()
    outcome = tiny.run(retries=2, **_NEVER_STARTED)
    assert f"Could not assume execution role {ROLE}" in outcome.failure.error.to_string()
    assert "Create the role first" in outcome.failure.error.to_string()
    assert len(tiny.step_ids) == 1


def test_a_given_application_that_was_deleted_or_is_in_another_region_is_refused_with_advice(
    tiny: TinyLocation,
) -> None:
    tiny.emr.serverless.applications[tiny.target.id].change("TERMINATED")
    refused = tiny.run(retries=2).failure.error.to_string()
    assert f"Application {tiny.target.id} is TERMINATED" in refused
    assert "set the id of a running one" in refused
    elsewhere = tiny.run(application_id="00elsewhere").failure.error.to_string()
    assert "There is no application 00elsewhere in region us-east-1" in elsewhere


def test_a_job_run_that_waits_for_others_runs_in_its_turn(tiny: TinyLocation) -> None:
    free = tiny.folder / "free"
    tiny.target.keep_busy(free)

    def free_it_when_ours_waits() -> None:
        eventually(lambda: len(tiny.step_ids) == 2 and tiny.states[1] == "PENDING")
        free.touch()

    with ThreadPoolExecutor(1) as pool:
        freed = pool.submit(free_it_when_ours_waits)
        outcome = tiny.run()
        freed.result()
    assert outcome.success
    busy, ours = tiny.emr.serverless.applications[tiny.target.id].job_runs.values()
    assert ours.started_at is not None
    assert busy.ended_at is not None
    assert busy.ended_at <= ours.started_at
