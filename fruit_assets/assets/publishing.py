"""How an asset ends: published with its checks, or failed in words.

Put here what every asset's last lines have in common. What is checked belongs in `checks.py`.
"""

import hashlib
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import dagster as dg

from fruit_assets.errors import PermanentError

# Prefix of the metadata keys of phases.
_SECONDS = "seconds/"


@contextmanager
def translate_errors() -> Iterator[None]:
    """Turn failures that trying again cannot mend into Dagster failures that are not retried."""
    try:
        yield
    except PermanentError as error:
        raise dg.Failure(description=str(error), allow_retries=False) from error


def publish_results(
    results: Sequence[dg.MaterializeResult[Any]], checks: Sequence[dg.AssetCheckResult]
) -> Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]:
    """Hand what is staged to the IO manager, which commits it, unless a blocking check failed.

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
    for result in results:
        dg.get_dagster_logger().info(summary(result, checks))


def summary(result: dg.MaterializeResult[Any], checks: Sequence[dg.AssetCheckResult]) -> str:
    """The line that a run's log ends with for this asset: how much, how long, how sound."""
    version, metadata = result.value.version, result.metadata or {}
    amount, megabytes = f"{version.row_count:,} rows", version.bytes / 1e6
    phases = {key.removeprefix(_SECONDS): value for key, value in metadata.items() if key.startswith(_SECONDS)}
    spent = ", ".join(f"{name.replace('_', ' ')} {value:.1f} s" for name, value in phases.items())
    name = dg.AssetKey.from_coercible(result.asset_key or "").to_user_string()
    mine = [check for check in checks if check.asset_key == result.asset_key]
    failed = [str(check.check_name) for check in mine if not check.passed]
    sound = f"look at {', '.join(failed)}" if failed else f"{len(mine)} check{'s' * (len(mine) > 1)} passed"
    parts = [f"{amount}, {megabytes:.1f} MB", spent, sound if mine else ""]
    return f"Published {name}: {'; '.join(part for part in parts if part)}."


class PhaseTimer:
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
        return {f"{_SECONDS}{name}": round(value, 3) for name, value in self.seconds.items()}


def combined_version(*parts: str) -> str:
    """The data version of what is made from `parts` alone: versions of inputs, and config."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]
