"""Tests of tables that workers read and write themselves: every row once, and only what succeeded is listed."""

import os
import re
import threading
from collections import Counter
from itertools import chain

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fruit_assets.errors import StorageError
from fruit_assets.object_store.stores import open_store
from fruit_assets.spark import writing as worker_writing
from fruit_assets.spark.reading import (
    ROW_GROUP_ROWS,
    ScanOptions,
    _batches,
    _even_shares,
    _Piece,
    _pieces,
    _tapered_shares,
    map_batches,
    sample_row_numbers,
)
from fruit_assets.spark.tasks import TaskError, collect, run_tasks
from fruit_assets.spark.writing import RowWriter, WriteTarget, data_files_from, files_schema, stage_written
from fruit_assets.storage import read_current
from fruit_assets.storage.delta.columns import Column
from fruit_assets.storage.delta.table import Table
from fruit_assets.storage.staging import VersionWriter
from fruit_assets_tests.object_store.places import AWKWARD

_SCHEMA = "path string, label string, content binary, features array<float>"
_COLUMNS = ["path", "label", "content", "features"]


def _rows(count: int) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict(
        {
            "path": [f"a=b/é {n}#.jpg" for n in range(count)],
            "label": [f"l{n % 7}" for n in range(count)],
            "content": [None if n % 5 == 0 else bytes([n % 256]) * n for n in range(count)],
            "features": pa.array([[float(n), float(n) / 3] for n in range(count)], pa.list_(pa.float32())),
        }
    )


def _written(target: WriteTarget):
    """What a task does that passes its rows on."""

    def write(batches):
        writer = RowWriter(target)
        for batch in batches:
            writer.write(batch)
        yield pa.RecordBatch.from_pydict({"files": [writer.close()]}, files_schema())

    return write


def _publish(folder: Table, name: str, count: int, row_group_rows: int) -> None:
    writing = VersionWriter(folder, name)
    [reported] = _written(WriteTarget.of(writing, row_group_rows))([_rows(count)])
    folder.commit(
        stage_written(
            writing, data_files_from(pa.Table.from_batches([reported])), _SCHEMA, {ROW_GROUP_ROWS: row_group_rows}
        )
    )


def _publish_unstated(folder: Table, name: str, count: int) -> None:
    """Three files whose row groups have any size."""
    writing, rows = VersionWriter(folder, name), _rows(count)
    reported = [
        batch
        for number, row_group_rows in enumerate((7, 1000, 12))
        for batch in _written(WriteTarget.of(writing, row_group_rows))([rows.slice(number * count // 3, count // 3)])
    ]
    rest = rows.slice(3 * (count // 3))
    reported += _written(WriteTarget.of(writing, 5))([rest]) if rest.num_rows else []
    folder.commit(stage_written(writing, data_files_from(pa.Table.from_batches(reported)), _SCHEMA))


@pytest.fixture(params=["stated row groups", "row groups of any size"])
def published(request, tmp_path) -> Table:
    """A version of 103 rows."""
    folder = Table(open_store(str(tmp_path)))
    if request.param == "stated row groups":
        _publish(folder, "one", 103, 10)
    else:
        _publish_unstated(folder, "one", 103)
    return folder


def _sorted(table: pa.Table) -> list[dict[str, object]]:
    return table.select(_COLUMNS).sort_by("path").to_pylist()


def test_what_workers_copy_is_what_was_there(spark, tmp_path):
    place = str(tmp_path / AWKWARD)
    source, copy = (Table(open_store(place).below(name)) for name in ("source", "copy"))
    _publish(source, "one", 103, 10)
    writing = VersionWriter(copy, "two")
    reading = ScanOptions(_COLUMNS, rows_per_task=20, rows_per_batch=7)
    reported = collect(
        map_batches(source.current(), spark.sparkContext, reading, _written(WriteTarget.of(writing, 16)))
    )
    assert reported.num_rows == 6
    copy.commit(stage_written(writing, data_files_from(reported), _SCHEMA))
    table = read_current(copy.store.uri)
    assert [file.path.rpartition("/")[2][:12] for file in copy.current().files] == [
        f"part-{number:06}-" for number in range(6)
    ]
    assert _sorted(table) == _sorted(pa.Table.from_batches([_rows(103)]))
    assert copy.current().columns[3] == Column("features", "array<float>")


def test_a_task_reads_and_writes_a_bucket_behind_a_private_ca_and_a_proxy(private_bucket):
    place = f"s3://{private_bucket}/année 2026 #1 [fruit]=50%"
    source, copy = (Table(open_store(place).below(name)) for name in ("source", "copy"))
    _publish(source, "one", 103, 10)
    writing = VersionWriter(copy, "two")
    version = source.current()
    rows = _batches(version.store, list(_pieces(version)), ScanOptions(_COLUMNS, 20, 7))
    [reported] = _written(WriteTarget.of(writing, 16))(rows)
    copy.commit(stage_written(writing, data_files_from(pa.Table.from_batches([reported])), _SCHEMA))
    assert _sorted(read_current(copy.store.uri)) == _sorted(pa.Table.from_batches([_rows(103)]))


def test_a_commit_has_the_extremes_of_every_file_for_readers_that_skip_files(tmp_path):
    folder = Table(open_store(str(tmp_path)))
    _publish_unstated(folder, "one", 50)
    for file in folder.current().files:
        paths = pq.read_table(tmp_path / file.path)["path"].to_pylist()
        assert (file.least, file.greatest) == ({"path": min(paths)}, {"path": max(paths)})


@pytest.mark.parametrize("rows_per_task", [1, 25, 1000])
def test_every_row_is_read_by_one_task_however_many_there_are(spark, published, rows_per_task):

    def paths(batches):
        for batch in batches:
            assert 0 < batch.num_rows <= 4
            yield batch.select(["path"])

    reading = ScanOptions(["path"], rows_per_task, rows_per_batch=4)
    seen = collect(map_batches(published.current(), spark.sparkContext, reading, paths))["path"].to_pylist()
    assert Counter(seen) == Counter(_rows(103)["path"].to_pylist())


@pytest.mark.parametrize("rows_per_task", [1, 25, 1000])
def test_wanted_rows_are_read_as_often_as_they_are_named_with_what_is_added(spark, published, rows_per_task):
    paths = read_current(published.store.uri)["path"].to_pylist()
    numbers = [0, 1, 1, 9, 10, 34, 35, 35, 35, 70, 101, 102]
    names = [f"name {place}" for place in range(len(numbers))]
    wanted = pa.table({"row": pa.array(numbers), "name": names})
    reading = ScanOptions(["path"], rows_per_task, rows_per_batch=4)
    seen = collect(map_batches(published.current(), spark.sparkContext, reading, lambda rows: rows, wanted))
    expected = [{"path": paths[number], "name": name} for number, name in zip(numbers, names, strict=True)]
    assert seen.sort_by([("path", "ascending"), ("name", "ascending")]).to_pylist() == sorted(
        expected, key=lambda row: (row["path"], row["name"])
    )


def test_a_look_at_a_version_is_spread_over_few_pieces_with_neighbours_where_they_are_wanted(tmp_path):
    folder = Table(open_store(str(tmp_path)))
    _publish(folder, "one", 50, 16)
    version = folder.current()
    assert sample_row_numbers(version, 100).tolist() == list(range(50))
    assert sample_row_numbers(version, 10).tolist() == list(range(0, 50, 5))
    assert sample_row_numbers(version, 10, run=2).tolist() == [0, 1, 10, 11, 20, 21, 30, 31, 40, 41]
    assert sample_row_numbers(version, 3, run=4).tolist() == sample_row_numbers(version, 0).tolist() == []
    _publish(folder, "two", 200, 2)
    looked_at = sample_row_numbers(folder.current(), 100).tolist()
    assert len(looked_at) == 32
    assert (min(looked_at), max(looked_at)) == (0, 187)
    folder.commit(stage_written(VersionWriter(folder, "none"), [], _SCHEMA))
    assert sample_row_numbers(folder.current(), 10).tolist() == []


def test_an_error_is_reported_whole_and_without_java(spark):
    def fails(part):
        raise ValueError("the reason\n\nis in two parts")
        yield

    def ends(part):
        os._exit(3)

    lock = threading.Lock()
    for function, reported in (
        (fails, r"\AA task on the workers failed\. Traceback .*ValueError: the reason\n\nis in two parts\Z"),
        (ends, r"\ASpark could not run the tasks\. .*Python worker exited unexpectedly"),
        (lambda part: [lock], r"\ASpark could not run the tasks\. Could not serialize"),
    ):
        with pytest.raises(TaskError, match=f"(?s){reported}") as caught:
            collect(run_tasks(spark.sparkContext, [1], function))
        assert not re.search(r"\tat |\.\.\. \d+ more|Driver stacktrace", str(caught.value))


def test_files_without_a_wanted_row_are_not_opened(spark, tmp_path):
    folder = Table(open_store(str(tmp_path)))
    _publish_unstated(folder, "one", 90)
    for file in folder.current().files[1:]:
        (tmp_path / file.path).unlink()
    reading, wanted = ScanOptions(["path"], 10, 10), pa.table({"row": [0, 29]})
    seen = collect(map_batches(folder.current(), spark.sparkContext, reading, lambda rows: rows, wanted))
    assert seen.num_rows == 2


def test_tasks_tell_in_the_order_of_their_parts_and_may_tell_nothing(spark):
    def reported(part):
        if part != 3:
            yield pa.RecordBatch.from_pydict({"part": [part]})

    assert collect(run_tasks(spark.sparkContext, range(9), reported))["part"].to_pylist() == [0, 1, 2, 4, 5, 6, 7, 8]
    assert collect(run_tasks(spark.sparkContext, [], reported)).num_rows == 0


def test_row_groups_are_as_large_as_stated_and_files_end_when_they_are_large_enough(tmp_path, monkeypatch):
    monkeypatch.setattr(worker_writing, "_FILE_BYTES", 5000)
    folder = Table(open_store(str(tmp_path)))
    _publish(folder, "one", 203, 10)
    version = folder.current()
    assert len(version.files) > 2
    assert version.row_count == 203
    for file in version.files:
        metadata = pq.ParquetFile(tmp_path / file.path).metadata
        sizes = [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]
        assert set(sizes[:-1]) <= {10}
        assert sizes[-1] <= 10
        assert file.bytes == (tmp_path / file.path).stat().st_size
        assert file.rows == sum(sizes)


def test_images_are_stored_as_they_are_and_features_compressed(tmp_path):
    folder = Table(open_store(str(tmp_path)))
    _publish(folder, "one", 300, 100)
    [file] = folder.current().files
    group = pq.ParquetFile(tmp_path / file.path).metadata.row_group(0)
    kinds = {group.column(n).path_in_schema: group.column(n).compression for n in range(group.num_columns)}
    assert kinds == {"path": "ZSTD", "label": "ZSTD", "content": "UNCOMPRESSED", "features.list.element": "ZSTD"}


def test_a_slow_task_stores_what_it_has_and_its_rows_are_read_by_the_same_row_groups(spark, tmp_path):
    folder = Table(open_store(str(tmp_path)))
    writing = VersionWriter(folder, "slow")
    writer = RowWriter(WriteTarget.of(writing, 10), seconds_per_file=0.0)
    stored = []
    for start in (0, 25, 32):
        writer.write(_rows(50).slice(start, {0: 25, 25: 7, 32: 18}[start]))
        stored.append(sum(1 for _ in tmp_path.rglob("part-*.parquet")))
    assert stored == [1, 2, 3]
    files = data_files_from(pa.table({"files": [writer.close()]}))
    assert [file.rows for file in files] == [25, 7, 18]
    version = folder.commit(stage_written(writing, files, _SCHEMA, {ROW_GROUP_ROWS: 10}))
    reading = ScanOptions(_COLUMNS, 25, 10)
    wanted = pa.table({"row": [0, 24, 25, 31, 32, 49]})
    read = collect(map_batches(version, spark.sparkContext, reading, lambda batches: batches, wanted))
    assert set(read["path"].to_pylist()) == {f"a=b/é {n}#.jpg" for n in (0, 24, 25, 31, 32, 49)}
    assert read.num_rows == 6


def test_an_attempt_that_failed_leaves_nothing_that_is_listed(spark, tmp_path):
    folder = Table(open_store(str(tmp_path)))
    _publish(folder, "one", 50, 10)
    writing = VersionWriter(folder, "two")
    target = WriteTarget.of(writing, 10)

    def dies(batches):
        writer = RowWriter(target)
        for batch in batches:
            writer.write(batch)
        writer.close()
        raise ValueError("a broken worker")
        yield

    reading = ScanOptions(_COLUMNS, 25, 10)
    with pytest.raises(TaskError, match=r"(?s)A task on the workers failed\. Traceback .*a broken worker\Z") as caught:
        collect(map_batches(folder.current(), spark.sparkContext, reading, dies))
    assert "\tat " not in str(caught.value)
    assert list(folder.store.list(writing.prefix))
    reported = collect(map_batches(folder.current(), spark.sparkContext, reading, _written(target)))
    folder.commit(stage_written(writing, data_files_from(reported), _SCHEMA))
    assert read_current(str(tmp_path)).num_rows == 50


def test_a_table_without_rows_keeps_its_columns(spark, tmp_path):
    folder = Table(open_store(str(tmp_path)))
    writing = VersionWriter(folder, "none")
    WriteTarget.of(writing, 10)
    folder.commit(stage_written(writing, [], _SCHEMA))
    table = read_current(str(tmp_path))
    assert (table.num_rows, table.column_names) == (0, _COLUMNS)
    reading = ScanOptions(["path"], 10, 10)
    assert collect(map_batches(folder.current(), spark.sparkContext, reading, lambda rows: rows)).num_rows == 0


def test_a_missing_file_is_named(spark, tmp_path):
    folder = Table(open_store(str(tmp_path)))
    _publish(folder, "one", 50, 10)
    version = folder.current()
    (tmp_path / version.files[0].path).unlink()
    with pytest.raises(Exception, match=r"Cannot read .*data/one-0/part-"):
        collect(map_batches(version, spark.sparkContext, ScanOptions(["path"], 10, 10), lambda rows: rows))


def test_storage_that_cannot_be_written_refuses_before_any_row_is_computed(tmp_path):
    (tmp_path / "assets").write_text("in the way")
    with pytest.raises(StorageError, match="Cannot write"):
        WriteTarget.of(VersionWriter(Table(open_store(str(tmp_path / "assets" / "table"))), "one"), 10)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(1, 1000), min_size=1, max_size=60), st.integers(1, 20))
def test_shares_hold_every_piece_once_and_none_is_more_than_one_piece_above_another(sizes, count):
    pieces = [_Piece(f"{number}", None, rows) for number, rows in enumerate(sizes)]
    shares = _even_shares(pieces, count)
    assert sorted(chain.from_iterable(shares), key=lambda piece: int(piece.path)) == pieces
    loads = [sum(piece.rows for piece in share) for share in shares]
    assert max(loads) - min(loads) <= max(sizes)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(1, 64), min_size=1, max_size=300), st.integers(1, 20))
def test_tapered_tasks_are_full_at_first_and_small_at_last(sizes, cores):
    pieces = [_Piece(f"{number}", None, rows) for number, rows in enumerate(sizes)]
    shares = _tapered_shares(pieces, cores, 256)
    assert list(chain.from_iterable(shares)) == pieces
    loads = [sum(piece.rows for piece in share) for share in shares]
    left = sum(sizes)
    for load, share in zip(loads, shares, strict=True):
        # No more than asked for, but for the piece that was begun.
        assert load - share[-1].rows < min(256, max(1, left / (2 * cores)))
        left -= load
    assert all(loads)


def test_names_of_two_attempts_at_one_task_differ(tmp_path):
    folder = Table(open_store(str(tmp_path)))
    target = WriteTarget.of(VersionWriter(folder, "one"), 10)
    files = []
    for _ in range(2):
        writer = RowWriter(target)
        writer.write(_rows(5))
        files += data_files_from(pa.table({"files": [writer.close()]}))
    assert len({file.path for file in files}) == 2
