"""Tests of files that were completed and never committed: which are found, and how long they stay."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from fruit_assets.keys.key_table import KeyDatabase
from fruit_assets.keys.row_keys import row_keys
from fruit_assets.object_store.stores import open_store
from fruit_assets.spark.writing import RowWriter, WriteTarget, data_files_from
from fruit_assets.storage.delta.columns import columns_of
from fruit_assets.storage.delta.table import Table
from fruit_assets.storage.parquet_files import DataFile
from fruit_assets.storage.recovery import find_recoverable
from fruit_assets.storage.staging import VersionWriter
from fruit_assets.storage.upkeep import clean_up
from fruit_assets_tests.object_store.places import AWKWARD

_RETENTION = timedelta(days=7)
_COLUMNS = columns_of("path string, label string")


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(open_store(str(tmp_path / AWKWARD / "image_features")), _RETENTION)


def _write(table: Table, run: str, *paths: str, fingerprint: str = "f") -> DataFile:
    """What a task of a run writes."""
    target = WriteTarget.of(VersionWriter(table, run), 2, fingerprint)
    writer = RowWriter(target, notes=lambda: {"seen": ["é"]})
    writer.write(pa.RecordBatch.from_pydict({"path": list(paths), "label": ["é"] * len(paths)}))
    [file] = data_files_from(pa.table({"files": [writer.close()]}))
    return file


def _publish(table: Table, run: str, *files: DataFile) -> None:
    table.commit(VersionWriter(table, run).stage(files, _COLUMNS))


def _age(table: Table, file: DataFile, age: timedelta) -> None:
    then = (datetime.now(UTC) - age).timestamp()
    os.utime(Path(table.store.uri) / file.path, (then, then))


def _found(table: Table, fingerprint: str = "f") -> list[DataFile]:
    return [each.file for each in find_recoverable(table, fingerprint)]


def test_files_of_a_dead_run_are_found_with_their_keys_and_notes_before_there_is_any_version(table: Table) -> None:
    written = [_write(table, "dead", "b", "ü", "a"), _write(table, "dead", "c")]
    found = find_recoverable(table, "f")
    assert sorted(written, key=lambda file: file.path) == [each.file for each in found]
    assert all(each.notes == {"seen": ["é"]} for each in found)
    extremes = {(each.file.least["path"], each.file.greatest["path"]) for each in found}
    assert extremes == {("a", "ü"), ("c", "c")}
    keys = row_keys(table.store, [each.file for each in found], ["path", "label"], KeyDatabase())
    assert {(path, label) for path, label, *_ in keys.rows("select * from {table}")} == {(path, "é") for path in "abcü"}


def test_files_of_another_fingerprint_or_without_one_are_not_taken(table: Table) -> None:
    for fingerprint in ("other", ""):
        _write(table, "dead", "a", fingerprint=fingerprint)
    assert _found(table) == []
    assert _found(table, "") == []


def test_files_of_the_newest_version_and_of_those_before_it_are_not_found_again(table: Table) -> None:
    first, second, third = (_write(table, run, run) for run in ("one", "two", "dead"))
    _publish(table, "one", first)
    _publish(table, "two", second)
    assert _found(table) == [third]


def test_files_that_were_cut_short_or_damaged_or_are_still_being_written_are_skipped(table: Table) -> None:
    whole, cut = _write(table, "dead", "a"), _write(table, "dead", "b")
    place = Path(table.store.uri)
    (place / cut.path).write_bytes((place / cut.path).read_bytes()[:-20])
    garbled = _write(table, "dead", "c")
    content = bytearray((place / garbled.path).read_bytes())
    content[-60:-8] = b"\xff" * 52  # the end of the footer; its length and the magic number are whole
    (place / garbled.path).write_bytes(content)
    part = (place / whole.path).with_name(".part-0.parquet.x1")
    part.write_bytes((place / whole.path).read_bytes())
    (place / whole.path).with_name("empty.parquet").touch()
    assert _found(table) == [whole]


def test_two_runs_may_list_the_same_file_and_upkeep_keeps_it_whatever_its_age(table: Table) -> None:
    mine, theirs = VersionWriter(table, "mine"), _write(table, "theirs", "a")
    adopted = _found(table)
    assert adopted == [theirs]
    facts = {"data_version": "d"}
    version = table.commit(mine.stage(adopted, _COLUMNS, facts))
    # The run that wrote it was alive, and commits as well: the same content.
    assert table.commit(table.stage([theirs], _COLUMNS, "theirs", None, facts)).number == version.number
    _age(table, theirs, 2 * _RETENTION)
    assert clean_up(table).removed == 0
    assert version.read_table()["path"].to_pylist() == ["a"]


@pytest.mark.parametrize("published", [True, False])
def test_files_of_a_dead_run_stay_for_the_retention_and_are_not_taken_over_when_they_may_go_soon(
    table: Table, published: bool
) -> None:
    if published:
        _publish(table, "published", _write(table, "published", "p"))
    young, middle, old = (_write(table, "dead", name) for name in ("young", "middle", "old"))
    _age(table, middle, _RETENTION - timedelta(hours=3))
    _age(table, old, _RETENTION + timedelta(hours=3))
    assert _found(table) == [young]
    assert clean_up(table).removed == 1
    kept = {item.key for item in table.store.list("data/")}
    assert {young.path, middle.path} <= kept
    assert old.path not in kept


@pytest.mark.parametrize("published", [True, False])
def test_what_a_killed_process_left_half_written_goes_after_the_retention(table: Table, published: bool) -> None:
    whole = _write(table, "run", "a")
    if published:
        _publish(table, "run", whole)
    parts = [(Path(table.store.uri) / whole.path).with_name(f".part-0.parquet.{name}") for name in ("new", "old")]
    for part in parts:
        part.write_bytes(b"half")
    old = (datetime.now(UTC) - 2 * _RETENTION).timestamp()
    os.utime(parts[1], (old, old))
    clean_up(table)
    assert [part.exists() for part in parts] == [True, False]
    assert (Path(table.store.uri) / whole.path).exists()
