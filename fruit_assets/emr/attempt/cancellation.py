"""Cancel a step on EMR: an interrupt first, then a kill, until EMR confirms the end.

Put here the escalation. When a step is cancelled is decided in `step_attempt.py`.
"""

import contextlib
import time

import dagster as dg

from fruit_assets.emr.attempt.status_cache import MIN_INTERVAL, StepStatusCache
from fruit_assets.emr.aws import interruptible_sleep
from fruit_assets.emr.compute import Compute
from fruit_assets.emr.errors import ActionableError, TransientError
from fruit_assets.emr.protocol.heartbeat import CANCEL
from fruit_assets.emr.staging import StagingStore


class CancelFailedError(TransientError):
    """The step may still run; the message has the command that cancels it by hand."""


def cancel_step(
    compute: Compute, staging: StagingStore, attempt: StagingStore, step_id: str, reason: str, patience: float
) -> str:
    """Cancel a step and wait until EMR reports its end; returns its last state.

    A marker in the bucket reaches the step even where EMR's signal does not. A second Ctrl-C
    shortens the waiting but does not skip the kill.

    Args:
        compute: where it runs.
        staging: for the shared step statuses.
        attempt: the objects of the attempt.
        step_id: the service's id.
        reason: sent to the remote side.
        patience: seconds to wait after each of the two requests.

    Raises:
        CancelFailedError: EMR does not confirm the end; the message has the command to cancel by hand.
    """
    status_cache, problems = StepStatusCache(compute, staging, MIN_INTERVAL), []
    try:
        attempt.put(CANCEL, reason.encode())
    except ActionableError as error:
        problems.append(str(error))
    for force in (False, True):
        try:
            compute.cancel(step_id, force=force)
        except (ActionableError, dg.DagsterExecutionInterruptedError) as error:
            problems.append(str(error) or "interrupted")
        try:
            state = _final_state(status_cache, step_id, patience)
        except (ActionableError, dg.DagsterExecutionInterruptedError) as error:
            problems.append(str(error) or "interrupted")
            continue
        if state is not None:
            return state
    raise CancelFailedError(
        f"Step {step_id} on {compute.target_id} could not be cancelled and may still run. "
        f"{' '.join(dict.fromkeys(problems))} Cancel it by hand: {compute.cancel_command(step_id)}"
    )


def _final_state(status_cache: StepStatusCache, step_id: str, patience: float) -> str | None:
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        status = None
        with contextlib.suppress(TransientError):  # a throttled call is repeated and does not escalate
            status = status_cache.status(step_id)
        if status is not None and status.is_final:
            return status.state
        interruptible_sleep(0.5)
    return None
