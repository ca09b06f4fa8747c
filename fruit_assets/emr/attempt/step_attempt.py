"""One attempt of one step: prepare, submit, monitor, and cancel it when the run ends early.

Put here the order of an attempt's phases. Its outcome is decided in `monitor.py`; failures are translated for
Dagster in `../step_launcher.py`.
"""

import json
import random
import time
from collections.abc import Iterator
from typing import Any

import dagster as dg

from fruit_assets.emr.attempt.cancellation import CancelFailedError, cancel_step
from fruit_assets.emr.attempt.monitor import StepMonitor
from fruit_assets.emr.attempt.reporting import StepReport
from fruit_assets.emr.attempt.status_cache import StepStatusCache
from fruit_assets.emr.attempt.submission import check_step, prepare
from fruit_assets.emr.aws import AwsRefusedError, interruptible_sleep
from fruit_assets.emr.compute import AtCapacityError, Compute, Submission
from fruit_assets.emr.dagster_internals import EngineEventData
from fruit_assets.emr.errors import ActionableError, PermanentError, TransientError
from fruit_assets.emr.launcher_settings import LauncherSettings
from fruit_assets.emr.protocol.attempt import Attempt
from fruit_assets.emr.protocol.heartbeat import CANCEL, Heartbeat
from fruit_assets.emr.protocol.streams import EventReader, OutputReader
from fruit_assets.emr.staging import StagingStore

_SUBMITTED = "step.json"
CAPACITY_SECONDS = 20.0  # between two tries to submit to a target that is full
CAPACITY_MESSAGE_SECONDS = 60.0  # between two messages about it


class StepAttempt:
    """One attempt. `events` runs it; after a failure, `failure_metadata` describes it."""

    def __init__(self, launcher: LauncherSettings, context: dg.StepExecutionContext) -> None:
        self._launcher = launcher
        self._context = context
        self._staging = launcher.open_staging()
        self._source = launcher.compute_source(self._staging)
        self._compute: Compute | None = None
        self._attempt: Attempt | None = None
        self._submission: Submission | None = None
        self._step_id: str | None = None
        self._monitor: StepMonitor | None = None
        self._report: StepReport | None = None

    def events(self) -> Iterator[dg.DagsterEvent]:
        """Every event of the step. When this returns or raises, the remote step has ended or was cancelled.

        Raises:
            PermanentError, TransientError: see `StepMonitor`; on any other exception the step is cancelled first.
        """
        check_step(self._launcher, self._context)
        self._compute, origin = self._source.acquire()
        attempt, objects = self._open_attempt(self._compute)
        self._attempt = attempt
        heartbeat = Heartbeat(objects, self._launcher.heartbeat_seconds)
        try:
            self._submission = prepare(self._launcher, self._context, self._staging, attempt)
            origin = self._submit(objects, self._submission, origin)
            yield self._started_event(origin)
            yield from self._stream_events(attempt, objects)
        except BaseException as error:
            self._cancel(objects, error)
            raise
        finally:
            heartbeat.stop()

    def failure_metadata(self, error: ActionableError) -> dict[str, Any]:
        """Links, details and log tails of a failure; waits for EMR's logs when the step itself sent nothing."""
        if self._monitor is None or self._report is None or self._compute is None or self._step_id is None:
            return {}
        status = self._monitor.status
        is_silent = not self._monitor.reader.has_received and not self._monitor.stderr.tail
        tails: dict[str, str] = {}
        if is_silent and status is not None and status.phase in ("failed", "succeeded"):
            self._context.log.error(f"{error} Waiting for its logs, which EMR uploads within minutes.")
            tails = self._emr_logs(self._compute, self._step_id)
        try:
            costs = self._report.record_cost(self._attempt, status) if self._attempt else {}
            return {**self._report.failure_metadata(self._monitor, tails), **costs}
        except ActionableError as problem:
            return {
                "emr/step": self._step_id,
                self._report.target_key: self._compute.target_id,
                "emr/problem": str(problem),
            }

    def _open_attempt(self, compute: Compute) -> tuple[Attempt, StagingStore]:
        """Reserve an unused prefix; cancels older starts of the same attempt."""
        context, number = self._context, self._context.previous_attempt_count + 1
        for start in range(1, 100):
            name = str(number) if start == 1 else f"{number}-{start}"
            attempt = Attempt(context.run_id, context.step.key, number, name)
            objects = self._staging.subprefix(attempt.prefix)
            if objects.put_if_match("reserved", f"{time.time_ns()} {id(self)}".encode(), etag=None) is not None:
                return attempt, objects
            self._end_older_start(compute, objects)
        raise ActionableError(f"{context.step.key} was started 99 times in run {context.run_id}: start a new run.")

    def _end_older_start(self, compute: Compute, objects: StagingStore) -> None:
        """Cancel the step of an older start: it may still run when a run is resumed after its process died."""
        objects.put(CANCEL, b"the run was resumed, and the step was started again")
        submitted = objects.get(_SUBMITTED)
        if submitted is not None and json.loads(submitted.body)["target"] == compute.target_id:
            step_id = str(json.loads(submitted.body)["step"])
            status = compute.statuses([step_id]).get(step_id)
            if status is not None and not status.is_final:
                cancel_step(compute, self._staging, objects, step_id, "resumed", self._launcher.cancel_seconds)

    def _submit(self, objects: StagingStore, submission: Submission, origin: str) -> str:
        """Start the step; returns the origin of its target.

        A target that was found may shut down because it was idle; then another one is acquired.
        """
        for is_last in (False, False, True):
            compute = self._current()
            try:
                self._step_id = self._submit_when_possible(compute, submission)
                break
            except AwsRefusedError as refusal:
                failure = compute.failure(self._launcher.log_wait_seconds)
                if failure is None:
                    raise
                if is_last or not self._source.is_replaceable or not failure.clean_shutdown:
                    raise (TransientError if failure.retryable else PermanentError)(failure.message) from refusal
            self._compute, origin = self._source.acquire()
        objects.put(_SUBMITTED, json.dumps({"target": self._current().target_id, "step": self._step_id}).encode())
        return origin

    def _submit_when_possible(self, compute: Compute, submission: Submission) -> str:
        """Submit; while the target is at capacity, wait for other steps to end and log the progress."""
        started = time.monotonic()
        next_message = started
        limit = self._launcher.max_runtime_seconds
        while True:
            try:
                return compute.submit(submission)
            except AtCapacityError as full:
                waited = time.monotonic() - started
                if limit is not None and waited > limit:
                    raise
                if time.monotonic() >= next_message:
                    next_message = time.monotonic() + CAPACITY_MESSAGE_SECONDS
                    self._context.log.info(f"{full} Waiting for a free place since {waited:.0f} s.")
                interruptible_sleep(random.uniform(0.5, 1.0) * CAPACITY_SECONDS)  # noqa: S311

    def _stream_events(self, attempt: Attempt, objects: StagingStore) -> Iterator[dg.DagsterEvent]:
        launcher, compute, step_id = self._launcher, self._current(), str(self._step_id)
        monitor = StepMonitor(
            compute=compute,
            status_cache=StepStatusCache(compute, self._staging, launcher.poll_seconds),
            reader=EventReader(objects, attempt.run_id, attempt.step_key),
            stdout=OutputReader(objects, "stdout"),
            stderr=OutputReader(objects, "stderr"),
            step_id=step_id,
            max_runtime=launcher.max_runtime_seconds,
            log_patience=launcher.log_wait_seconds,
        )
        self._monitor = monitor
        report = StepReport(compute, step_id, self._staging.subprefix(f"runs/{attempt.run_id}"), launcher.prices)
        self._report = report
        for entry in monitor.events():
            yield from self._relay(report.with_metadata(entry, monitor.status))
        deferred_failure = monitor.outcome()
        costs = report.record_cost(attempt, monitor.status)
        if costs:
            yield self._engine_event(f"Step {step_id} cost about ${costs['emr/cost_usd']:.4f}.", costs)
        if deferred_failure is not None:
            yield from self._relay(report.with_failure_metadata(deferred_failure, monitor))

    def _relay(self, entry: dg.EventLogEntry) -> Iterator[dg.DagsterEvent]:
        """Store an event in this instance's log; yield it to the engine if it belongs to this step."""
        self._context.instance.handle_new_event(entry)
        event = entry.dagster_event
        if event is not None and event.step_key == self._context.step.key:
            yield event

    def _cancel(self, objects: StagingStore, error: BaseException) -> None:
        """Cancel the step; problems are logged, so that the original error is the one raised."""
        if self._submission is None or (self._monitor is not None and self._monitor.has_ended):
            return
        log, reason, compute = self._context.log, str(error) or type(error).__name__, self._current()
        try:
            step_id = self._step_id or compute.find(self._submission.name)
            if step_id is None:
                return
            patience = self._launcher.cancel_seconds
            state = cancel_step(compute, self._staging, objects, step_id, reason, patience)
            log.info(f"EMR step {step_id} on {compute.target_id} is {state}.")
        except CancelFailedError as failure:
            log.error(str(failure))
        except ActionableError as failure:
            log.error(f"The step of {self._submission.name} could not be cancelled: {failure}")

    def _emr_logs(self, compute: Compute, step_id: str) -> dict[str, str]:
        deadline = time.monotonic() + self._launcher.log_wait_seconds
        while True:
            try:
                tails = compute.log_tails(step_id)
            except ActionableError as error:
                return {"logs": f"EMR's logs cannot be read: {error}"}
            if tails or time.monotonic() > deadline:
                return tails
            interruptible_sleep(min(5.0, self._launcher.log_wait_seconds))

    def _current(self) -> Compute:
        assert self._compute is not None  # noqa: S101  `events` sets it before anything else
        return self._compute

    def _started_event(self, origin: str) -> dg.DagsterEvent:
        compute, step_id = self._current(), str(self._step_id)
        report = StepReport(compute, step_id, self._staging, None)
        message = f"EMR step {step_id} on {compute.kind} {compute.target_id}, {origin}."
        return self._engine_event(message, report.place())

    def _engine_event(self, message: str, metadata: dict[str, Any]) -> dg.DagsterEvent:
        return dg.DagsterEvent.engine_event(self._context, message, EngineEventData(metadata=metadata))
