"""Watching one step until it has ended: events first, EMR's word second, the clock third.

Put here the loop of one attempt and what its end means. What people are told is `reporting.py`,
how the step is ended from here is `cancellation.py`.
"""

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

from dagster._core.events import DagsterEventType
from dagster._core.events.log import EventLogEntry

from fruit_assets.emr.aws import pause
from fruit_assets.emr.compute import KNOWN_STATES, Compute, StepStatus
from fruit_assets.emr.status_cache import StepStatusCache
from fruit_assets.emr.streams import EventReader, OutputReader
from fruit_assets.errors import PermanentError, TransientError

LISTEN_SECONDS = 1.0  # between two looks for new events: two GETs on S3, none on EMR
# How long events may still come after EMR calls the step ended. A step that completed has written them all.
DRAIN_SECONDS = {"COMPLETED": 20.0}
TROUBLE_SECONDS = 60.0  # between two looks at the cluster while a step has not started
# How long EMR may leave questions unanswered. Events come from S3: a step need not die of EMR's bad moments.
UNANSWERED_SECONDS = 900.0

_LAST_EVENTS = (DagsterEventType.STEP_FAILURE, DagsterEventType.STEP_UP_FOR_RETRY)


class RuntimeExceededError(PermanentError):
    """The step ran longer than the launcher allows."""


@dataclass
class Watch:
    """One attempt in flight.

    Attributes:
        log_patience: seconds to wait for the logs that explain a cluster's failure.
        status: what EMR last said.
        held: the event that fails or retries the step; kept back until it is clear that nobody asked it to stop.
        succeeded: the success event has arrived.
    """

    compute: Compute
    board: StepStatusCache
    reader: EventReader
    stdout: OutputReader
    stderr: OutputReader
    step_id: str
    max_runtime: float | None
    log_patience: float = 0.0
    status: StepStatus | None = None
    held: EventLogEntry | None = None
    succeeded: bool = False
    _unanswered_since: float | None = None

    @property
    def has_ended(self) -> bool:
        return self.reader.end is not None or self.succeeded or (self.status is not None and self.status.is_final)

    def events(self) -> Iterator[EventLogEntry]:
        """Everything the step says, as it says it; returns when it has ended.

        Raises:
            RuntimeExceededError: it takes too long.
            TransientError, PermanentError: the cluster is lost, or a message is not what it should be.
        """
        started = time.monotonic()
        next_look = started + TROUBLE_SECONDS
        while not self.has_ended:
            yield from self._arrived()
            if self.has_ended:
                break
            self._look()
            if not self.reader.has_received and time.monotonic() > next_look:
                next_look = time.monotonic() + TROUBLE_SECONDS
                self._raise_trouble()
            if self.max_runtime is not None and time.monotonic() - started > self.max_runtime:
                raise RuntimeExceededError(f"Step {self.step_id} ran longer than the {self.max_runtime:.0f} s allowed.")
            pause(LISTEN_SECONDS)
        yield from self._drained()
        self._forward_output()

    def conclude(self) -> EventLogEntry | None:
        """What the end means: None after success, the held event after the step's own failure or retry.

        Raises:
            PermanentError: refused, cancelled by somebody else, or a failure that will come again.
            TransientError: it died; another try may do better.
        """
        end = self.reader.end
        if self.succeeded:
            return None
        if end is not None and end.outcome in ("refused", "crashed"):
            raise (PermanentError if end.permanent else TransientError)(end.message)
        if self.held is not None and (end is None or end.outcome != "stopped"):
            return self.held
        self._await_final()
        state = self.status.state if self.status else "unknown"
        if state == "INTERRUPTED" or end is None:
            self._raise_trouble()
        if state == "CANCELLED":
            raise PermanentError(f"Step {self.step_id} was cancelled on EMR, not from this run. {self._said()}")
        if end is not None and end.outcome == "stopped":
            raise TransientError(f"Step {self.step_id} stopped itself. {end.message}")
        if state == "COMPLETED":
            raise TransientError(
                f"Step {self.step_id} is COMPLETED on EMR, but no success event arrived: its result is not trusted. "
                f"{self._said()}"
            )
        raise TransientError(f"Step {self.step_id} ended as {state} before it could say how. {self._said()}")

    def _arrived(self) -> Iterator[EventLogEntry]:
        for entry in self.reader.poll():
            kind = entry.dagster_event.event_type if entry.dagster_event else None
            if kind in _LAST_EVENTS:
                self.held = entry
                continue
            self.succeeded = self.succeeded or kind == DagsterEventType.STEP_SUCCESS
            yield entry
        self._forward_output()

    def _drained(self) -> Iterator[EventLogEntry]:
        state = self.status.state if self.status else ""
        deadline = time.monotonic() + DRAIN_SECONDS.get(state, 3.0)
        while not self.succeeded and self.reader.end is None:
            yield from self._arrived()
            if time.monotonic() > deadline:
                return
            pause(0.2)

    def _forward_output(self) -> None:
        # The run's compute log captures this process's streams: written there, remote output shows in the UI.
        for reader, stream in ((self.stdout, sys.stdout), (self.stderr, sys.stderr)):
            text = reader.poll()
            if text:
                stream.write(text)
                stream.flush()

    def _await_final(self) -> None:
        deadline = time.monotonic() + 20.0
        while not (self.status and self.status.is_final) and time.monotonic() < deadline:
            self._look()
            pause(0.5)

    def _look(self) -> None:
        """What EMR says now; nothing new while it is throttled or cannot be reached."""
        try:
            self.status = self.board.status(self.step_id) or self.status
            self._unanswered_since = None
        except TransientError:
            self._unanswered_since = self._unanswered_since or time.monotonic()
            if time.monotonic() - self._unanswered_since > UNANSWERED_SECONDS:
                raise

    def _raise_trouble(self) -> None:
        trouble = self.compute.trouble(self.log_patience)
        if trouble is not None:
            raise (TransientError if trouble.retryable else PermanentError)(trouble.message)

    def _said(self) -> str:
        """EMR's own words about the step."""
        status = self.status
        if status is None:
            return "EMR has said nothing about it."
        words = [status.reason, status.failure, f"Log: {status.log_file}" if status.log_file else ""]
        if status.state not in KNOWN_STATES:
            words.append(f"{status.state} is a state this launcher does not know.")
        said = " ".join(word for word in words if word)
        return f"EMR says: {said}" if said else "EMR gives no reason."
