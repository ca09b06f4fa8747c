"""The step on the node: run it, send its events and output, stop when its orchestrator is lost.

Put here everything between the request and the exit code. Checks that must work before first-party code can
be imported are in `bootstrap_main.py`.
"""

import json
import sys
import traceback
import uuid
from collections.abc import Mapping
from typing import Any

import dagster as dg

from fruit_assets.emr.errors import ActionableError, PermanentError
from fruit_assets.emr.protocol.heartbeat import Watchdog
from fruit_assets.emr.protocol.messages import FinalMessage, Outcome
from fruit_assets.emr.protocol.step_request import unpack_request, unpack_upstream
from fruit_assets.emr.protocol.streams import EventWriter
from fruit_assets.emr.remote.output_capture import OutputCapture
from fruit_assets.emr.remote.rehydration import add_dynamic_partitions, run_step
from fruit_assets.emr.staging import StagingStore

INTERRUPTED = "Interrupted on the cluster: the step was cancelled."
_OUTCOMES: dict[dg.DagsterEventType, Outcome] = {
    dg.DagsterEventType.STEP_SUCCESS: "succeeded",
    dg.DagsterEventType.STEP_FAILURE: "failed",
    dg.DagsterEventType.STEP_UP_FOR_RETRY: "retry",
    dg.DagsterEventType.STEP_SKIPPED: "succeeded",
}


def run(request: Mapping[str, Any], attempt_uri: str) -> int:
    """Run the requested step; returns the exit code: 0 only after its success event was sent."""
    objects = StagingStore(attempt_uri, encryption=request["encryption"])
    claim = json.dumps({"claimed_by": uuid.uuid4().hex}).encode()
    if objects.put_if_match("started", claim, etag=None) is None:
        # YARN or EMR started the same attempt twice; the orchestrator monitors the first start.
        sys.stderr.write(f"{attempt_uri} has been started already, so this second start does nothing.\n")
        return 4
    captures = [OutputCapture(objects, "stdout", 1), OutputCapture(objects, "stderr", 2)]
    writer = EventWriter(objects)

    def close_with(end: FinalMessage) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        writer.close(end)

    watchdog = Watchdog(
        objects, float(request["heartbeat_seconds"]), lambda reason: close_with(FinalMessage("stopped", reason))
    )
    try:
        end = _run_watched(request, writer, watchdog)
    finally:
        watchdog.close()
    close_with(end)
    for capture in captures:
        capture.close()
    return 0 if end.outcome == "succeeded" else 1


def _run_watched(request: Mapping[str, Any], writer: EventWriter, watchdog: Watchdog) -> FinalMessage:
    try:
        reason = watchdog.stop_reason()
        if reason is not None:
            return FinalMessage("stopped", f"Not started. {reason}")
        outcome = _run_step(request, writer)
    except (KeyboardInterrupt, dg.DagsterExecutionInterruptedError):
        return FinalMessage("stopped", watchdog.reason or INTERRUPTED)
    except ActionableError as error:
        return FinalMessage("crashed", f"{error}\n{traceback.format_exc()}", isinstance(error, PermanentError))
    except Exception:  # outside the step's own error handling: only the final message reports it
        return FinalMessage("crashed", traceback.format_exc())
    if watchdog.reason is not None and outcome != "succeeded":
        return FinalMessage("stopped", watchdog.reason)
    if outcome == "stopped":
        return FinalMessage("stopped", INTERRUPTED)
    if outcome is None:
        return FinalMessage("crashed", "The step ended without an event of success or failure.")
    return FinalMessage(outcome)


def _run_step(request: Mapping[str, Any], writer: EventWriter) -> Outcome | None:
    reference = unpack_request(request)
    instance = dg.DagsterInstance.ephemeral()
    instance.add_event_listener(reference.run_id, writer.put)
    add_dynamic_partitions(instance, request["dynamic_partitions"])
    for entry in unpack_upstream(request):
        instance.event_log_storage.store_event(entry)
    outcome: Outcome | None = None
    for event in run_step(reference, instance):
        if event.is_step_event and event.step_key == reference.step_key:
            outcome = "stopped" if _is_interrupted(event) else _OUTCOMES.get(event.event_type, outcome)
    return outcome


def _is_interrupted(event: dg.DagsterEvent) -> bool:
    """Whether an interrupt caused the event: a retry policy turns even an interrupt into a retry."""
    error = event.step_retry_data.error if event.event_type == dg.DagsterEventType.STEP_UP_FOR_RETRY else None
    cause = error.cause if error else None
    return cause is not None and cause.cls_name in ("DagsterExecutionInterruptedError", "KeyboardInterrupt")
