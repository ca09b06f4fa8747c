"""Tests of upkeep: what goes, what stays, and that no row changes."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from fruit_assets.object_store.stores import open_store
from fruit_assets.storage.delta.table import Table
from fruit_assets.storage.delta.version import Version
from fruit_assets.storage.parquet_files import ROW_GROUP_ROWS
from fruit_assets.storage.staging import VersionWriter, restore, write_file
from fruit_assets.storage.upkeep import SMALL_FILES, Upkeep, clean_up, remove_replaced
from fruit_assets_tests.storage.tables import stage_table

_DAY = timedelta(days=1)


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(open_store(str(tmp_path / "image_features")), retention=_DAY)


def _publish(table: Table, *paths: str) -> Version:
    return table.commit(stage_table(pa.table({"path": paths}), VersionWriter(table, paths[0])))


def _replaced_long_ago(table: Table, monkeypatch: pytest.MonkeyPatch) -> tuple[Version, Version]:
    """Two versions, of `kept, a` and `kept, b`; the commit of the second says that it is two days old."""
    first = _publish(table, "kept")
    two_days_ago = int((datetime.now(UTC) - 2 * _DAY).timestamp() * 1000)
    versions = []
    with monkeypatch.context() as patch:
        patch.setattr("fruit_assets.storage.delta.actions._milliseconds", lambda: two_days_ago)
        for path in ("a", "b"):
            writing = VersionWriter(table, path)
            new = write_file(pa.table({"path": [path]}), writing, "path")
            versions.append(table.commit(writing.stage([*first.files, new], first.columns)))
    return versions[0], versions[1]


def test_files_that_were_replaced_within_the_retention_stay_however_old_they_are(table: Table) -> None:
    first = _publish(table, "a")
    old = (datetime.now(UTC) - 30 * _DAY).timestamp()
    os.utime(Path(table.store.uri) / first.files[0].path, (old, old))
    _publish(table, "b")
    assert remove_replaced(table) == 0
    assert clean_up(table) == Upkeep()
    assert table.at(0).read_table()["path"].to_pylist() == ["a"]


def test_files_that_were_replaced_before_the_retention_go_unless_a_run_is_older(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = _replaced_long_ago(table, monkeypatch)
    assert clean_up(table, running_since=datetime.now(UTC) - 3 * _DAY).removed == 0
    assert first.is_intact()
    assert remove_replaced(table) == 1
    assert not first.is_intact()
    kept = table.current()
    assert (kept.files, kept.facts, kept.run_id, kept.published) == (second.files, second.facts, "b", second.number)
    assert sorted(kept.read_table()["path"].to_pylist()) == ["b", "kept"]


def test_a_version_that_came_back_is_not_removed(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    _replaced_long_ago(table, monkeypatch)
    restore(table, 1)
    clean_up(table)
    assert sorted(table.current().read_table()["path"].to_pylist()) == ["a", "kept"]


def _publish_increments(table: Table, count: int, rows: int, facts: dict[str, object]) -> Version:
    version = None
    for number in range(count):
        writing = VersionWriter(table, f"run{number:03}")
        part = pa.table({"path": [f"{number:03}-{row}" for row in range(rows)], "content": [b"x" * 100] * rows})
        kept = writing.base.files if writing.base else ()
        columns = stage_table(part.slice(0, 0), writing).version.columns
        version = table.commit(writing.stage([*kept, write_file(part, writing, "path")], columns, facts))
    assert version is not None
    return version


def test_many_small_files_become_one_with_the_same_rows_facts_and_row_groups(table: Table) -> None:
    before = _publish_increments(table, SMALL_FILES, 3, {ROW_GROUP_ROWS: 3, "data_version": "d"})
    rows = before.read_table().sort_by("path")
    done = clean_up(table)
    assert done.compacted == SMALL_FILES
    after = table.current()
    assert (after.facts, after.run_id, after.published) == (before.facts, before.run_id, before.number)
    [file] = after.files
    assert (file.rows, file.least["path"]) == (3 * SMALL_FILES, "000-0")
    assert after.read_table().sort_by("path").cast(rows.schema).equals(rows)
    metadata = pq.ParquetFile(Path(table.store.uri) / file.path).metadata
    assert {metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)} == {3}
    assert before.read_table().num_rows == 3 * SMALL_FILES
    assert clean_up(table) == Upkeep()


def test_a_run_that_began_before_a_compaction_publishes_all_the_same(table: Table) -> None:
    before = _publish_increments(table, SMALL_FILES, 1, {"data_version": "d"})
    writing = VersionWriter(table, "long")
    clean_up(table)
    new = write_file(pa.table({"path": ["new"], "content": [b""]}), writing, "path")
    staged = writing.stage([*before.files, new], before.columns, {"data_version": "e"})
    version = table.commit(staged)
    assert version.row_count == SMALL_FILES + 1
    assert DeltaTable(table.store.uri).to_pyarrow_table().num_rows == SMALL_FILES + 1
