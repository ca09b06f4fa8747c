"""Monitor one step. Sources by priority: events in S3, EMR step state, timeout.

Put here the loop of one attempt and its outcome. Metadata for people is `reporting.py`; cancelling is
`cancellation.py`.
"""

import re
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import dagster as dg

from fruit_assets.emr.attempt.status_cache import StepStatusCache
from fruit_assets.emr.aws import interruptible_sleep
from fruit_assets.emr.compute import Compute, StepStatus
from fruit_assets.emr.errors import PermanentError, TransientError
from fruit_assets.emr.protocol.streams import EventReader, OutputReader

LISTEN_SECONDS = 1.0  # between two reads of new events: a few GETs on S3, no call to EMR
# How long to read events after EMR reports the end, by phase. A step that succeeded has written all of them.
DRAIN_SECONDS = {"succeeded": 20.0}
FAILURE_CHECK_SECONDS = 60.0  # between two checks of the cluster while a step has not started
# How long status calls to EMR may fail. Events are read from S3, so a step survives an outage of EMR's API.
UNANSWERED_SECONDS = 900.0
# How long EMR may take to report a lost node after the remote side has lost its JVM.
LOST_JVM_SECONDS = 120.0

_LOST_JVM = re.compile(
    r"Answer from Java side is empty|Py4JNetworkError|Error while obtaining a new communication channel"
    r"|An error occurred while trying to connect to the Java server|Py4JError: .* does not exist in the JVM"
    r"|SparkContext was shut ?down"
)
_LAST_EVENTS = (dg.DagsterEventType.STEP_FAILURE, dg.DagsterEventType.STEP_UP_FOR_RETRY)


class RuntimeExceededError(PermanentError):
    """The step ran longer than the launcher allows."""


@dataclass
class StepMonitor:
    """One running attempt.

    Attributes:
        log_patience: seconds to wait for the logs that explain a cluster's failure.
        status: the latest status from EMR.
        deferred_failure: the event that fails or retries the step; deferred because a cancelled step sends one too.
        succeeded: the success event has arrived.
    """

    compute: Compute
    status_cache: StepStatusCache
    reader: EventReader
    stdout: OutputReader
    stderr: OutputReader
    step_id: str
    max_runtime: float | None
    log_patience: float = 0.0
    status: StepStatus | None = None
    deferred_failure: dg.EventLogEntry | None = None
    succeeded: bool = False
    _unanswered_since: float | None = None

    @property
    def has_ended(self) -> bool:
        return self.reader.end is not None or self.succeeded or (self.status is not None and self.status.is_final)

    def events(self) -> Iterator[dg.EventLogEntry]:
        """Every event of the step, as it arrives; returns when the step has ended.

        Raises:
            RuntimeExceededError: the step ran longer than `max_runtime`.
            TransientError, PermanentError: the cluster is lost, or a message is damaged or invalid.
        """
        started = time.monotonic()
        next_check = started + FAILURE_CHECK_SECONDS
        while not self.has_ended:
            yield from self._poll_events()
            if self.has_ended:
                break
            self._poll_status()
            if not self.reader.has_received and time.monotonic() > next_check:
                next_check = time.monotonic() + FAILURE_CHECK_SECONDS
                self._raise_compute_failure()
            if self.max_runtime is not None and time.monotonic() - started > self.max_runtime:
                raise RuntimeExceededError(f"Step {self.step_id} ran longer than the {self.max_runtime:.0f} s allowed.")
            interruptible_sleep(LISTEN_SECONDS)
        yield from self._drain()
        self._forward_output()

    def outcome(self) -> dg.EventLogEntry | None:
        """The outcome after the end: None for success, the deferred event for the step's own failure or retry.

        Raises:
            PermanentError: refused, cancelled by another client, or a failure that a retry would repeat.
            TransientError: the step was lost; a retry may help.
        """
        end = self.reader.end
        if self.succeeded:
            return None
        if end is not None and end.outcome in ("refused", "crashed"):
            raise (PermanentError if end.permanent else TransientError)(end.message)
        if self.deferred_failure is not None and (end is None or end.outcome != "stopped"):
            if _looks_like_a_lost_jvm(self.deferred_failure):
                self._raise_lost_jvm(self.deferred_failure)
            return self.deferred_failure
        self._await_final()
        phase = self.status.phase if self.status else "unknown"
        state = self.status.state if self.status else "unknown"
        if phase == "lost" or end is None:
            self._raise_compute_failure()
        if phase == "cancelled":
            raise PermanentError(f"Step {self.step_id} was cancelled on EMR, not by this run. {self._emr_reason()}")
        if end is not None and end.outcome == "stopped":
            raise TransientError(f"Step {self.step_id} stopped itself. {end.message}")
        if phase == "succeeded":
            raise TransientError(
                f"Step {self.step_id} is {state} on EMR, but no success event arrived: its result is not trusted. "
                f"{self._emr_reason()}"
            )
        raise TransientError(f"Step {self.step_id} ended as {state} without a final message. {self._emr_reason()}")

    def _raise_lost_jvm(self, failure: dg.EventLogEntry) -> None:
        """A lost node or cluster ends the JVM before its Python driver; wait for EMR to report the reason.

        Raises:
            TransientError, PermanentError: EMR's reason first, then the remote error.
        """
        self._await_final(LOST_JVM_SECONDS)
        remote = f"The remote side lost its JVM: {_error_text(failure)}"
        lost = self.compute.failure(self.log_patience)
        if lost is not None:
            raise (TransientError if lost.retryable else PermanentError)(f"{lost.message} {remote}")
        raise TransientError(f"Step {self.step_id} lost its JVM. {self._emr_reason()} {remote}")

    def _poll_events(self) -> Iterator[dg.EventLogEntry]:
        for entry in self.reader.poll():
            kind = entry.dagster_event.event_type if entry.dagster_event else None
            if kind in _LAST_EVENTS:
                self.deferred_failure = entry
                continue
            self.succeeded = self.succeeded or kind == dg.DagsterEventType.STEP_SUCCESS
            yield entry
        self._forward_output()

    def _drain(self) -> Iterator[dg.EventLogEntry]:
        deadline = time.monotonic() + DRAIN_SECONDS.get(self.status.phase if self.status else "", 3.0)
        while not self.succeeded and self.reader.end is None:
            yield from self._poll_events()
            if time.monotonic() > deadline:
                return
            interruptible_sleep(0.2)

    def _forward_output(self) -> None:
        # The run's compute log captures this process's streams: written there, remote output shows in the UI.
        for reader, stream in ((self.stdout, sys.stdout), (self.stderr, sys.stderr)):
            text = reader.poll()
            if text:
                stream.write(text)
                stream.flush()

    def _await_final(self, patience: float = 20.0) -> None:
        deadline = time.monotonic() + patience
        while not (self.status and self.status.is_final) and time.monotonic() < deadline:
            self._poll_status()
            interruptible_sleep(0.5)

    def _poll_status(self) -> None:
        """The current status; the previous one while EMR throttles or cannot be reached."""
        try:
            self.status = self.status_cache.status(self.step_id) or self.status
            self._unanswered_since = None
        except TransientError:
            self._unanswered_since = self._unanswered_since or time.monotonic()
            if time.monotonic() - self._unanswered_since > UNANSWERED_SECONDS:
                raise

    def _raise_compute_failure(self) -> None:
        failure = self.compute.failure(self.log_patience)
        if failure is not None:
            raise (TransientError if failure.retryable else PermanentError)(failure.message)

    def _emr_reason(self) -> str:
        """EMR's reason for the state of the step."""
        status = self.status
        if status is None:
            return "EMR returned no status for it."
        words = [status.reason, status.failure, f"Log: {status.log_file}" if status.log_file else ""]
        if status.phase == "unknown":
            words.append(f"{status.state} is a state this launcher does not know.")
        reason = " ".join(word for word in words if word)
        return f"EMR's reason: {reason}" if reason else "EMR gives no reason."


def _error_text(entry: dg.EventLogEntry) -> str:
    """Message and causes of a failure or retry event."""
    event = entry.dagster_event
    if event is None:
        return ""
    is_retry = event.event_type == dg.DagsterEventType.STEP_UP_FOR_RETRY
    error = (event.step_retry_data if is_retry else event.step_failure_data).error
    texts = []
    while error is not None:
        texts.append(error.message.strip())
        error = error.cause
    return " ".join(texts)


def _looks_like_a_lost_jvm(entry: dg.EventLogEntry) -> bool:
    return _LOST_JVM.search(_error_text(entry)) is not None
