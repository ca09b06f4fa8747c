"""Ending a step from outside: by signal, by limit, by a lost orchestrator; and when EMR does not obey."""

import signal

import pytest

from fruit_assets.emr.attempt.cancellation import CancelFailedError, cancel_step
from fruit_assets.emr.protocol.heartbeat import HEARTBEAT, MISSED_BEATS
from fruit_assets_tests.emr.conftest import TinyLocation, eventually
from fruit_assets_tests.emr_simulator.serverless.execution import JobRunPace

pytestmark = pytest.mark.long(140)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "terminate"])
def test_a_terminated_run_cancels_its_step_and_logs_it(tiny: TinyLocation, how: signal.Signals) -> None:
    process = tiny.start("sleep")
    step_id = tiny.wait_until_running()
    process.send_signal(how)
    assert process.wait(600) != 0
    assert tiny.states == ["CANCELLED"]
    assert tiny.target.cancel_requests == ["polite"]
    assert f"EMR step {step_id} on {tiny.target.id} is CANCELLED" in tiny.log, tiny.log[-6000:]
    assert "DagsterExecutionInterruptedError" in tiny.log, "what people see first is why, not how"


def test_a_step_beyond_its_maximum_runtime_is_cancelled_and_not_retried(tiny: TinyLocation) -> None:
    outcome = tiny.run("sleep", max_runtime_seconds=6.0, retries=2)
    assert "ran longer than the 6 s allowed" in outcome.failure.error.to_string()
    assert tiny.states == ["CANCELLED"]
    assert "is CANCELLED" in outcome.messages


def test_a_step_that_ignores_the_interrupt_is_killed(tiny: TinyLocation) -> None:
    tiny.emr.faults.hang_next_step()
    tiny.emr.faults.ignore_interrupt(times=5)
    # A grace period of minutes, so that the launcher's patience ends first.
    tiny.monkeypatch.setattr(tiny.emr.serverless, "pace", JobRunPace(grace_scale=20.0))
    outcome = tiny.run(max_runtime_seconds=2.0, cancel_seconds=4.0)
    assert tiny.target.cancel_requests == ["polite", "force"]
    eventually(lambda: tiny.states == ["CANCELLED"])  # on a busy machine after the launcher's patience
    assert "ran longer" in outcome.failure.error.to_string()


def test_when_the_cancel_fails_the_original_error_is_raised_and_the_command_is_logged(tiny: TinyLocation) -> None:
    tiny.emr.faults.hang_next_step()
    tiny.emr.faults.refuse(tiny.target.cancels, "AccessDeniedException", "not allowed to cancel", times=5)
    no_bill = {"billing_wait_seconds": 1.0} if tiny.target.kind == "application" else {}  # it has not ended
    outcome = tiny.run(max_runtime_seconds=2.0, cancel_seconds=2.0, log_wait_seconds=1.0, **no_bill)
    (step_id,) = tiny.step_ids
    assert "ran longer than the 2 s allowed" in outcome.failure.error.to_string()
    assert "not allowed to cancel" in outcome.messages
    assert tiny.target.compute.cancel_command(step_id) in outcome.messages
    tiny.target.kill(step_id)


def test_a_step_whose_orchestrator_was_killed_stops_itself(tiny: TinyLocation) -> None:
    tiny.configure(heartbeat_seconds=1.0)
    process = tiny.start("sleep")
    step_id = tiny.wait_until_running()
    process.kill()
    process.wait()
    assert tiny.wait_for_end(step_id) == "FAILED"
    events = [name for name in tiny.staging.list_keys("runs/") if "/events/" in name]
    last = tiny.staging.get(max(events))
    assert last is not None
    assert b"No heartbeat from the orchestrator" in last.body


def test_a_step_that_starts_after_its_orchestrator_was_lost_does_no_work(tiny: TinyLocation) -> None:
    tiny.configure(heartbeat_seconds=0.3)
    free = tiny.folder / "free"
    tiny.target.keep_busy(free)
    process = tiny.start()
    eventually(lambda: len(tiny.step_ids) == 2)
    process.kill()
    process.wait()
    (heartbeat,) = [name for name in tiny.staging.list_keys("runs/") if name.endswith(HEARTBEAT)]
    eventually(lambda: (tiny.staging.age(heartbeat) or 0) > 2 * MISSED_BEATS * 0.3)
    free.touch()
    assert tiny.wait_for_end(tiny.step_ids[-1]) == "FAILED"
    assert not (tiny.folder / "starts").exists()


def test_cancelling_a_step_that_has_ended_does_nothing(tiny: TinyLocation) -> None:
    assert tiny.run().success
    (step_id,) = tiny.step_ids
    tiny.wait_for_end(step_id)
    state = cancel_step(tiny.target.compute, tiny.staging, tiny.staging.subprefix("x"), step_id, "test", 10.0)
    assert state in ("COMPLETED", "SUCCESS")


def test_a_step_whose_end_is_not_confirmed_is_reported_with_its_id(tiny: TinyLocation) -> None:
    with pytest.raises(CancelFailedError, match="s-UNKNOWN"):
        cancel_step(tiny.target.compute, tiny.staging, tiny.staging.subprefix("x"), "s-UNKNOWN", "test", 0.5)
