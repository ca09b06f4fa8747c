"""Standard output and error of the process, sent to the staging bucket while it runs.

Put here the capture of file descriptors, which includes the output of native libraries. The output is also
written to the original descriptors, so that EMR's own logs stay complete.
"""

import os
import sys
import time
from threading import Thread

from fruit_assets.emr.errors import ActionableError
from fruit_assets.emr.protocol.streams import output_name
from fruit_assets.emr.staging import StagingStore

SEND_SECONDS = 1.0
PIECE_BYTES = 256 * 1024
# Upper bound of what is sent per stream; the rest is only in EMR's own log.
LIMIT_BYTES = 50 * 2**20


class OutputCapture:
    """Sends one stream, given by its file descriptor (1 or 2), until closed."""

    def __init__(self, objects: StagingStore, stream: str, descriptor: int) -> None:
        self._objects = objects
        self._stream = stream
        self._descriptor = descriptor
        self._sequence = 0
        self._sent = 0
        self._original = os.dup(descriptor)
        self._reading, writing = os.pipe()
        os.dup2(writing, descriptor)
        os.close(writing)
        self._thread = Thread(target=self._forward, name=f"{stream}-capture", daemon=True)
        self._thread.start()

    def close(self, patience: float = 20.0) -> None:
        """Restore the descriptor and send the remaining output."""
        (sys.stdout if self._descriptor == 1 else sys.stderr).flush()
        os.dup2(self._original, self._descriptor)
        # A child process may keep the pipe open, so the end of the stream may never arrive.
        self._thread.join(patience)

    def _forward(self) -> None:
        pending = b""
        last_sent = 0.0
        while True:
            piece = os.read(self._reading, 65536)
            if piece:
                os.write(self._original, piece)
            pending += piece
            due = time.monotonic() - last_sent >= SEND_SECONDS or len(pending) >= PIECE_BYTES
            if pending and (due or not piece or not self._has_more()):
                self._send(pending)
                pending, last_sent = b"", time.monotonic()
            if not piece:
                return

    def _has_more(self) -> bool:
        import select

        return bool(select.select([self._reading], [], [], SEND_SECONDS)[0])

    def _send(self, piece: bytes) -> None:
        if self._sent > LIMIT_BYTES:
            return
        self._sent += len(piece)
        if self._sent > LIMIT_BYTES:
            piece += b"\n[more output is only in EMR's own logs]\n"
        self._sequence += 1
        try:
            self._objects.put(output_name(self._stream, self._sequence), piece)
        except ActionableError as error:
            # Written to EMR's own log; a gap in the numbers would hide all later pieces.
            self._sequence -= 1
            os.write(self._original, f"[output not sent: {error}]\n".encode())
