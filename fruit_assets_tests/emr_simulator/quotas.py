"""EMR's default API rates: a token bucket for each operation and one for all of them."""

import threading
import time
from dataclasses import dataclass, field

# Operation -> (burst, refill a second), per account and region.
DEFAULTS = {
    "DescribeStep": (10.0, 0.5),
    "ListSteps": (10.0, 0.5),
    "DescribeCluster": (10.0, 1.0),
    "AddJobFlowSteps": (10.0, 0.5),
    "CancelSteps": (10.0, 0.5),
    "RunJobFlow": (10.0, 0.5),
    "TerminateJobFlows": (10.0, 0.5),
    "ListClusters": (20.0, 0.5),
    "ListInstances": (10.0, 0.5),
}
_ALL = (25.0, 5.0)


@dataclass
class _Bucket:
    burst: float
    refill: float
    level: float
    at: float

    def fill(self, at: float) -> float:
        self.level = min(self.burst, self.level + (at - self.at) * self.refill)
        self.at = at
        return self.level


@dataclass
class Quotas:
    """Rates in force."""

    _buckets: dict[str, _Bucket] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def allow(self, operation: str) -> bool:
        """Whether EMR still has room for a call; it then counts."""
        at = time.monotonic()
        with self._lock:
            buckets = [self._bucket("", _ALL, at), self._bucket(operation, DEFAULTS.get(operation, _ALL), at)]
            if any(bucket.fill(at) < 1 for bucket in buckets):
                return False
            for bucket in buckets:
                bucket.level -= 1
            return True

    def _bucket(self, name: str, rate: tuple[float, float], at: float) -> _Bucket:
        burst, refill = rate
        return self._buckets.setdefault(name, _Bucket(burst, refill, burst, at))
