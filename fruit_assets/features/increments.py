"""What a run may take over from earlier ones, decided on keys alone.

Put here the bookkeeping that makes sure no image is inferred twice: neither one that an earlier run
featurised with the same extractor, nor the second of two identical files. Keys are a few hundred bytes
per image and lie on disk; no image byte and no feature is touched here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from fruit_assets.keys.key_table import KeyDatabase, KeyTable
from fruit_assets.spark.reading import ROW
from fruit_assets.storage.parquet_files import DataFile

if TYPE_CHECKING:
    import pyarrow as pa

# Column that names the rows which get the features of another.
COPIES = "copies"
KEYS = ("path", "label", "sha256")
REJECTED = (*KEYS, "reason")
# A task that failed and was tried again may have left the same rows twice, in files that no commit lists.
_FIRST_OF_EACH = """
select path, label, sha256, min(row) as row, arg_min(file, row) as file from {table} group by path, label, sha256
"""
_SAME = "select h.row, h.file, s.row as sample_row from {held} as h join {table} as s using (path, label, sha256)"
_COMPLETE = """
select file from (select file, count(*) as wanted from {table} group by file)
join (select file, count(*) as rows from {held} group by file) using (file) where wanted = rows order by file
"""
# The reason lies in the bytes alone; of an image without bytes in its place.
_STILL_REJECTED = """
select s.path, s.label, s.sha256, r.reason from {table} as s
join (select sha256, min(reason) as reason from {rejected} group by sha256) as r using (sha256)
anti join {held} using (sha256)
union all
select s.path, s.label, s.sha256, r.reason from {table} as s
join (select path, label, min(reason) as reason from {rejected} where sha256 is null group by path, label) as r
using (path, label) where s.sha256 is null order by path
"""
# Rows of the sample that are neither in a file that stays nor known to be unreadable.
_MISSING = """
select t.* from {table} as t anti join {done} as d on t.row = d.sample_row
anti join {rejected} as r on t.path = r.path order by row
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
_WITH_DUPLICATES = """
select m.path, m.label, m.sha256, r.reason from {table} as m
join {table} as o on m.original = o.row join {found} as r on o.path = r.path
union all select * from {kept} order by path
"""


@dataclass(frozen=True)
class IncrementalPlan:
    """Which rows of a sample stay where their features are, are copied, or are computed.

    Attributes:
        sample_count: rows of the sample.
        kept_files: files with features that hold only rows of this sample; they stay.
        kept_count: rows in them.
        copied: `path, label, sha256` here, and `row` of the known features, of rows that get the features of that row.
        new: `path, label, sha256, row, original`: rows of the sample whose bytes have no features yet, and for each the
            row that is computed for it.
        kept_rejected: `path, label, sha256, reason` of rows that are known to be unreadable, by path.
        sources: numbers of the files whose features are kept or copied.
        recovered_count: rows whose features are in files that no version lists.
        unchanged: the sample has exactly the rows of the version before.
    """

    sample_count: int
    kept_files: Sequence[DataFile]
    kept_count: int
    copied: KeyTable
    new: KeyTable
    kept_rejected: KeyTable
    sources: Sequence[int]
    recovered_count: int
    unchanged: bool

    @cached_property
    def reused_count(self) -> int:
        """Rows whose features exist."""
        return self.kept_count + self.copied.num_rows

    @cached_property
    def new_count(self) -> int:
        """Rows whose bytes have no features yet."""
        return self.new.num_rows

    @cached_property
    def compute_count(self) -> int:
        """Images that go through the network: distinct bytes without features."""
        return int(self.new.values("count(*) filter (row = original)")[0])

    @property
    def computes_everything(self) -> bool:
        return self.compute_count == self.sample_count

    def to_compute(self) -> "pa.Table":
        """One row per image that goes through the network: its `row` in the sample, and its `copies`.

        These are the `path, label` of the other rows of the sample with the same bytes; null where there are none.
        """
        return self.new.select(_COMPUTED if self.compute_count < self.new_count else _COMPUTED_ALONE).to_table()

    def with_duplicates(self, rejected: "pa.Table") -> KeyTable:
        """The rejected rows of the sample: of this run, with all identical files, and those known before; by path."""
        if not rejected.num_rows:
            return self.kept_rejected
        found = KeyTable.of(rejected.select(["path", "reason"]), self.new.database)
        return self.new.select(_WITH_DUPLICATES, found=found, kept=self.kept_rejected)


@dataclass(frozen=True)
class KnownKeys:
    """Keys of the features and of the rejected images that exist; all tables are of one database.

    Attributes:
        held: `path, label, sha256, file, row` of features of the same fingerprint.
        files: that hold these.
        published: how many of the files are of the version before; the others are of no version.
        rejected: `path, label, sha256, reason` of the version before; None when it is not known.
        found_rejected: the same of images that tasks of runs without a version rejected; None when there are none.
    """

    held: KeyTable
    files: Sequence[DataFile]
    published: int
    rejected: KeyTable | None
    found_rejected: KeyTable | None = None


def plan_increment(sample: KeyTable, known: KnownKeys | None = None) -> IncrementalPlan:
    """Decide which rows of a sample need the network.

    Args:
        sample: `path, label, sha256, row`.
        known: what exists, in the same database; None without.
    """
    database = sample.database
    held = known.held if known else _empty(database, (*KEYS, "file", ROW))
    files, published = (known.files, known.published) if known else ((), 0)
    first_of_each = held.select(_FIRST_OF_EACH) if len(files) > published else held
    same = sample.select(_SAME, held=first_of_each)
    complete = same.select(_COMPLETE, held=held)
    done = same.select("select row, sample_row from {table} semi join {complete} using (file)", complete=complete)
    kept_rejected = sample.select(_STILL_REJECTED, held=held, rejected=_rejected(database, known))
    missing = sample.select(_MISSING, done=done, rejected=kept_rejected)
    copied = missing.select(_COPIED, held=held)
    kept = [number for (number,) in complete.rows("select file from {table} order by file")]
    copied_from = held.select("select distinct file from {table} semi join {copied} using (row)", copied=copied)
    first_recovered = sum(file.rows for file in files[:published])
    of_no_version = f"count(*) filter (row >= {first_recovered})"
    kept_count = done.num_rows
    return IncrementalPlan(
        sample.num_rows,
        [files[number] for number in kept],
        kept_count,
        copied,
        missing.select(_NEW, held=held),
        kept_rejected,
        sorted({*kept, *(number for (number,) in copied_from.rows("select file from {table}"))}),
        done.values(of_no_version)[0] + copied.values(of_no_version)[0],
        known is not None
        and kept == list(range(published))
        and _same_rejected(sample, known, sample.num_rows - kept_count),
    )


def _rejected(database: KeyDatabase, known: KnownKeys | None) -> KeyTable:
    """All images that are known to be unreadable; some may occur twice."""
    tables = [table for table in (known.rejected, known.found_rejected) if table] if known else []
    if len(tables) < 2:
        return tables[0] if tables else _empty(database, REJECTED)
    columns = ", ".join(REJECTED)
    both = f"select {columns} from {{table}} union all select {columns} from {{found}}"  # noqa: S608  names of our own
    return tables[0].select(both, found=tables[1])


def _same_rejected(sample: KeyTable, known: KnownKeys, without_features: int) -> bool:
    """Whether the rows without features are exactly the rejected images of the version before."""
    if known.rejected is None or known.rejected.num_rows != without_features:
        return False
    still = """
    select r.path from {table} as r semi join {sample} as s
    on s.path = r.path and s.label = r.label and s.sha256 is not distinct from r.sha256
    """
    return known.rejected.select(still, sample=sample).num_rows == without_features


def _empty(database: KeyDatabase, columns: Sequence[str]) -> KeyTable:
    import pyarrow as pa

    types = {"file": pa.int32(), ROW: pa.int64()}
    schema = pa.schema([(name, types.get(name, pa.string())) for name in columns])
    return KeyTable.of(schema.empty_table(), database)
