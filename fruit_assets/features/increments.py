"""What a run may take over from the version before it, decided on keys alone.

Put here the bookkeeping that makes sure no image is inferred twice: neither one that an earlier run
featurised with the same extractor, nor the second of two identical files. Keys are a few hundred bytes
per image and lie on disk; no image byte and no feature is touched here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fruit_assets.spark.reading import ROW
from fruit_assets.storage.key_table import KeyDatabase, KeyTable
from fruit_assets.storage.parquet_files import DataFile

if TYPE_CHECKING:
    import pyarrow as pa

# Column that names the rows which get the features of another.
COPIES = "copies"
KEYS = ("path", "label", "sha256")
_SAME = "select h.row, s.row as sample_row from {held} as h join {table} as s using (path, label, sha256)"
_COMPLETE = """
select file, count(*) as rows from {held} as h left join {table} as s using (row)
group by file having count(s.row) = count(*) order by file
"""
# Rows of the sample that are neither in a file that stays nor known to be unreadable.
_MISSING = """
select t.* from {table} as t anti join {done} using (row)
anti join {rejected} as r on t.path = r.path and t.label = r.label and t.sha256 is not distinct from r.sha256
order by row
"""
_STILL_REJECTED = """
select r.* from {table} as r semi join {sample} as s
on s.path = r.path and s.label = r.label and s.sha256 is not distinct from r.sha256 order by path
"""
_COPIED = """
select m.path, m.label, m.sha256, h.row from {table} as m
join (select sha256, min(row) as row from {held} group by sha256) as h using (sha256) order by h.row, m.path
"""
# Of identical files the first is computed; those without a digest are each for themselves.
_NEW = """
with new as (select * from {table} anti join {held} using (sha256)),
firsts as (select sha256, min(row) as first from new group by sha256)
select new.*, coalesce(first, row) as original from new left join firsts using (sha256) order by row
"""
_COMPUTED = """
select original as row, list({{'path': path, 'label': label}} order by row) filter (row <> original) as copies
from {table} group by original order by original
"""
_COMPUTED_ALONE = "select row, null::struct(path varchar, label varchar)[] as copies from {table}"


@dataclass(frozen=True)
class IncrementalPlan:
    """Which rows of a sample stay where their features are, are copied, or are computed.

    Attributes:
        sample_count: rows of the sample.
        kept_files: files of the version before that hold only rows of this sample; they stay.
        kept_count: rows in them.
        copied: `path, label, sha256` here, and `row` of the version before, of rows that get the features of that row.
        new: `path, label, sha256, row, original`: rows of the sample whose bytes the version before does not know, and
            for each the row that is computed for it.
        kept_rejected: `path, label, sha256, reason` of rows that are known to be unreadable.
        unchanged: the sample has exactly the rows of the version before.
    """

    sample_count: int
    kept_files: Sequence[DataFile]
    kept_count: int
    copied: KeyTable
    new: KeyTable
    kept_rejected: KeyTable
    unchanged: bool

    @property
    def reused_count(self) -> int:
        """Rows whose features exist."""
        return self.kept_count + self.copied.num_rows

    @property
    def new_count(self) -> int:
        """Rows whose bytes the version before does not know."""
        return self.new.num_rows

    @property
    def compute_count(self) -> int:
        """Images that go through the network: distinct bytes not known from the version before."""
        return int(self.new.values("count(*) filter (row = original)")[0])

    @property
    def computes_everything(self) -> bool:
        return self.compute_count == self.sample_count

    def to_compute(self) -> "pa.Table":
        """One row per image that goes through the network: its `row` in the sample, and its `copies`.

        These are the `path, label` of the other rows of the sample with the same bytes; null where there are none.
        """
        if self.compute_count < self.new_count:
            return self.new.select(_COMPUTED).to_table()
        return self.new.select(
            "select row, null::struct(path varchar, label varchar)[] as copies from {table}"
        ).to_table()

    def with_duplicates(self, rejected: "pa.Table") -> "pa.Table":
        """The rejected rows of the sample: of this run, with all identical files, and those known before; by path."""
        reasons = KeyTable.of(rejected.select(["path", "reason"]), self.new.database)
        members = """
        select m.path, m.label, m.sha256, r.reason from {table} as m
        join {table} as o on m.original = o.row join {reasons} as r on o.path = r.path
        union all select * from {kept} order by path
        """
        return self.new.select(members, reasons=reasons, kept=self.kept_rejected).to_table().cast(rejected.schema)


def plan_increment(
    sample: KeyTable, held: KeyTable | None, files: Sequence[DataFile] = (), rejected: "pa.Table | None" = None
) -> IncrementalPlan:
    """Decide which rows of a sample need the network.

    Args:
        sample: `path, label, sha256, row`.
        held: `path, label, sha256, file, row` of features of the same fingerprint, in the same database; None without.
        files: that hold these.
        rejected: `path, label, sha256, reason` of the images that the run which made them rejected.
    """
    database = sample.database
    known = held or _empty(database, (*KEYS, "file", ROW))
    reasons = _empty(database, (*KEYS, "reason")) if rejected is None else KeyTable.of(rejected, database)
    kept_rejected = reasons.select(_STILL_REJECTED, sample=sample)
    same = sample.select(_SAME, held=known)
    complete = same.select(_COMPLETE, held=known)
    done = same.select(
        "select sample_row as row from {table} semi join {held} as h using (row) "
        "where row in (select row from {held} where file in (select file from {complete}))",
        held=known,
        complete=complete,
    )
    missing = sample.select(_MISSING, done=done, rejected=kept_rejected)
    numbers = [number for (number,) in complete.rows("select file from {table} order by file")]
    copied, new = missing.select(_COPIED, held=known), missing.select(_NEW, held=known)
    before = 0 if rejected is None else rejected.num_rows
    unchanged = held is not None and rejected is not None and not missing.num_rows
    return IncrementalPlan(
        sample.num_rows,
        [files[number] for number in numbers],
        done.num_rows,
        copied,
        new,
        kept_rejected,
        unchanged and len(numbers) == len(files) and kept_rejected.num_rows == before,
    )


def _empty(database: KeyDatabase, columns: Sequence[str]) -> KeyTable:
    import pyarrow as pa

    types = {"file": pa.int32(), ROW: pa.int64()}
    schema = pa.schema([(name, types.get(name, pa.string())) for name in columns])
    return KeyTable.of(schema.empty_table(), database)
