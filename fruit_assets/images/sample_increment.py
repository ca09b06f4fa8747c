"""What a new sample takes over from the version before it, and what must be fetched, decided on keys alone.

Put here the comparison of a choice with the rows that are there. Choosing belongs in `sampling.py`, fetching in
`fetching.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fruit_assets.storage.key_table import KeyTable
from fruit_assets.storage.parquet_files import DataFile

if TYPE_CHECKING:
    import pyarrow as pa

KEYS = ("path", "label", "sha256", "size", "stamp")
# Rows as they are chosen now, that were read. (A row without a digest could not be: it is tried again.)
_SAME = """
select h.* from {held} as h join {table} as c using (path, label, size, stamp)
where h.sha256 is not null
"""
_COMPLETE = """
select file from {held} as h left join (select row, true as same from {table}) as s using (row)
group by file having count(same) = count(*) order by file
"""


@dataclass(frozen=True)
class SampleIncrement:
    """The rows of a sample: those that stay where they are, those to copy, and those to fetch.

    Attributes:
        kept_files: files of the version before that hold only rows of the new sample.
        kept: keys of their rows.
        copied: keys and `row` of rows that stay, but whose file holds others that are gone.
        fetched: `path, label, size, stamp` of the images to fetch, in order of the choice.
    """

    kept_files: Sequence[DataFile]
    kept: KeyTable
    copied: KeyTable
    fetched: KeyTable

    def to_copy(self) -> "pa.Table":
        """The sorted numbers, in the version before, of the rows to copy."""
        return self.copied.to_table().select(["row"])


def plan_sample(chosen: KeyTable, held: KeyTable, files: Sequence[DataFile]) -> SampleIncrement:
    """Compare a choice with the rows of the version before.

    Args:
        chosen: `path, label, size, stamp`, sorted by path.
        held: `path, label, sha256, size, stamp, file, row` of the version before; in the same database.
        files: of the version before.
    """
    same = chosen.select(_SAME, held=held)
    complete = same.select(_COMPLETE, held=held)
    kept = same.select("select * from {table} semi join {complete} using (file) order by row", complete=complete)
    copied = same.select("select * from {table} anti join {complete} using (file) order by row", complete=complete)
    fetched = chosen.select("select * from {table} anti join {same} using (path) order by path", same=same)
    numbers = [number for (number,) in complete.rows("select file from {table} order by file")]
    return SampleIncrement([files[number] for number in numbers], kept, copied, fetched)
