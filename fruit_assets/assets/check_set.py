"""The checks of an asset: their specs, and the results that a step yields.

Put here the mechanism and the rules that several assets share. Which checks an asset has, and the rules of its own, are
declared beside the asset.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import dagster as dg


@dataclass(frozen=True)
class CheckSet:
    """The checks of one asset; each is decided from figures that the step already has.

    Attributes:
        asset: name of the asset.
        blocking: description by name; a failure (severity ERROR) keeps the version from being published.
        warnings: description by name; a failure only shows.
    """

    asset: str
    blocking: Mapping[str, str] = field(default_factory=dict)
    warnings: Mapping[str, str] = field(default_factory=dict)

    def specs(self) -> list[dg.AssetCheckSpec]:
        """The specs, for the asset's decorator."""
        return [
            dg.AssetCheckSpec(name, asset=self.asset, description=text, blocking=name in self.blocking)
            for name, text in {**self.blocking, **self.warnings}.items()
        ]

    def result(
        self, name: str, passed: bool, text: str, metadata: Mapping[str, Any] | None = None, *, blocks: bool = True
    ) -> dg.AssetCheckResult:
        """The outcome of one check.

        Args:
            name: of the check, one of `blocking` or `warnings`.
            passed: whether it holds.
            text: one sentence for a person.
            metadata: the figures behind it.
            blocks: False downgrades a blocking check to a warning this time.
        """
        severity = dg.AssetCheckSeverity.ERROR if blocks and name in self.blocking else dg.AssetCheckSeverity.WARN
        return dg.AssetCheckResult(
            asset_key=self.asset,
            check_name=name,
            passed=bool(passed),
            severity=severity,
            description=text,
            metadata=dict(metadata or {}),
        )

    def rows_reconcile(self, expected: int, parts: Mapping[str, int]) -> dg.AssetCheckResult:
        """`expected` rows must be the sum of `parts`."""
        total = sum(parts.values())
        account = " + ".join(f"{count} {name}" for name, count in parts.items())
        text = f"{expected} rows expected, {account} found" + (
            "." if expected == total else f": {expected - total} are missing."
        )
        return self.result("rows_reconcile", expected == total, text, {"expected": expected, **parts})

    def dimensions(self, expected: int, shortest: int, longest: int) -> dg.AssetCheckResult:
        """Every row must have `expected` values, from the shortest and longest row found."""
        text = f"{expected} values per row expected, {shortest} to {longest} found."
        metadata = {"expected": expected, "shortest": shortest, "longest": longest}
        return self.result("dimensions", shortest == longest == expected, text, metadata)

    def finite_values(self, broken_rows: int, example: str | None = None) -> dg.AssetCheckResult:
        """No row may hold a NaN or an infinity."""
        text = "All values are finite."
        if broken_rows:
            text = f"{broken_rows} row(s) hold NaN or infinite values" + (f", such as {example}." if example else ".")
        return self.result("finite_values", broken_rows == 0, text, {"rows_with_nan_or_infinity": broken_rows})
