"""What a run may take over from the version before it, decided on keys alone.

Put here the bookkeeping that makes sure no image is inferred twice: neither one that an earlier run
featurised with the same extractor, nor the second of two identical files. Keys are a few hundred bytes
per image; no image byte and no feature is touched here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fruit_assets.spark.reading import ROW

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from fruit_assets.storage.delta.version import Version
    from fruit_assets.storage.parquet_files import DataFile

# Column that names the rows which get the features of another.
COPIES = "copies"
_KEYS = ["path", "label", "sha256"]
_NONE = -1


@dataclass(frozen=True)
class IncrementalPlan:
    """Which rows of a sample are computed, copied within the run, or reused from the previous version.

    Rows are numbered in the order of their version's files.

    Attributes:
        sample_keys: `path, label, sha256` of the sample.
        previous: the version rows are reused from; None when nothing can be.
        known: (n,) int64, for each row of the sample the previous version's row of the same bytes, or -1.
        computed: (n,) int64, for each row of the sample the row of the sample that is computed for it, -1 if known.
        unchanged: the sample has exactly the rows of the previous version.
        kept_files: files of the previous version that hold only rows of this sample; they stay as they are.
        stays: (n,) bool, for each row of the sample whether it is in one of these files.
    """

    sample_keys: "pa.Table"
    previous: "Version | None"
    known: "np.ndarray"
    computed: "np.ndarray"
    unchanged: bool
    kept_files: "tuple[DataFile, ...]"
    stays: "np.ndarray"

    @property
    def reused_count(self) -> int:
        return int((self.known != _NONE).sum())

    @property
    def new_count(self) -> int:
        """Rows whose bytes the previous version does not know."""
        return int((self.computed != _NONE).sum())

    @property
    def compute_count(self) -> int:
        """Images that go through the network: distinct bytes not known from the previous version."""
        return len(self._originals())

    @property
    def has_duplicates(self) -> bool:
        return self.compute_count < self.new_count

    @property
    def computes_everything(self) -> bool:
        return self.compute_count == int(self.sample_keys.num_rows)

    def to_compute(self) -> "pa.Table":
        """One row per image that goes through the network: its `row` in the sample, and its `copies`.

        These are the `path, label` of the other rows of the sample with the same bytes; null where there are none.
        """
        import numpy as np
        import pyarrow as pa

        originals = self._originals()
        copied = np.flatnonzero((self.computed != _NONE) & (self.computed != np.arange(len(self.computed))))
        # Sorted by the row they are copies of, each with the number of its original.
        copied = copied[np.argsort(self.computed[copied], kind="stable")]
        ends = np.searchsorted(self.computed[copied], originals, side="right")
        names = self.sample_keys.select(["path", "label"]).take(pa.array(copied)).to_struct_array().combine_chunks()
        offsets = pa.array(np.concatenate([[0], ends]).astype(np.int32))
        without = pa.array(np.diff(ends, prepend=0) == 0)
        copies = pa.ListArray.from_arrays(offsets, names, mask=without)
        return pa.table({ROW: pa.array(originals), COPIES: copies})

    def reused(self) -> "pa.Table":
        """`row` of the previous version, and the `path, label, sha256` here, of every row whose features are copied."""
        import numpy as np
        import pyarrow as pa

        here = np.flatnonzero((self.known != _NONE) & ~self.stays)
        here = here[np.argsort(self.known[here], kind="stable")]
        return self.sample_keys.take(pa.array(here)).append_column(ROW, pa.array(self.known[here]))

    def with_duplicates(self, rejected: "pa.Table") -> "pa.Table":
        """Give every path of a set of identical files the reason why the computed one was rejected."""
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        if not self.has_duplicates or not rejected.num_rows:
            return rejected.sort_by("path")
        number_of_reason = np.full(len(self.computed), _NONE)
        rows = pc.index_in(rejected["path"], value_set=self.sample_keys["path"].combine_chunks())
        number_of_reason[rows.to_numpy()] = np.arange(rejected.num_rows)
        new = np.flatnonzero(self.computed != _NONE)
        reasons = number_of_reason[self.computed[new]]
        members = self.sample_keys.take(pa.array(new[reasons != _NONE]))
        told = rejected["reason"].take(pa.array(reasons[reasons != _NONE]))
        return members.append_column("reason", told).sort_by("path")

    def _originals(self) -> "np.ndarray":
        import numpy as np

        return np.flatnonzero(self.computed == np.arange(len(self.computed)))


def plan_reuse(sample: "Version", previous: "Version | None", rejected: "Version | None") -> IncrementalPlan:
    """Decide which rows of a sample need the network.

    Args:
        sample: the published sample.
        previous: features of an earlier run with the same fingerprint, or None.
        rejected: the rejected images that belong to `previous`, or None.
    """
    import numpy as np
    import pyarrow.compute as pc

    keys = sample.read_table(_KEYS)
    known = np.full(keys.num_rows, _NONE)
    before = previous.read_table(_KEYS) if previous is not None else None
    if before is not None:
        found = pc.index_in(keys["sha256"], value_set=before["sha256"].combine_chunks(), skip_nulls=True)
        known = found.fill_null(_NONE).to_numpy().astype(np.int64)
    computed = np.where(known == _NONE, _first_with_same(keys["sha256"]), _NONE)
    kept_files: tuple[DataFile, ...] = ()
    stays = np.zeros(keys.num_rows, bool)
    if previous is not None and before is not None:
        same = _same_places(keys, before)
        known = np.where(same == _NONE, known, same)
        kept_files, stays = _staying(previous.files, same)
    unchanged = before is not None and rejected is not None and _same_rows(keys, before, rejected.read_table(_KEYS))
    reusing = unchanged or bool((known != _NONE).any())
    return IncrementalPlan(keys, previous if reusing else None, known, computed, unchanged, kept_files, stays)


def _same_places(keys: "pa.Table", before: "pa.Table") -> "np.ndarray":
    """For every row the row before with the same path, label and bytes, or -1."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    place = pc.index_in(keys["path"], value_set=before["path"].combine_chunks())
    there = before.take(place)
    same = pc.and_(pc.equal(keys["label"], there["label"]), pc.equal(keys["sha256"], there["sha256"]))
    found = pc.if_else(pc.fill_null(same, pa.scalar(False)), place, pa.scalar(_NONE, pa.int32()))
    numbers: np.ndarray = found.to_numpy().astype(np.int64)
    return numbers


def _staying(files: "Sequence[DataFile]", same: "np.ndarray") -> "tuple[tuple[DataFile, ...], np.ndarray]":
    """The files of which every row is wanted as it is, and which rows of the sample these are."""
    import numpy as np

    rows = np.array([file.rows for file in files], np.int64)
    file_of_row = np.repeat(np.arange(len(files)), rows)
    of_same = file_of_row[same[same != _NONE]]
    complete = np.bincount(of_same, minlength=len(files)) == rows
    stays = np.zeros(len(same), bool)
    stays[same != _NONE] = complete[of_same]
    return tuple(file for file, whole in zip(files, complete, strict=True) if whole), stays


def _first_with_same(digests: "pa.ChunkedArray") -> "np.ndarray":
    """For every row the first one of the same digest; those without a digest are each for themselves."""
    import numpy as np

    rows = np.arange(len(digests))
    codes = digests.combine_chunks().dictionary_encode().indices.fill_null(_NONE).to_numpy()
    first = np.empty(codes.max(initial=_NONE) + 1, np.int64)
    # The last one that is written stays.
    first[codes[::-1][codes[::-1] != _NONE]] = rows[::-1][codes[::-1] != _NONE]
    return np.where(codes == _NONE, rows, first[codes] if len(first) else rows)


def _same_rows(keys: "pa.Table", featurised: "pa.Table", rejected: "pa.Table") -> bool:
    import pyarrow as pa

    if keys.num_rows != featurised.num_rows + rejected.num_rows:
        return False
    order = [(name, "ascending") for name in _KEYS]
    both = pa.concat_tables([featurised, rejected.cast(featurised.schema)])
    return bool(keys.cast(featurised.schema).sort_by(order).equals(both.sort_by(order)))
