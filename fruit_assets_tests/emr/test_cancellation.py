"""Ending a step from outside: by signal, by limit, by a lost orchestrator; and when EMR does not obey."""

import signal

import pytest

from fruit_assets.emr.attempt.cancellation import CancelFailedError, cancel_step
from fruit_assets.emr.ec2.compute import EmrOnEc2
from fruit_assets_tests.emr.conftest import TinyLocation, eventually

pytestmark = pytest.mark.long


def cancel_options(tiny: TinyLocation) -> list[str]:
    calls = tiny.emr.calls("CancelSteps")
    return [call.params["StepCancellationOption"] for call in calls if call.params["ClusterId"] == tiny.cluster_id]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "terminate"])
def test_a_terminated_run_cancels_its_step_and_says_so(tiny: TinyLocation, how: signal.Signals) -> None:
    process = tiny.start("sleep")
    step_id = tiny.wait_until_running()
    process.send_signal(how)
    assert process.wait(180) != 0
    assert tiny.states == ["CANCELLED"]
    assert cancel_options(tiny) == ["SEND_INTERRUPT"]
    assert f"EMR step {step_id} on {tiny.cluster_id} is CANCELLED" in tiny.log
    assert "DagsterExecutionInterruptedError" in tiny.log, "what people see first is why, not how"


def test_a_step_over_its_time_is_cancelled_and_not_retried(tiny: TinyLocation) -> None:
    outcome = tiny.run("sleep", max_runtime_seconds=6.0, retries=2)
    assert "ran longer than the 6 s allowed" in outcome.failure.error.to_string()
    assert tiny.states == ["CANCELLED"]
    assert "is CANCELLED" in outcome.messages


def test_a_step_that_ignores_the_interrupt_is_killed(tiny: TinyLocation) -> None:
    tiny.emr.faults.hang_next_step()
    tiny.emr.faults.ignore_interrupt(times=5)
    outcome = tiny.run(max_runtime_seconds=2.0, cancel_seconds=4.0)
    assert cancel_options(tiny) == ["SEND_INTERRUPT", "TERMINATE_PROCESS"]
    assert tiny.states == ["CANCELLED"]
    assert "ran longer" in outcome.failure.error.to_string()


def test_when_the_cancel_itself_fails_the_reason_stays_and_the_command_is_given(tiny: TinyLocation) -> None:
    tiny.emr.faults.hang_next_step()
    tiny.emr.faults.refuse("CancelSteps", "AccessDeniedException", "not allowed to cancel", times=5)
    outcome = tiny.run(max_runtime_seconds=2.0, cancel_seconds=2.0)
    (step_id,) = tiny.step_ids
    assert "ran longer than the 2 s allowed" in outcome.failure.error.to_string()
    assert "not allowed to cancel" in outcome.messages
    command = f"aws emr cancel-steps --cluster-id {tiny.cluster_id} --step-ids {step_id}"
    assert f"{command} --step-cancellation-option TERMINATE_PROCESS" in outcome.messages
    tiny.emr.faults.kill_step(step_id, tree=True)


def test_a_step_whose_orchestrator_was_killed_stops_itself(tiny: TinyLocation) -> None:
    tiny.configure(heartbeat_seconds=1.0)
    process = tiny.start("sleep")
    step_id = tiny.wait_until_running()
    process.kill()
    process.wait(120)
    assert tiny.emr.wait_for_step(step_id, timeout=180) == "FAILED"
    events = [name for name in tiny.staging.list_keys("runs/") if "/events/" in name]
    last = tiny.staging.get(max(events))
    assert last is not None
    assert b"No sign of life from the orchestrator" in last.body


def test_a_step_that_starts_after_its_orchestrator_died_does_no_work(tiny: TinyLocation) -> None:
    tiny.configure(heartbeat_seconds=0.3)
    blocker = tiny.emr.client("emr")
    steps_at_once = tiny.emr.clusters[tiny.cluster_id]
    blocker.modify_cluster(ClusterId=tiny.cluster_id, StepConcurrencyLevel=1)
    sleep = {"Jar": "command-runner.jar", "Args": ["sleep", "8"]}
    blocker.add_job_flow_steps(
        JobFlowId=tiny.cluster_id, Steps=[{"Name": "busy", "ActionOnFailure": "CONTINUE", "HadoopJarStep": sleep}]
    )
    process = tiny.start()
    eventually(lambda: len(steps_at_once.steps) == 2)
    process.kill()
    process.wait(120)
    assert tiny.emr.wait_for_step(tiny.step_ids[-1], timeout=180) == "FAILED"
    assert not (tiny.folder / "starts").exists()


def test_cancelling_a_step_that_has_ended_is_no_failure(tiny: TinyLocation) -> None:
    assert tiny.run().success
    (step_id,) = tiny.step_ids
    tiny.emr.wait_for_step(step_id)
    state = cancel_step(EmrOnEc2(tiny.cluster_id), tiny.staging, tiny.staging.subprefix("x"), step_id, "test", 10.0)
    assert state == "COMPLETED"


def test_a_step_nobody_can_confirm_is_reported_with_its_id(tiny: TinyLocation) -> None:
    with pytest.raises(CancelFailedError, match="s-UNKNOWN"):
        cancel_step(EmrOnEc2(tiny.cluster_id), tiny.staging, tiny.staging.subprefix("x"), "s-UNKNOWN", "test", 0.5)
