"""Figures of one run over time: rows stored per second, and the memory of each kind of process.

Put here series, what they come to, and their plot. Sampling memory belongs in `memory_watch.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fruit_assets_tests.benchmarks.memory_watch import Memory
from fruit_assets_tests.benchmarks.report import MIB
from fruit_assets_tests.benchmarks.run_log import Step

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes

_BINS = 50
_SIZE = (9.0, 6.0)


@dataclass(frozen=True)
class StoredRows:
    """When the rows of a table were stored, by the time stamps of its files.

    Attributes:
        seconds: since the epoch, of each file, ascending.
        rows: in each of them.
    """

    seconds: "np.ndarray"
    rows: "np.ndarray"

    @staticmethod
    def of(table: Path) -> "StoredRows":
        """All Parquet files of a table but its log."""
        import numpy as np
        import pyarrow.parquet as pq

        files = [file for file in table.rglob("*.parquet") if "_delta_log" not in file.parts]
        found = sorted((file.stat().st_mtime, pq.read_metadata(file).num_rows) for file in files)
        times, rows = np.array(found).reshape(-1, 2).T
        return StoredRows(times, rows)

    def rates(self, started: float, bins: int = _BINS) -> "tuple[np.ndarray, np.ndarray]":
        """Rows per second in equal spans from `started` to the last file: the middle of each span, and its rate."""
        import numpy as np

        edges = np.linspace(started, self.seconds[-1], bins + 1)
        rows, _ = np.histogram(self.seconds, edges, weights=self.rows)
        return (edges[:-1] + edges[1:]) / 2, rows / np.diff(edges)

    def time_of(self, share: float) -> float:
        """When this share of the rows was stored."""
        import numpy as np

        done = np.cumsum(self.rows)
        return float(np.interp(share * done[-1], done, self.seconds))

    def steadiness(self) -> float:
        """Rows per second of the second half over those of the first; a tenth at either end is left out."""
        begin, middle, end = (self.time_of(share) for share in (0.1, 0.5, 0.9))
        return (middle - begin) / (end - middle)


def growth(memory: Memory, kind: str, begin: float, end: float) -> float:
    """By what factor the largest process of a kind grows between two times, by the straight line through all samples.

    Args:
        memory: of the run.
        kind: of process.
        begin: seconds since the watch began.
        end: the same.
    """
    import numpy as np

    samples = [(one.seconds, one.largest(kind)) for one in memory.samples if begin <= one.seconds <= end]
    seconds, sizes = np.array(samples, dtype=float).T
    slope, start = np.polyfit(seconds - begin, sizes, 1)
    return float((start + slope * (end - begin)) / start)


def draw(
    file: Path,
    title: str,
    started_at: float,
    steps: Sequence[Step],
    table: str,
    stored: StoredRows,
    memory: Memory,
) -> None:
    """Draw the images per second of a table, and below them the memory of each kind of process, as an SVG.

    Args:
        file: to write.
        title: of the picture.
        started_at: of the run, seconds since the epoch.
        steps: of the run.
        table: the step that stores it.
        stored: its rows.
        memory: of the run.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context({"svg.fonttype": "none", "svg.hashsalt": file.name}):
        figure = Figure(figsize=_SIZE, layout="constrained")
        above, below = figure.subplots(2, 1, sharex=True)
        (begin,) = (step.started for step in steps if step.key == table)
        times, rates = stored.rates(begin)
        above.plot(times - started_at, rates, label=table)
        for kind in memory.kinds:
            sizes = [one.largest(kind) / MIB or None for one in memory.samples]
            below.plot([one.seconds for one in memory.samples], sizes, label=kind)
        _finish(above, "images per second", started_at, steps)
        _finish(below, "MiB, largest process", started_at, steps)
        above.set_title(title)
        below.set_xlabel("seconds")
        figure.savefig(file, metadata={"Date": None})


def _finish(axes: "Axes", label: str, started_at: float, steps: Sequence[Step]) -> None:
    """Name the axis, and mark where steps begin."""
    for step in steps:
        axes.axvline(step.started - started_at, color="0.8", linewidth=0.8)
    axes.set_ylabel(label)
    axes.set_ylim(bottom=0)
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize="small")
