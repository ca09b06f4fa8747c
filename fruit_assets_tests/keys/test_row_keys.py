"""Tests of reading keys: which bytes of a file on S3 it asks for."""

import pyarrow as pa

from fruit_assets.keys.key_table import KeyDatabase
from fruit_assets.keys.row_keys import row_keys
from fruit_assets.object_store.stores import open_store
from fruit_assets.spark.writing import RowWriter, WriteTarget, data_files_from
from fruit_assets.storage.delta.table import Table
from fruit_assets.storage.staging import VersionWriter


def test_keys_on_s3_are_one_request_for_each_file_and_one_for_each_row_group(bucket, s3_gets):
    table = Table(open_store(f"s3://{bucket}/sample"))
    writer = RowWriter(WriteTarget.of(VersionWriter(table, "run"), 4))
    for number in range(12):
        content = bytes([number]) * 200_000
        writer.write(pa.RecordBatch.from_pydict({"path": [f"{number:02}"], "label": ["a"], "content": [content]}))
    files = data_files_from(pa.table({"files": [writer.close()]}))
    s3_gets.clear()
    keys = row_keys(table.store, files, ["path", "label"], KeyDatabase())
    assert keys.to_table()["path"].to_pylist() == [f"{number:02}" for number in range(12)]
    assert len(files) == 1
    ranges = [part for _, part in s3_gets]
    # Three row groups; the last lies in the end of the file, or is a request of its own.
    assert 3 <= len(ranges) <= 4
    asked = [sum(int(edge) * sign for edge, sign in zip(part[6:].split("-"), (-1, 1), strict=True)) + 1
             for part in ranges if not part.startswith("bytes=-")]  # fmt: skip
    assert max(asked) < 200_000, "no image is read for its key"
