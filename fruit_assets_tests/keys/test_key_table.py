"""Tests of tables of keys on disk: order, streams, bounded memory, and whose error it is."""

import tempfile
from pathlib import Path

import pyarrow as pa
import pytest

from fruit_assets.keys import key_table
from fruit_assets.keys.key_table import KeyDatabase, KeyTable


def _stream(rows: int) -> pa.RecordBatchReader:
    batches = (pa.record_batch({"key": [f"{n * 7919 % rows:09}" for n in range(start, min(start + 1000, rows))]})
               for start in range(0, rows, 1000))  # fmt: skip
    return pa.RecordBatchReader.from_batches(pa.schema([("key", pa.string())]), batches)


def test_more_rows_than_memory_holds_are_sorted_through_files(monkeypatch):
    monkeypatch.setattr(key_table, "MEMORY_LIMIT", "128MB")
    rows = 1_000_000  # some 200 MB to sort
    table = KeyDatabase().create("select key, repeat(key, 20) as long from stream order by key", _stream(rows))
    chunks = list(table.chunks(["key"], 170_001))
    assert [chunk.num_rows for chunk in chunks] == [170_001] * 5 + [rows - 5 * 170_001]
    assert pa.concat_tables(chunks)["key"].to_pylist() == [f"{n:09}" for n in range(rows)]


def test_tables_of_one_database_are_joined_and_read_while_others_are_made():
    letters = KeyTable.of(pa.table({"letter": ["b", "a", "c"]}))
    some = KeyTable.of(pa.table({"letter": ["c", "a"]}), letters.database)
    reader = letters.batches()
    both = letters.select("select * from {table} semi join {some} using (letter) order by letter", some=some)
    assert both.to_table().to_pylist() == [{"letter": "a"}, {"letter": "c"}]
    assert reader.read_all()["letter"].to_pylist() == ["b", "a", "c"]
    assert letters.every(2).to_table()["letter"].to_pylist() == ["b", "c"]
    assert letters.values("count(*), min(letter)") == (3, "a")


def test_a_table_without_rows_keeps_its_columns():
    empty = KeyTable.of(pa.table({"path": pa.array([], pa.string()), "size": pa.array([], pa.int64())}))
    assert empty.num_rows == 0
    assert empty.to_table().column_names == ["path", "size"]
    assert list(empty.chunks(["path"], 10)) == []


def test_what_fails_in_a_stream_is_raised_as_it_is():
    def batches():
        yield pa.record_batch({"key": ["a"]})
        raise PermissionError("no way in")

    stream = pa.RecordBatchReader.from_batches(pa.schema([("key", pa.string())]), batches())
    with pytest.raises(PermissionError, match="no way in"):
        KeyTable.of(stream)


def test_the_files_go_when_no_table_is_left(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    table = KeyTable.of(pa.table({"key": ["a"]}))
    assert any(Path(tmp_path).iterdir())
    del table
    assert not any(Path(tmp_path).iterdir())
