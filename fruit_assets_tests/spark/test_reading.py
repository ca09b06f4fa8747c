"""Tests of reading a version piece by piece; how Spark runs the pieces is tested with what reads them."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fruit_assets.object_store.stores import LocalStore
from fruit_assets.spark.reading import ScanOptions, _batches, _pieces
from fruit_assets.storage.delta.columns import columns_of
from fruit_assets.storage.delta.version import Version
from fruit_assets.storage.parquet_files import ROW_GROUP_ROWS, DataFile

_READING = ScanOptions(["path"], 1, 3)


def _version(folder, groups) -> Version:
    """Twenty rows in one file, which its version states to be in row groups of four."""
    with pq.ParquetWriter(folder / "part.parquet", pa.schema([("path", pa.string())])) as writer:
        row = 0
        for size in groups:
            writer.write_table(pa.table({"path": [f"{row + number:02}" for number in range(size)]}))
            row += size
    columns = columns_of("path string")
    return Version(LocalStore(folder), 0, (DataFile("part.parquet", 1, 20),), columns, {ROW_GROUP_ROWS: 4})


def _paths(version, pieces) -> list[str]:
    batches = [batch for piece in pieces for batch in _batches(version.store, [piece], _READING)]
    return [path for batch in batches for path in batch["path"].to_pylist()]


# As written, as other programs merge files, and with as many row groups of other sizes.
@pytest.mark.parametrize("groups", [[4] * 5, [20], [4, 4, 12], [2, 6, 4, 4, 4], [1] * 20])
def test_every_row_is_read_once_also_where_another_program_has_written_other_row_groups(tmp_path, groups):
    version = _version(tmp_path, groups)
    pieces = list(_pieces(version))
    assert len(pieces) == 5
    assert _paths(version, pieces) == [f"{number:02}" for number in range(20)]
    assert _paths(version, pieces[1:3]) == [f"{number:02}" for number in range(4, 12)]
    wanted = pa.table({"row": [1, 5, 5, 11, 19]})
    assert _paths(version, _pieces(version, wanted)) == ["01", "05", "05", "11", "19"]
