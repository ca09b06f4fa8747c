"""Stderr of a cluster's bootstrap actions, from the logs that EMR uploads minutes later.

Put here where EMR on EC2 stores those logs. Reading a log is `../logs.py`.
"""

import time

from fruit_assets.emr.aws import interruptible_sleep
from fruit_assets.emr.errors import ActionableError
from fruit_assets.emr.logs import log_tail
from fruit_assets.emr.staging import StagingStore


def bootstrap_errors(log_uri: str | None, cluster_id: str, region: str | None, patience: float) -> str:
    """The last lines that a bootstrap action wrote to stderr, on the first node that has any; or why there are none.

    Args:
        log_uri: the cluster's.
        cluster_id: of the cluster that failed.
        region: of its logs.
        patience: seconds to wait for EMR to upload them.
    """
    if log_uri is None:
        return "The cluster has no LogUri, so the bootstrap action's stderr was not kept."
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
            tail = log_tail(folder, name)
            if tail.strip():
                return f"Bootstrap stderr ({folder.uri_of(name)}):\n{tail}\n"
    return ""
