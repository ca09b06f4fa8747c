"""EMR's own logs on S3: found by listing, unpacked, and cut to their ends.

Put here what EMR uploads, minutes late. What the remote main streams itself is `streams.py`.
"""

import gzip
import time
import zlib

from fruit_assets.emr.aws import interruptible_sleep
from fruit_assets.emr.errors import ActionableError
from fruit_assets.emr.staging import StagingStore

TAIL_LINES = 60
_NOT_THERE = "(cannot be read: {})"


def step_log_tails(log_uri: str | None, cluster_id: str, step_id: str, region: str | None) -> dict[str, str]:
    """The last lines of controller, stderr, stdout and syslog of a step, as far as EMR has uploaded them.

    File names differ between releases (`stderr.gz`, `stderr.txt.gz`), so the folder is listed.
    """
    if log_uri is None:
        return {}
    folder = StagingStore(f"{log_uri}/{cluster_id}/steps/{step_id}", region)
    return {name.split("/")[-1].split(".")[0]: _tail(folder, name) for name in folder.list_keys()}


def bootstrap_errors(log_uri: str | None, cluster_id: str, region: str | None, patience: float) -> str:
    """The last lines that a bootstrap action wrote to stderr, on the first node that has any; or why there are none.

    Args:
        log_uri: the cluster's.
        cluster_id: of the cluster that failed.
        region: of its logs.
        patience: seconds to wait for EMR to upload them.
    """
    if log_uri is None:
        return "The cluster has no LogUri, so the bootstrap action's stderr is lost."
    folder = StagingStore(f"{log_uri}/{cluster_id}/node", region)
    deadline = time.monotonic() + patience
    while True:
        try:
            found = _bootstrap_stderr(folder)
        except ActionableError as error:
            return f"The bootstrap logs cannot be read: {error}"
        if found:
            return found
        if time.monotonic() >= deadline:
            return f"Bootstrap logs will be under {folder.uri} within about five minutes."
        interruptible_sleep(min(5.0, patience / 4))


def _bootstrap_stderr(folder: StagingStore) -> str:
    for name in folder.list_keys():
        if "/bootstrap-actions/" in name and name.split("/")[-1].startswith("stderr"):
            tail = _tail(folder, name)
            if tail.strip():
                return f"Bootstrap stderr ({folder.uri_of(name)}):\n{tail}\n"
    return ""


def _tail(folder: StagingStore, name: str) -> str:
    try:
        stored = folder.get(name)
    except ActionableError as error:
        return _NOT_THERE.format(error)
    raw = stored.body if stored else b""
    if name.endswith(".gz"):
        try:
            raw = gzip.decompress(raw)
        except (OSError, EOFError, zlib.error) as error:
            return _NOT_THERE.format(error)
    return "\n".join(raw.decode(errors="replace").splitlines()[-TAIL_LINES:])
