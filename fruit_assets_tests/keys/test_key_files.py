"""Tests of keys of many files on S3: how few requests they are, and that copies change nothing else."""

import random
import time
from collections.abc import Sequence
from datetime import timedelta
from threading import Lock

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fruit_assets.keys import key_files
from fruit_assets.keys.key_files import copy_keys, remove_unused_keys
from fruit_assets.keys.key_table import KeyDatabase
from fruit_assets.keys.row_keys import row_keys
from fruit_assets.object_store.stores import open_store
from fruit_assets.spark.writing import RowWriter, WriteTarget, data_files_from
from fruit_assets.storage.delta.columns import columns_of
from fruit_assets.storage.delta.table import Table
from fruit_assets.storage.parquet_files import DataFile
from fruit_assets.storage.staging import VersionWriter

_COLUMNS = ("path", "label", "size")


class Rows:
    """A table of images of 100 kB in files of six rows, which are three row groups."""

    def __init__(self, uri: str) -> None:
        self.table = Table(open_store(uri))
        self._number = 0

    def write(self, count: int) -> list[DataFile]:
        """Write this many files, as a run of their own."""
        writing = VersionWriter(self.table, f"run-{self._number:04}")
        files = [self._write_file(writing) for _ in range(count)]
        return sorted(files, key=lambda file: file.path)

    def keys(self, files: Sequence[DataFile], columns: Sequence[str] = _COLUMNS) -> list[dict[str, object]]:
        return row_keys(self.table.store, files, columns, KeyDatabase()).to_table().to_pylist()

    def copies(self) -> list[str]:
        return [item.key for item in self.table.store.list("_keys/")]

    def _write_file(self, writing: VersionWriter) -> DataFile:
        writer = RowWriter(WriteTarget.of(writing, 2))
        for _ in range(6):
            self._number += 1
            row = {"path": [f"{self._number:05}"], "label": [f"class {self._number % 7}"], "size": [self._number]}
            writer.write(pa.RecordBatch.from_pydict({**row, "content": [bytes(100_000)]}))
        (file,) = data_files_from(pa.table({"files": [writer.close()]}))
        return file


@pytest.fixture
def rows(bucket: str) -> Rows:
    return Rows(f"s3://{bucket}/sample")


def _without_copies(rows: Rows, files: Sequence[DataFile]) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    for number, file in enumerate(files):
        found += [{**row, "file": number, "row": len(found) + row["row"]} for row in rows.keys([file])]
    return found


def test_keys_that_were_copied_are_one_request_and_those_of_new_files_a_few_more(rows, s3_gets):
    files = rows.write(20)
    first = rows.keys(files)
    assert len(s3_gets) > 2 * len(files)
    s3_gets.clear()
    assert rows.keys(files) == first
    assert len(s3_gets) == 1
    new = rows.write(2)
    s3_gets.clear()
    assert len(rows.keys([*files, *new])) == 22 * 6
    of_new = [path for path, _ in s3_gets if "/data/" in path]
    assert len(s3_gets) - len(of_new) == 1
    assert len(of_new) <= 2 * 4


def test_a_table_of_few_files_has_no_copies_and_neither_has_a_disk(rows, tmp_path):
    files = rows.write(15)
    rows.keys(files)
    copy_keys(rows.table.store, files, _COLUMNS)
    assert rows.copies() == []
    on_disk = Rows(str(tmp_path / "sample"))
    files = on_disk.write(20)
    assert len(on_disk.keys(files)) == 120
    copy_keys(on_disk.table.store, files, _COLUMNS)
    assert on_disk.copies() == []


@pytest.mark.parametrize("rows_per_key_file", [1, 30, 65536])
def test_keys_are_the_same_with_copies_and_without_in_any_order_of_any_files(rows, monkeypatch, rows_per_key_file):
    monkeypatch.setattr(key_files, "_ROWS_PER_KEY_FILE", rows_per_key_file)
    of_run, of_another, uncopied = rows.write(18), rows.write(17), rows.write(3)
    copy_keys(rows.table.store, of_run, _COLUMNS)
    rows.keys([*of_run[::2], *of_another])
    assert len(rows.copies()) >= 2
    chance = random.Random(0)
    for count in (16, 25, 38):
        files = chance.sample([*of_run, *of_another, *uncopied], count)
        assert rows.keys(files) == _without_copies(rows, files)


def test_a_key_file_that_holds_files_of_two_places_is_read_by_one_thread_at_a_time(rows, monkeypatch):
    old, new = rows.write(32), rows.write(1)
    files = [*old[:16], *new, *old[16:]]
    expected = _without_copies(rows, files)
    copy_keys(rows.table.store, old, _COLUMNS)
    read, reading, overlaps = pq.ParquetFile.read, Lock(), []

    def read_slowly(parquet, *arguments, **options):
        if parquet.metadata.num_rows < 32 * 6:
            return read(parquet, *arguments, **options)
        if reading.locked():
            overlaps.append(parquet)
        with reading:  # also here, because two reads at once can crash this process
            time.sleep(0.2)  # for another thread to come
            return read(parquet, *arguments, **options)

    monkeypatch.setattr(pq.ParquetFile, "read", read_slowly)
    assert rows.keys(files) == expected
    assert not overlaps


def test_large_tables_have_several_copies_and_none_holds_a_file_twice(rows, monkeypatch):
    monkeypatch.setattr(key_files, "_ROWS_PER_KEY_FILE", 30)
    files = rows.write(20)
    copy_keys(rows.table.store, files, _COLUMNS)
    assert len(rows.copies()) == 4
    copied = [path for key in rows.copies() for path in key_files._open(rows.table.store, key).rows]
    assert sorted(copied) == [file.path for file in files]


def test_copies_that_are_broken_or_lack_a_column_are_left_aside(rows):
    files = rows.write(17)
    expected = _without_copies(rows, files)
    copy_keys(rows.table.store, files, ["path", "label"])
    rows.table.store.put("_keys/broken.parquet", b"PAR1")
    rows.table.store.put("_keys/empty.parquet", b"")
    assert rows.keys(files) == expected
    whole = [key for key in rows.copies() if (copy := key_files._open(rows.table.store, key)) and len(copy.rows) == 17]
    assert len(whole) == 2
    names = {tuple(key_files._open(rows.table.store, key).parquet.schema_arrow.names) for key in whole}
    assert names == {("path", "label"), _COLUMNS}


def test_old_copies_are_removed_when_the_table_lists_none_of_their_files(rows):
    published, unpublished = rows.write(17), rows.write(17)
    columns = columns_of("path string, label string, size bigint, content binary")
    rows.table.commit(rows.table.stage(published, columns, "run", None))
    copy_keys(rows.table.store, published, _COLUMNS)
    (kept,) = rows.copies()
    copy_keys(rows.table.store, unpublished, _COLUMNS)
    rows.table.store.put("_keys/broken.parquet", b"PAR1")
    remove_unused_keys(rows.table)
    assert len(rows.copies()) == 3
    remove_unused_keys(Table(rows.table.store, retention=timedelta()))
    assert rows.copies() == [kept]
