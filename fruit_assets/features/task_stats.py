"""What the tasks of a featurization report of their images, and the figures of the run that follow.

Put here counting and adding up. What is counted happens in `inference_worker.py`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

from fruit_assets.features.increments import REJECTED, IncrementalPlan
from fruit_assets.features.known_features import ARITHMETICS
from fruit_assets.images.pixels.decoding_options import TRAITS
from fruit_assets.spark.writing import files_schema

if TYPE_CHECKING:
    import pyarrow as pa

    from fruit_assets.keys.key_table import KeyTable


@dataclass(frozen=True)
class FeaturizationFigures:
    """What a finished featurization did.

    Attributes:
        computed: images that went through the network.
        broken: how many of these have a feature that is NaN or infinite.
        rejected: `path, label, sha256, reason` of every image of the sample that could not be read, by path.
        decode_seconds: summed over workers.
        inference_seconds: summed over workers.
        arithmetics: what the tasks really ran at, as text; one, unless processors differ.
        traits: how many of the computed images are `rotated`, `transparent`, `truncated`, `featureless`.
        batchings: with how many images at once, as text; more than one where workers measured for themselves.
        longest_seconds: the longest that a task worked for one file, which is what a core loses when a run is killed.
    """

    computed: int
    broken: int
    rejected: "KeyTable"
    decode_seconds: float
    inference_seconds: float
    arithmetics: tuple[str, ...]
    traits: dict[str, int]
    batchings: tuple[str, ...]
    longest_seconds: float


class TaskReport:
    """A task's report on its images; grows batch by batch."""

    def __init__(self) -> None:
        self._sums = {"inputs": 0, "broken": 0, "decode_us": 0, "inference_us": 0, **dict.fromkeys(TRAITS, 0)}
        self._rejected: list[dict[str, Any]] = []
        self._arithmetics: set[str] = set()
        self._widths: set[int] = set()
        self._batchings: set[str] = set()

    def add(self, done: "pa.RecordBatch", batching: str) -> None:
        """Count what `featurize_batch` made, by an engine with these batch sizes."""
        import pyarrow.compute as pc

        self._sums["inputs"] += done.num_rows
        self._sums["broken"] += pc.sum(pc.invert(done["finite"])).as_py() or 0
        for name in ("decode_us", "inference_us", *TRAITS):
            self._sums[name] += pc.sum(done[name]).as_py() or 0
        if done["reason"].null_count < done.num_rows:
            reasons = done.select(list(REJECTED))
            self._rejected += reasons.filter(done["reason"].is_valid()).to_pylist()
        self._widths.update(widths_of(done["features"]))
        self._arithmetics.update(done["arithmetic"].unique().to_pylist())
        self._batchings = {batching}  # the last is what the measurement came to

    def batch(self, files: list[dict[str, Any]], longest_seconds: float = 0.0) -> "pa.RecordBatch":
        """The report as one row, with the files that the task wrote, and the longest it worked for one of them."""
        import pyarrow as pa

        numbers = [pa.field(name, pa.int64()) for name in self._sums]
        rejected = pa.field("rejected", pa.list_(pa.struct(list(_rejected_schema()))))
        widths = pa.field("widths", pa.list_(pa.int64()))
        texts = [pa.field(name, pa.list_(pa.string())) for name in ("arithmetics", "batchings")]
        longest = pa.field("longest_seconds", pa.float64())
        schema = files_schema(*numbers, widths, rejected, *texts, longest)
        reports = {
            "files": [files],
            **{name: [value] for name, value in self._sums.items()},
            "widths": [sorted(self._widths)],
            "rejected": [self._rejected],
            "arithmetics": [sorted(self._arithmetics)],
            "batchings": [sorted(self._batchings)],
            "longest_seconds": [longest_seconds],
        }
        return pa.RecordBatch.from_pydict(reports, schema)

    def notes(self) -> dict[str, Any]:
        """The same as far as a run needs it that recovers a file of the task: JSON types only."""
        return notes_of(
            self._widths,
            self._arithmetics,
            self._sums["broken"] - len(self._rejected),
            [[row[name] for name in REJECTED] for row in self._rejected],
        )


def notes_of(
    widths: Iterable[int], arithmetics: Iterable[str], broken: int = 0, rejected: Sequence[Sequence[str | None]] = ()
) -> dict[str, Any]:
    """What is noted in a file of features.

    Args:
        widths: how many features the rows have.
        arithmetics: what they were computed with.
        broken: rows with a feature that is not finite.
        rejected: `path, label, sha256, reason` of the images that the task could not read.
    """
    return {
        "widths": sorted(widths),
        ARITHMETICS: sorted(arithmetics),
        "broken": broken,
        "rejected": [list(row) for row in rejected],
    }


def widths_of(features: "pa.Array") -> list[int]:
    """How many features the rows have; one number, unless something is wrong."""
    import pyarrow.compute as pc

    widths: list[int] = pc.list_value_length(features).drop_null().unique().to_pylist()
    return widths


def _rejected_schema() -> "pa.Schema":
    import pyarrow as pa

    return pa.schema([(name, pa.string()) for name in REJECTED])


def figures_of(reports: "pa.Table", plan: IncrementalPlan) -> FeaturizationFigures:
    """The figures of a run, of the reports of all its tasks."""
    import pyarrow as pa
    import pyarrow.compute as pc

    schema = _rejected_schema()
    found = pc.list_flatten(reports["rejected"])
    rejected = pa.table([pc.struct_field(found, name) for name in REJECTED], schema)
    sums = {name: sum(reports[name].to_pylist()) for name in ("inputs", "broken", "decode_us", "inference_us", *TRAITS)}
    return FeaturizationFigures(
        computed=sums["inputs"] - rejected.num_rows,
        broken=sums["broken"] - rejected.num_rows,
        rejected=plan.with_duplicates(rejected),
        decode_seconds=sums["decode_us"] / 1e6,
        inference_seconds=sums["inference_us"] / 1e6,
        arithmetics=tuple(sorted(set(chain.from_iterable(reports["arithmetics"].to_pylist())))),
        traits={name: sums[name] for name in TRAITS},
        batchings=tuple(sorted(set(chain.from_iterable(reports["batchings"].to_pylist())))),
        longest_seconds=max(reports["longest_seconds"].to_pylist()),
    )
