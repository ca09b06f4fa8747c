"""Job runs of an application: what is sent, what is understood, and what is refused before it is sent."""

from datetime import UTC, datetime

import pytest

from fruit_assets.emr.aws import AwsRefusedError
from fruit_assets.emr.compute import Submission
from fruit_assets.emr.cost import load_prices
from fruit_assets.emr.errors import PermanentError
from fruit_assets.emr.serverless import compute as compute_module
from fruit_assets.emr.serverless.billed_hours import await_hours, cost_of_hours
from fruit_assets.emr.serverless.compute import EmrServerless
from fruit_assets.emr.serverless.job_runs import JobSettings
from fruit_assets_tests.emr.targets import BUCKET, ROLE, ApplicationTarget
from fruit_assets_tests.emr_simulator import EmrSimulator

SUBMISSION = Submission(
    "dagster/run/step[a]/1",
    "s3://b/main.py",
    ["s3://b/request.json"],
    "s3://b/code.zip",
    {"spark.x": "1"},
    tags={"run": "r"},
)
SETTINGS = JobSettings(ROLE, 60, f"s3://{BUCKET}/logs/", None, {"spark.x": "0", "spark.y": "2"}, {"project": "orchard"})


@pytest.fixture
def compute(emr: EmrSimulator) -> EmrServerless:
    return EmrServerless(ApplicationTarget(emr).id, settings=SETTINGS)


def test_a_job_run_is_requested_completely_and_once(emr: EmrSimulator, compute: EmrServerless) -> None:
    emr.faults.hang_next_step()
    emr.faults.drop_connection("StartJobRun", times=2, after=True)
    job_run = compute.submit(SUBMISSION)
    assert compute.submit(SUBMISSION) == job_run, "the same attempt is never started twice"
    assert list(compute.active()) == [job_run]
    request = emr.serverless.job_run(job_run).request
    overrides = request["configurationOverrides"]
    assert request["executionRoleArn"] == ROLE
    assert (request["executionTimeoutMinutes"], request["retryPolicy"]) == (60, {"maxAttempts": 1})
    assert request["tags"] == {"project": "orchard", "run": "r"}
    assert request["jobDriver"]["sparkSubmit"] == {
        "entryPoint": "s3://b/main.py",
        "entryPointArguments": ["s3://b/request.json"],
        "sparkSubmitParameters": "--py-files s3://b/code.zip",
    }
    assert overrides["applicationConfiguration"][0]["properties"] == {"spark.x": "1", "spark.y": "2"}
    assert overrides["monitoringConfiguration"] == {"s3MonitoringConfiguration": {"logUri": f"s3://{BUCKET}/logs/"}}
    assert compute.find(SUBMISSION.name) == job_run
    assert compute.find("another") is None
    compute.cancel(job_run, force=True)


@pytest.mark.parametrize("state", ["CREATING", "STOPPING"])
def test_a_job_run_waits_for_an_application_that_is_changing(
    emr: EmrSimulator, compute: EmrServerless, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    application = emr.serverless.applications[compute.application_id]
    application.pace = 3600.0  # seconds it takes to change
    application.change(state)
    waits: list[float] = []

    def change_meanwhile(seconds: float) -> None:
        waits.append(seconds)
        application.pace = 0.0

    monkeypatch.setattr(compute_module, "interruptible_sleep", change_meanwhile)
    assert compute.failure() is None
    job_run = compute.submit(SUBMISSION)
    assert len(waits) == 1
    assert list(application.job_runs) == [job_run]
    compute.cancel(job_run, force=True)


def test_every_state_has_a_phase_and_an_unknown_state_is_not_final(emr: EmrSimulator, compute: EmrServerless) -> None:
    emr.faults.hang_next_step()
    job_run = compute.submit(SUBMISSION)
    meanings = {
        "SUBMITTED": "waiting", "PENDING": "waiting", "QUEUED": "waiting", "SCHEDULED": "waiting",
        "RUNNING": "running", "CANCELLING": "cancelling", "SUCCESS": "succeeded", "FAILED": "failed",
        "CANCELLED": "cancelled", "HIBERNATING": "unknown",
    }  # fmt: skip
    found = {}
    for state in meanings:
        emr.serverless.job_run(job_run).reported_state = state
        found[state] = compute.statuses()[job_run].phase
        assert compute.statuses([job_run])[job_run].phase == found[state]
    emr.serverless.job_run(job_run).reported_state = None
    assert found == meanings
    compute.cancel(job_run, force=True)


@pytest.mark.parametrize(("asked", "sent"), [(2.0, 15), (60.4, 60), (9999.0, 1800)])
def test_a_grace_period_is_within_the_limits_of_emr_serverless(emr: EmrSimulator, asked: float, sent: int) -> None:
    compute = EmrServerless(ApplicationTarget(emr).id, settings=JobSettings(ROLE, grace_seconds=asked))
    emr.faults.hang_next_step()
    job_run = compute.submit(SUBMISSION)
    compute.cancel(job_run, force=False)
    assert emr.calls("CancelJobRun")[-1].params["shutdownGracePeriodInSeconds"] == sent
    emr.wait_for(lambda: emr.serverless.job_run(job_run).state == "CANCELLED")
    compute.cancel(job_run, force=True)  # it has ended: nothing to do


def test_an_unknown_job_run_cannot_be_cancelled(compute: EmrServerless) -> None:
    with pytest.raises(AwsRefusedError, match="00nowhere"):
        compute.cancel("00nowhere", force=True)


def test_a_refused_role_is_a_failure_that_is_not_retryable(emr: EmrSimulator, compute: EmrServerless) -> None:
    emr.faults.refuse_role()
    job_run = compute.submit(SUBMISSION)
    emr.wait_for(lambda: compute.statuses()[job_run].is_final)
    failure = compute.failure()
    assert failure is not None
    assert not failure.retryable
    assert ROLE in failure.message
    assert "Create the role first" in failure.message


def test_too_many_settings_and_a_missing_role_are_refused_before_submission() -> None:
    many = Submission("n", "s3://b/main.py", [], "", {f"spark.setting.{number}": "x" for number in range(101)})
    with pytest.raises(PermanentError, match="the limit is 100"):
        EmrServerless("00app", settings=JobSettings(ROLE)).submit(many)
    with pytest.raises(PermanentError, match="execution role"):
        EmrServerless("00app").submit(SUBMISSION)


def test_an_application_of_another_region_is_refused_with_the_region_named(emr: EmrSimulator) -> None:
    with pytest.raises(PermanentError, match="There is no application 00nowhere in region us-east-1"):
        EmrServerless("00nowhere").describe()


def test_the_command_to_cancel_by_hand_is_complete() -> None:
    assert EmrServerless("00app", "eu-west-3").cancel_command("00run") == (
        "aws emr-serverless cancel-job-run --application-id 00app --job-run-id 00run --region eu-west-3"
    )


def test_the_cost_of_a_job_run_is_the_billed_usage_at_the_tables_prices(
    emr: EmrSimulator, compute: EmrServerless
) -> None:
    prices, now = load_prices(), datetime.now(UTC)
    job_run = compute.submit(Submission("short", "s3://nowhere/main.py", []))
    emr.wait_for(lambda: emr.serverless.job_run(job_run).ended_at is not None)
    assert compute.cost(job_run, now, now, prices) is None, "unknown before the end"
    cost = compute.cost(job_run, now, now, prices, has_ended=True)
    assert cost is not None
    assert cost.usage == pytest.approx({"vcpu": 4 * 4 / 60, "memory_gb": 4 * 16 / 60, "storage_gb": 0.0})
    assert cost.usd == pytest.approx(4 / 60 * (4 * 0.052624 + 16 * 0.0057785))
    assert (cost.unit, cost.payer, cost.prices_of) == ("billed_hours", job_run, prices.date)


def test_storage_and_architecture_are_priced_and_an_unknown_one_is_named() -> None:
    hours = {"vcpu": 1.0, "memory_gb": 2.0, "storage_gb": 10.0}
    prices = load_prices()
    arm = cost_of_hours(hours, "ARM64", "job", prices)
    rates = prices.serverless["ARM64"]
    assert arm.usd == pytest.approx(rates["vcpu"] + 2 * rates["memory_gb"] + 10 * rates["storage_gb"])
    assert arm.usd < cost_of_hours(hours, "X86_64", "job", prices).usd
    assert cost_of_hours(hours, "RISCV", "job", prices).unpriced == ("EMR Serverless on RISCV",)


def test_used_hours_replace_hours_that_are_never_billed() -> None:
    used = {"totalResourceUtilization": {"vCPUHour": 0.5, "memoryGBHour": 1.0, "storageGBHour": 2.0}}
    assert await_hours(lambda: used, 0.0) == {"vcpu": 0.5, "memory_gb": 1.0, "storage_gb": 2.0}
    assert await_hours(dict, 0.0) is None
