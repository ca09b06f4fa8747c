"""Reports of benchmarks: tables for people, JSON for programs.

Put here printing and saving. Targets are shown beside the figures and never asserted, because machines differ.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fruit_assets_tests.benchmarks.cold_process import PROJECT
from fruit_assets_tests.benchmarks.machine import this_machine

ARTEFACTS = PROJECT / "test-artefacts"
MIB = 2**20


@dataclass(frozen=True)
class Ratio:
    """A figure with its target.

    Attributes:
        what: name of the ratio, as `numerator / denominator`.
        value: the ratio.
        target: None when it has none.
        at_most: the target is an upper limit instead of a lower one.
    """

    what: str
    value: float
    target: float | None = None
    at_most: bool = False

    @property
    def verdict(self) -> str:
        if self.target is None:
            return "-"
        return "met" if (self.value <= self.target if self.at_most else self.value >= self.target) else "MISSED"

    @property
    def target_text(self) -> str:
        return "-" if self.target is None else f"{'<=' if self.at_most else '>='} {self.target:g}"


class Report:
    """Prints each table at once, and collects everything for the JSON file.

    Args:
        name: of the benchmark and the file.
        parameters: of this run.
        folder: of the file; `test-artefacts/` when None.
    """

    def __init__(self, name: str, parameters: Mapping[str, Any], folder: Path | None = None) -> None:
        machine = this_machine()
        self._path = (folder or ARTEFACTS) / f"benchmark-{name}.json"
        self._value: dict[str, Any] = {
            "benchmark": name,
            "started_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "parameters": dict(parameters),
            "machine": machine.to_json(),
            "tables": {},
            "ratios": [],
            "details": {},
        }
        described = ", ".join(f"{key} {value}" for key, value in parameters.items())
        print(f"\n# {name} ({described})\n{machine}\n", flush=True)

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Print a Markdown table, aligned for reading in a terminal."""
        self._value["tables"][title] = [dict(zip(columns, row, strict=True)) for row in rows]
        print(f"\n{title}\n\n{markdown(columns, rows)}\n", flush=True)

    def ratios(self, title: str, ratios: Sequence[Ratio]) -> None:
        self._value["ratios"] += [{**asdict(ratio), "verdict": ratio.verdict} for ratio in ratios]
        rows = [(ratio.what, f"{ratio.value:.3g}", ratio.target_text, ratio.verdict) for ratio in ratios]
        self.table(title, ("ratio", "value", "target", ""), rows)

    def detail(self, name: str, value: Any) -> None:
        """Keep a value for the JSON file without printing it."""
        self._value["details"][name] = value

    def save(self) -> Path:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.write_text(json.dumps(self._value, indent=1) + "\n")
        print(f"Written to {self._path}", flush=True)
        return self._path


def markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; every column after the first is aligned to the right."""
    widths = [max(len(row[index]) for row in [columns, *rows]) for index in range(len(columns))]

    def line(cells: Sequence[str]) -> str:
        first, *others = (
            cell.ljust(width) if index == 0 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        return f"| {' | '.join([first, *others])} |"

    ruler = [":" + "-" * (widths[0] - 1), *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join([line(columns), f"| {' | '.join(ruler)} |", *(line(row) for row in rows)])


def mib(size: float) -> str:
    return f"{size / MIB:,.0f} MiB"
