"""One attempt of one step: made ready, sent, listened to, and never left behind.

Put here the course of an attempt. What its end means is `monitor.py`; how failures become
Dagster's is `step_launcher.py`.
"""

import json
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from dagster._core.events import DagsterEvent, EngineEventData
from dagster._core.events.log import EventLogEntry
from dagster._core.execution.context.system import StepExecutionContext

from fruit_assets.emr.aws import AwsRefusedError, pause
from fruit_assets.emr.cancellation import CancelFailedError, cancel_step
from fruit_assets.emr.compute import Compute, Submission
from fruit_assets.emr.heartbeat import CANCEL, Heartbeat
from fruit_assets.emr.monitor import Watch
from fruit_assets.emr.reporting import StepReport
from fruit_assets.emr.staging import StagingStore
from fruit_assets.emr.status_cache import StepStatusCache
from fruit_assets.emr.step_request import Attempt
from fruit_assets.emr.streams import EventReader, OutputReader
from fruit_assets.emr.submission import sent
from fruit_assets.errors import FruitAssetsError, PermanentError, TransientError

if TYPE_CHECKING:
    from fruit_assets.emr.step_launcher import EmrPySparkStepLauncher

_SUBMITTED = "step.json"


class StepAttempt:
    """One attempt. `events` runs it; afterwards `failure_metadata` says what is known about a failure."""

    def __init__(self, launcher: "EmrPySparkStepLauncher", context: StepExecutionContext) -> None:
        self._launcher = launcher
        self._context = context
        self._staging = StagingStore(launcher.staging, launcher.region, launcher.encryption)
        self._compute: Compute | None = None
        self._attempt: Attempt | None = None
        self._submission: Submission | None = None
        self._step_id: str | None = None
        self._watch: Watch | None = None
        self._report: StepReport | None = None

    def events(self) -> Iterator[DagsterEvent]:
        """Everything the step says. However this ends, the step on EMR has ended or been told to.

        Raises:
            PermanentError, TransientError: see `Watch`; whatever else is raised, the step is cancelled first.
        """
        self._launcher.check()
        self._compute, origin = self._launcher.compute(self._staging)
        attempt, objects = self._open_attempt(self._compute)
        self._attempt = attempt
        heartbeat = Heartbeat(objects, self._launcher.heartbeat_seconds)
        try:
            self._submission = sent(self._launcher, self._context, self._staging, attempt)
            origin = self._submit(objects, self._submission, origin)
            yield self._said_started(origin)
            yield from self._told(attempt, objects)
        except BaseException as error:
            self._cancel(objects, error)
            raise
        finally:
            heartbeat.stop()

    def failure_metadata(self, error: FruitAssetsError) -> dict[str, Any]:
        """Links, details and log ends for a failure; waits for EMR's logs when the step died without a word."""
        if self._watch is None or self._report is None or self._compute is None or self._step_id is None:
            return {}
        status = self._watch.status
        is_mute = not self._watch.reader.has_received and not self._watch.stderr.tail
        tails: dict[str, str] = {}
        if is_mute and status is not None and status.state in ("FAILED", "COMPLETED"):
            self._context.log.error(f"{error} Its own logs arrive within minutes; waiting for them.")
            tails = self._emr_logs(self._compute, self._step_id)
        try:
            costs = self._report.record_cost(self._attempt, status) if self._attempt else {}
            return {**self._report.failure_metadata(self._watch, tails), **costs}
        except FruitAssetsError as problem:
            return {"emr/step": self._step_id, "emr/cluster": self._compute.target_id, "emr/problem": str(problem)}

    def _open_attempt(self, compute: Compute) -> tuple[Attempt, StagingStore]:
        """Write the request under a name nobody used; an older start of the same attempt is ended first."""
        context, number = self._context, self._context.previous_attempt_count + 1
        for start in range(1, 100):
            name = str(number) if start == 1 else f"{number}-{start}"
            attempt = Attempt(context.run_id, context.step.key, number, name)
            objects = self._staging.at(attempt.prefix)
            if objects.put_if_match("reserved", f"{time.time_ns()} {id(self)}".encode(), etag=None) is not None:
                return attempt, objects
            self._end_older_start(compute, objects)
        raise FruitAssetsError(f"{context.step.key} was started 99 times in run {context.run_id}: start a new run.")

    def _end_older_start(self, compute: Compute, objects: StagingStore) -> None:
        """A run that was resumed after its process died may have left its step behind."""
        objects.put(CANCEL, b"the run was resumed, and the step was started again")
        submitted = objects.get(_SUBMITTED)
        if submitted is not None and json.loads(submitted.body)["cluster"] == compute.target_id:
            step_id = str(json.loads(submitted.body)["step"])
            status = compute.statuses([step_id]).get(step_id)
            if status is not None and not status.is_final:
                cancel_step(compute, self._staging, objects, step_id, "resumed", self._launcher.cancel_seconds)

    def _submit(self, objects: StagingStore, submission: Submission, origin: str) -> str:
        """Start the step; returns where its cluster came from.

        A cluster that was found may be ending for having been idle: then another takes its place.
        """
        for last in (False, False, True):
            compute = self._current()
            try:
                self._step_id = compute.submit(submission)
                break
            except AwsRefusedError as refusal:
                trouble = compute.trouble(self._launcher.log_wait_seconds)
                if trouble is None:
                    raise
                if last or self._launcher.cluster_id or not trouble.clean_shutdown:
                    raise (TransientError if trouble.retryable else PermanentError)(trouble.message) from refusal
            self._compute, origin = self._launcher.compute(self._staging)
        objects.put(_SUBMITTED, json.dumps({"cluster": self._current().target_id, "step": self._step_id}).encode())
        return origin

    def _told(self, attempt: Attempt, objects: StagingStore) -> Iterator[DagsterEvent]:
        launcher, compute, step_id = self._launcher, self._current(), str(self._step_id)
        watch = Watch(
            compute=compute,
            board=StepStatusCache(compute, self._staging, launcher.poll_seconds),
            reader=EventReader(objects, attempt.run_id, attempt.step_key),
            stdout=OutputReader(objects, "stdout"),
            stderr=OutputReader(objects, "stderr"),
            step_id=step_id,
            max_runtime=launcher.max_runtime_seconds,
            log_patience=launcher.log_wait_seconds,
        )
        self._watch = watch
        self._report = StepReport(compute, step_id, self._staging.at(f"runs/{attempt.run_id}"), launcher.prices)
        for entry in watch.events():
            yield from self._passed_on(self._report.with_metadata(entry, watch.status))
        held = watch.conclude()
        costs = self._report.record_cost(attempt, watch.status)
        if costs:
            yield self._engine_event(f"Step {step_id} cost about ${costs['emr/cost_usd']:.4f}.", costs)
        if held is not None:
            yield from self._passed_on(self._report.failed(held, watch))

    def _passed_on(self, entry: EventLogEntry) -> Iterator[DagsterEvent]:
        """Into this instance's event log, and to the engine what concerns this step."""
        self._context.instance.handle_new_event(entry)
        event = entry.dagster_event
        if event is not None and event.step_key == self._context.step.key:
            yield event

    def _cancel(self, objects: StagingStore, error: BaseException) -> None:
        """End the step; the error that led here stays the one people see."""
        if self._submission is None or (self._watch is not None and self._watch.has_ended):
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
        except FruitAssetsError as failure:
            log.error(f"The step of {self._submission.name} could not be cancelled: {failure}")

    def _emr_logs(self, compute: Compute, step_id: str) -> dict[str, str]:
        deadline = time.monotonic() + self._launcher.log_wait_seconds
        while True:
            try:
                tails = compute.log_tails(step_id)
            except FruitAssetsError as error:
                return {"logs": f"EMR's logs cannot be read: {error}"}
            if tails or time.monotonic() > deadline:
                return tails
            pause(min(5.0, self._launcher.log_wait_seconds))

    def _current(self) -> Compute:
        assert self._compute is not None  # noqa: S101  `events` sets it before anything else
        return self._compute

    def _said_started(self, origin: str) -> DagsterEvent:
        compute, step_id = self._current(), str(self._step_id)
        report = StepReport(compute, step_id, self._staging, None)
        return self._engine_event(f"EMR step {step_id} on cluster {compute.target_id}, {origin}.", report.place())

    def _engine_event(self, message: str, metadata: dict[str, Any]) -> DagsterEvent:
        return DagsterEvent.engine_event(self._context, message, EngineEventData(metadata=metadata))
