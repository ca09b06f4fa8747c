"""The heartbeat from orchestrator to step, and the marker that stops a step.

Put here both ends: `Heartbeat` runs in the orchestrator, `Watchdog` on the node, where it stops a step whose
orchestrator is lost or cancels it. Cancelling the step on EMR is `../attempt/cancellation.py`.
"""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

from fruit_assets.emr.errors import ActionableError
from fruit_assets.emr.staging import StagingStore

HEARTBEAT = "heartbeat"
CANCEL = "cancel"
# Missed beats before a step counts as an orphan: fewer would stop steps after a short loss of connection.
MISSED_BEATS = 6
# Seconds between interrupting a step and killing its process.
GRACE_SECONDS = 15.0
# EMR counts a cluster as idle while a driver works without YARN, unless this file was touched recently.
_BUSY_FILE = Path("/emr/metricscollector/isbusy")


class Heartbeat:
    """Beats from the orchestrator until stopped. The first beat is written before the constructor returns."""

    def __init__(self, objects: StagingStore, seconds: float) -> None:
        self._objects = objects
        self._seconds = seconds
        self._stopped = threading.Event()
        objects.put(HEARTBEAT, b"")
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()

    def _beat(self) -> None:
        while not self._stopped.wait(self._seconds):
            # A failed write is one missed beat; the next one may succeed.
            with contextlib.suppress(ActionableError):
                self._objects.put(HEARTBEAT, b"")


class Watchdog:
    """Runs on the node; stops this process when its orchestrator is lost or cancels it.

    Args:
        objects: the attempt's.
        heartbeat_seconds: the orchestrator's interval.
        before_exit: called with the reason before the process is killed.
    """

    def __init__(self, objects: StagingStore, heartbeat_seconds: float, before_exit: Callable[[str], None]) -> None:
        self._objects = objects
        self._limit = MISSED_BEATS * heartbeat_seconds
        self._pause = min(5.0, heartbeat_seconds)
        self._before_exit = before_exit
        self._parent = os.getppid()
        self._closed = threading.Event()
        self.reason: str | None = None
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._closed.set()

    def stop_reason(self) -> str | None:
        """Why the step must stop, or must not start; None while its orchestrator lives."""
        if os.getppid() != self._parent:
            return "spark-submit has ended."
        cancel = self._objects.get(CANCEL)
        if cancel is not None:
            return f"The orchestrator cancelled the step: {cancel.body.decode(errors='replace')[:500]}"
        age = self._objects.age(HEARTBEAT)
        if age is None or age > self._limit:
            since = "" if age is None else f" for {age:.0f} s"
            return f"No heartbeat from the orchestrator{since}; the limit is {self._limit:.0f} s."
        return None

    def _watch(self) -> None:
        unreachable_since: float | None = None
        while not self._closed.wait(self._pause):
            with contextlib.suppress(OSError):
                if _BUSY_FILE.parent.is_dir():
                    _BUSY_FILE.touch()
            try:
                reason = self.stop_reason()
                unreachable_since = None
            except ActionableError as error:
                unreachable_since = unreachable_since or time.monotonic()
                # Without the bucket the step cannot deliver a result.
                unreachable = time.monotonic() - unreachable_since > self._limit
                reason = f"The staging bucket cannot be reached: {error}" if unreachable else None
            if reason is not None:
                self.reason = self.reason or reason
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
                self._kill_after_grace()
                return

    def _kill_after_grace(self) -> None:
        if not self._closed.wait(GRACE_SECONDS):
            self._before_exit(self.reason or "stopped")
            os._exit(143)
