"""One account of a cluster's steps for all who wait: EMR is asked at most once per interval, by anybody.

Put here how often EMR is asked. DescribeStep and ListSteps refill at one call per two seconds for a
whole account, so all processes that wait on a cluster share what one of them learnt through a small
object in the staging bucket, and take turns in asking.
"""

import json
import time
import uuid

from fruit_assets.emr.compute import Compute, StepStatus
from fruit_assets.emr.staging import StagingStore, StoredObject

MIN_INTERVAL = 2.0  # seconds; the refill of EMR's token bucket
# A process that has said that it asks may be slow, or dead: after so many seconds more another one asks.
ASKING_SECONDS = 15.0
_KEPT = 300  # steps remembered on the board: EMR itself allows 256 in flight


class StepStatusCache:
    """What is known about the steps of one cluster, shared through the staging bucket.

    Args:
        compute: where the steps run.
        staging: the staging bucket; the board lies in it under the cluster's id.
        interval: seconds between two calls to EMR, over all processes; at least two.
    """

    def __init__(self, compute: Compute, staging: StagingStore, interval: float) -> None:
        self._compute = compute
        self._staging = staging
        self._name = f"clusters/{compute.target_id}/steps.json"
        # S3 tells ages in whole seconds: one more keeps two calls from coming closer than the interval.
        self._interval = max(MIN_INTERVAL, interval) + 1.0
        self._read_at = -1e9
        self._known: dict[str, StepStatus] = {}
        self._out_of_sight = False

    def status(self, step_id: str) -> StepStatus | None:
        """The latest status of a step; None when nobody has seen it yet. Cheap to call often."""
        if time.monotonic() - self._read_at < min(1.0, self._interval / 2):
            return self._known.get(step_id)
        self._read_at = time.monotonic()
        board = self._staging.get(self._name)
        self._known, is_asking = _decode(board)
        if board is None or board.age >= self._interval + (ASKING_SECONDS if is_asking else 0.0):
            self._take_turn(board, step_id)
        return self._known.get(step_id)

    def _take_turn(self, board: StoredObject | None, step_id: str) -> None:
        """Ask EMR, if nobody else claimed this turn first. The claim itself makes the board young again."""
        etag = board.etag if board else None
        claim = self._staging.put_if_match(self._name, _encode(self._known, is_asking=True), etag=etag)
        if claim is None:
            return
        try:
            # The newest fifty come in one call; a step that was not among them is asked for by name.
            fresh = self._compute.statuses([step_id] if self._out_of_sight else [])
            self._out_of_sight = step_id not in fresh
            older = {known: status for known, status in self._known.items() if known not in fresh}
            self._known = dict(list({**fresh, **older}.items())[:_KEPT])
        finally:
            # Whether or not EMR answered: the next question is an interval away from the end of this one.
            self._staging.put_if_match(self._name, _encode(self._known), etag=claim)


def _encode(known: dict[str, StepStatus], *, is_asking: bool = False) -> bytes:
    steps = [vars(status) for status in known.values()]
    return json.dumps({"writer": uuid.uuid4().hex, "asking": is_asking, "steps": steps}).encode()


def _decode(board: StoredObject | None) -> tuple[dict[str, StepStatus], bool]:
    """What is known, and whether somebody asks just now. An unreadable board is empty: it is written anew."""
    if board is None:
        return {}, False
    try:
        content = json.loads(board.body)
        known = [StepStatus(**{**row, "applications": tuple(row["applications"])}) for row in content["steps"]]
        is_asking = content.get("asking") is True
    except (ValueError, TypeError, KeyError, AttributeError):
        return {}, False
    return {status.step_id: status for status in known}, is_asking
