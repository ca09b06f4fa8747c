"""How an asset ends: published with its checks, or failed in words.

Put here what every asset's last lines have in common. What is checked belongs in `checks.py`.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import dagster as dg

from fruit_assets.errors import PermanentError


@contextmanager
def explained_failures() -> Iterator[None]:
    """Turn failures that trying again cannot mend into Dagster failures that are not retried."""
    try:
        yield
    except PermanentError as error:
        raise dg.Failure(description=str(error), allow_retries=False) from error


def published(
    results: Sequence[dg.MaterializeResult], checks: Sequence[dg.AssetCheckResult]
) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
    """Hand staged versions to the IO manager for publishing, unless a blocking check failed.

    A failed check of severity ERROR is recorded, and the step fails before anything is published: the
    version before it stays the one that readers see.
    """
    failed = [check for check in checks if not check.passed and check.severity is dg.AssetCheckSeverity.ERROR]
    if failed:
        yield from checks
        reasons = "; ".join(f"{check.check_name}: {check.description}" for check in failed)
        raise dg.Failure(description=f"Not published, the previous version stays. {reasons}", allow_retries=False)
    yield from results
    yield from checks


class Phases:
    """Seconds of the named parts of a step, for its metadata."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started

    def metadata(self) -> dict[str, float]:
        """One number per phase, so that the UI plots each over time."""
        return {f"seconds/{name}": round(value, 3) for name, value in self.seconds.items()}
