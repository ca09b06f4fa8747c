"""What a new sample takes over from the version before it, and what must be fetched, decided on keys alone.

Put here the comparison of a choice with the known rows. Choosing belongs in `sampling.py`, writing the new
version in `sample_version.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fruit_assets.keys.key_table import KeyTable
from fruit_assets.keys.row_keys import row_keys
from fruit_assets.object_store.stores import Store
from fruit_assets.storage.parquet_files import DataFile

if TYPE_CHECKING:
    import pyarrow as pa


KEYS = ("path", "label", "sha256", "size", "stamp")
# Rows as they are chosen now, that were read: their numbers alone, found by a digest, since a join on the keys
# themselves holds all of them. (A row without a sha256 could not be read: it is tried again.)
_DIGEST = "md5_number(concat(path, chr(0), label, chr(0), size, chr(0), stamp))"
_SAME = f"""
select h.row, h.file, c.place
from (select row, file, {_DIGEST} as digest from {{held}} where sha256 is not null and stamp is not null) as h
join (select rowid as place, {_DIGEST} as digest from {{table}} where stamp is not null) as c using (digest)
"""  # noqa: S608  SQL of our own
# A task that was tried again may have left the same row in two files.
_ONCE = " qualify row_number() over (partition by c.place order by h.row) = 1"
_KEPT = "select h.* from {table} as h semi join {same} using (row) semi join {complete} using (file) order by row"
_COPIED = "select h.* from {table} as h semi join {same} using (row) anti join {complete} using (file) order by row"
_FETCHED = "select c.* from {table} as c anti join {same} as s on c.rowid = s.place order by path"
_REMOVED = "select h.file from {table} as h anti join {same} using (row) anti join {chosen} using (path)"


@dataclass(frozen=True)
class SampleIncrement:
    """The rows of a sample: those that stay where they are, those to copy, and those to fetch.

    Attributes:
        kept_files: files of the version before that hold only rows of the new sample.
        kept: keys of their rows.
        copied: keys and `row` of rows that stay, but whose file holds others that were removed.
        fetched: `path, label, size, stamp` of the images to fetch, in order of the choice.
        removed: rows of the version before whose image is not in the new sample.
        recovered: rows kept or copied from files that no version lists.
    """

    kept_files: Sequence[DataFile]
    kept: KeyTable
    copied: KeyTable
    fetched: KeyTable
    removed: int
    recovered: int = 0

    def __str__(self) -> str:
        kept = f"kept {self.kept.num_rows:,} in {len(self.kept_files):,} file(s)"
        copied = (
            f"copied {copied:,} from files with removed or changed ones; " if (copied := self.copied.num_rows) else ""
        )
        return f"Fetched {self.fetched.num_rows:,} new or changed images; {kept}; {copied}removed {self.removed:,}."

    @property
    def written_count(self) -> int:
        """Rows that must be written."""
        return self.fetched.num_rows + self.copied.num_rows

    def written_size(self) -> tuple[int, float]:
        """Rows that must be written, and the average bytes of their images as listed."""
        sizes = self.fetched.select("select size from {table} union all select size from {copied}", copied=self.copied)
        count, average_bytes = sizes.values("count(*), coalesce(avg(size), 0)")
        return count, average_bytes

    def to_copy(self) -> "pa.Table":
        """The sorted numbers, in the version before, of the rows to copy."""
        return self.copied.select("select row from {table} order by row").to_table()

    def figures(self) -> dict[str, int]:
        """Numbers of images, and of files that stay, for people."""
        fetched, copied = self.fetched.num_rows, self.copied.num_rows
        return figures_of(self.kept.num_rows, len(self.kept_files), fetched, copied, self.removed, self.recovered)


def figures_of(
    kept: int, files: int, fetched: int = 0, copied: int = 0, removed: int = 0, recovered: int = 0
) -> dict[str, int]:
    """Numbers of images of a sample, as metadata; those kept or copied may be recovered ones."""
    return {
        "images_fetched": fetched,
        "images_kept": kept,
        "images_copied": copied,
        "images_removed": removed,
        "images_recovered": recovered,
        "files_kept": files,
    }


def increment_of(
    chosen: KeyTable, store: Store, files: Sequence[DataFile], listed: int | None = None
) -> SampleIncrement:
    """Compare a choice with the rows that are in some files.

    Args:
        chosen: `path, label, size, stamp`, sorted by path.
        store: of the table.
        files: of the version before, and others that no version lists; without any, everything is fetched.
        listed: how many of them are of the version before; None for all.

    Raises:
        StorageError: a file cannot be read.
    """
    return plan_sample(chosen, row_keys(store, files, KEYS, chosen.database), files, listed)


def plan_sample(
    chosen: KeyTable, held: KeyTable, files: Sequence[DataFile], listed: int | None = None
) -> SampleIncrement:
    """Compare a choice with the known rows.

    Args:
        chosen: `path, label, size, stamp`, sorted by path.
        held: `path, label, sha256, size, stamp, file, row` of the known rows; in the same database.
        files: that hold these: of the version before, and after them others.
        listed: how many of them are of the version before; None for all.
    """
    import pyarrow as pa

    listed = len(files) if listed is None else listed
    same = chosen.select(_SAME if listed == len(files) else _SAME + _ONCE, held=held)
    fetched = chosen.select(_FETCHED, same=same)
    (recovered,) = same.values(f"count(*) filter (file >= {listed})")
    if same.num_rows == held.num_rows:  # the usual case, in which no key is copied
        return SampleIncrement(files, held, held.select("select * from {table} where false"), fetched, 0, recovered)
    counts = dict(same.rows("select file, count(*) from {table} group by file"))
    numbers = [number for number, file in enumerate(files) if counts.get(number) == file.rows]
    complete = KeyTable.of(pa.table({"file": pa.array(numbers, pa.int32())}), chosen.database)
    kept = held.select(_KEPT, same=same, complete=complete)
    copied = held.select(_COPIED, same=same, complete=complete)
    (removed,) = held.select(_REMOVED, same=same, chosen=chosen).values(f"count(*) filter (file < {listed})")
    return SampleIncrement([files[number] for number in numbers], kept, copied, fetched, removed, recovered)
