"""Share EMR step statuses between processes to stay below the API limit.

Put here how often EMR is called. DescribeStep and ListSteps allow one call per two seconds for a
whole account, so all processes that monitor one cluster share a small object in the staging bucket and
take turns.
"""

import json
import time
import uuid

from fruit_assets.emr.compute import Compute, StepStatus
from fruit_assets.emr.staging import StagingStore, StoredObject

MIN_INTERVAL = 2.0  # seconds; the refill of EMR's token bucket
# Seconds after which another process calls, because the one that claimed the call is slow or has died.
CALLING_SECONDS = 15.0
_KEPT = 300  # steps kept in the shared object: EMR itself allows 256 in flight


class StepStatusCache:
    """Statuses of the steps of one cluster, shared through the staging bucket.

    Args:
        compute: where the steps run.
        staging: the staging bucket; the shared object is named by the cluster's id.
        interval: seconds between two calls to EMR, over all processes; at least two.
    """

    def __init__(self, compute: Compute, staging: StagingStore, interval: float) -> None:
        self._compute = compute
        self._staging = staging
        self._name = f"clusters/{compute.target_id}/steps.json"
        # S3 reports ages in whole seconds: one more keeps two calls from coming closer than the interval.
        self._interval = max(MIN_INTERVAL, interval) + 1.0
        self._read_at = -1e9
        self._known: dict[str, StepStatus] = {}
        self._is_old = False

    def status(self, step_id: str) -> StepStatus | None:
        """The latest status of a step; None while it is unknown. Cheap to call often."""
        if time.monotonic() - self._read_at < min(1.0, self._interval / 2):
            return self._known.get(step_id)
        self._read_at = time.monotonic()
        stored = self._staging.get(self._name)
        self._known, is_claimed = _decode(stored)
        if stored is None or stored.age >= self._interval + (CALLING_SECONDS if is_claimed else 0.0):
            self._take_turn(stored, step_id)
        return self._known.get(step_id)

    def _take_turn(self, stored: StoredObject | None, step_id: str) -> None:
        """Call EMR, unless another process claimed this turn. The claim resets the age of the shared object."""
        etag = stored.etag if stored else None
        claim = self._staging.put_if_match(self._name, _encode(self._known, is_claimed=True), etag=etag)
        if claim is None:
            return
        try:
            # One call returns the newest fifty; a step that was not among them is requested by id.
            fresh = self._compute.statuses([step_id] if self._is_old else [])
            self._is_old = step_id not in fresh
            older = {known: status for known, status in self._known.items() if known not in fresh}
            self._known = dict(list({**fresh, **older}.items())[:_KEPT])
        finally:
            # Also when EMR did not answer: this restarts the interval until the next call.
            self._staging.put_if_match(self._name, _encode(self._known), etag=claim)


def _encode(known: dict[str, StepStatus], *, is_claimed: bool = False) -> bytes:
    steps = [vars(status) for status in known.values()]
    return json.dumps({"writer": uuid.uuid4().hex, "claimed": is_claimed, "steps": steps}).encode()


def _decode(stored: StoredObject | None) -> tuple[dict[str, StepStatus], bool]:
    """The known statuses, and whether a process is calling EMR now. Unreadable content counts as empty."""
    if stored is None:
        return {}, False
    try:
        content = json.loads(stored.body)
        known = [StepStatus(**{**row, "applications": tuple(row["applications"])}) for row in content["steps"]]
        is_claimed = content.get("claimed") is True
    except (ValueError, TypeError, KeyError, AttributeError):
        return {}, False
    return {status.step_id: status for status in known}, is_claimed
