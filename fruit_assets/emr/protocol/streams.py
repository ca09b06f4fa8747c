"""Streams of numbered objects from the node: events and output, written once, read once, in order.

Put here the writers' and readers' numbering. The content of an event object is `messages.py`; capturing
output is `../remote/output_capture.py`.
"""

import time
from collections.abc import Iterator
from queue import Empty, Queue
from threading import Thread

import dagster as dg

from fruit_assets.emr.errors import TransientError
from fruit_assets.emr.protocol.messages import Batch, CorruptMessageError, FinalMessage, decode_batch, encode_batch
from fruit_assets.emr.staging import StagingStore

# A burst of events becomes one object; no event waits longer than this.
BATCH_SECONDS = 0.5
# A damaged object is read again for this long: a broken read succeeds the next time, a truncated object never.
REREAD_SECONDS = 6.0


def event_name(sequence: int) -> str:
    """Name of the numbered events object, below the attempt."""
    return f"events/{sequence:06d}.json"


def output_name(stream: str, sequence: int) -> str:
    """Name of the numbered piece of `stdout` or `stderr`, below the attempt."""
    return f"output/{stream}/{sequence:06d}.txt"


class EventWriter:
    """Sends events from the node in order, from a thread of its own so that the step does not wait."""

    def __init__(self, objects: StagingStore) -> None:
        self._objects = objects
        self._queue: Queue[dg.EventLogEntry | FinalMessage] = Queue()
        self._sequence = 0
        self._next_send = 0.0
        self._failure: Exception | None = None
        self._thread = Thread(target=self._send, name="event-writer", daemon=True)
        self._thread.start()

    def put(self, event: dg.EventLogEntry) -> None:
        self._queue.put(event)

    def close(self, end: FinalMessage, patience: float = 120.0) -> None:
        """Send the remaining events and the final message; raises the error that stopped the sending, if any."""
        self._queue.put(end)
        self._thread.join(patience)
        if self._failure is not None:
            raise self._failure

    def _send(self) -> None:
        try:
            end: FinalMessage | None = None
            while end is None:
                events, end = self._next_batch()
                self._sequence += 1
                self._objects.put(event_name(self._sequence), encode_batch(self._sequence, events, end))
        except Exception as error:  # a thread cannot raise into the step: close() does
            self._failure = error

    def _next_batch(self) -> tuple[list[dg.EventLogEntry], FinalMessage | None]:
        """The next events to send: after a pause at once, because the process may die; in a burst those of a batch."""
        events: list[dg.EventLogEntry] = []
        item = self._queue.get()
        while True:
            if isinstance(item, FinalMessage):
                return events, item
            events.append(item)
            try:
                item = self._queue.get(timeout=max(0.0, self._next_send - time.monotonic()))
            except Empty:
                self._next_send = time.monotonic() + BATCH_SECONDS
                return events, None


class EventReader:
    """Reads the events of one attempt as they arrive, each object once."""

    def __init__(self, objects: StagingStore, run_id: str, step_key: str) -> None:
        self._objects = objects
        self._run_id = run_id
        self._step_key = step_key
        self._sequence = 0
        self._damaged_since: float | None = None
        self.end: FinalMessage | None = None

    @property
    def has_received(self) -> bool:
        return self._sequence > 0

    def poll(self) -> Iterator[dg.EventLogEntry]:
        """The events that have arrived since the last call.

        Raises:
            CorruptMessageError: an object stayed damaged; its events are lost.
            InvalidMessageError: an object holds what the launcher's steps never send.
        """
        while self.end is None:
            batch = self._next()
            if batch is None:
                return
            self._sequence += 1
            self.end = batch.end
            yield from batch.events

    def _next(self) -> Batch | None:
        sequence = self._sequence + 1
        stored = self._objects.get(event_name(sequence))
        if stored is None:
            return None
        try:
            batch = decode_batch(stored.body, sequence, run_id=self._run_id, step_key=self._step_key)
        except CorruptMessageError as error:
            now = time.monotonic()
            self._damaged_since = self._damaged_since or now
            if now - self._damaged_since < REREAD_SECONDS:
                return None
            raise CorruptMessageError(
                f"{self._objects.uri_of(event_name(sequence))} is damaged, so events are lost and the step's result "
                f"cannot be trusted: {error} Run it again."
            ) from error
        self._damaged_since = None
        return batch


class OutputReader:
    """Reads the numbered pieces of one output stream of the node."""

    def __init__(self, objects: StagingStore, stream: str, kept: int = 8000) -> None:
        self._objects = objects
        self._stream = stream
        self._sequence = 0
        self._kept = kept
        self.tail = ""

    def poll(self) -> str:
        """The text that has arrived since the last call. A failed read raises nothing: it is noted in the text."""
        text = ""
        try:
            while (stored := self._objects.get(output_name(self._stream, self._sequence + 1))) is not None:
                self._sequence += 1
                text += stored.body.decode(errors="replace")
        except TransientError as error:
            text += f"[{self._stream} could not be read: {error}]\n"
        self.tail = (self.tail + text)[-self._kept :]
        return text
