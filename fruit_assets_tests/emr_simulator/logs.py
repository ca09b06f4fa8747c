"""EMR's log archive: gzip files under LogUri, uploaded late.

Put here where logs go and when. What is in them is written by the step executions and agents.
"""

import gzip
import threading
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit


class LogArchive:
    """Uploads logs some seconds after they were handed over, as EMR's log pusher does every five minutes.

    Args:
        client: S3 client of the simulator.
        delay_seconds: time between the end of a step and its logs' appearance.
    """

    def __init__(self, client: Any, delay_seconds: float) -> None:
        self._client = client
        self._delay = delay_seconds
        self._timers: list[threading.Timer] = []

    def archive(self, log_uri: str | None, logs: dict[str, bytes], key_id: str | None = None) -> None:
        """Upload `logs` (path below `log_uri` -> content) later; nothing when the cluster has no LogUri."""
        if log_uri is None:
            return
        timer = threading.Timer(self._delay, self._upload, (log_uri, logs, key_id))
        timer.daemon = True
        self._timers.append(timer)
        timer.start()

    def close(self) -> None:
        """Forget what was not uploaded yet."""
        for timer in self._timers:
            timer.cancel()
        for timer in self._timers:
            timer.join(timeout=10)

    def _upload(self, log_uri: str, logs: dict[str, bytes], key_id: str | None) -> None:
        place = urlsplit(log_uri)
        encryption = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key_id} if key_id else {}
        for name, content in logs.items():
            key = f"{place.path.strip('/')}/{name}.gz".lstrip("/")
            try:
                self._client.put_object(Bucket=place.netloc, Key=key, Body=gzip.compress(content), **encryption)
            except self._client.exceptions.NoSuchBucket:
                # EMR says nothing either: a wrong LogUri simply has no logs.
                return


def read_logs(folder: Path) -> dict[str, bytes]:
    """Every log of a step's folder by name."""
    return {log.name: log.read_bytes() for log in sorted(folder.iterdir()) if log.is_file()}
