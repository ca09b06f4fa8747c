"""Tests of the plan that keeps an image from being inferred twice; no Spark and no image is needed."""

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fruit_assets.features.increments import KEYS, IncrementalPlan, KnownKeys, plan_increment
from fruit_assets.keys.key_table import KeyDatabase, KeyTable
from fruit_assets.storage.parquet_files import DataFile

Row = tuple[str, str, str | None]
_DIGESTS = st.sampled_from(["d1", "d2", "d3", "d4", None])
_TABLES = st.dictionaries(st.sampled_from([f"{letter}.jpg" for letter in "abcdefgh"]), _DIGESTS, max_size=8)
_REASONS = pa.schema([(name, pa.string()) for name in (*KEYS, "reason")])


def _rows(table: dict[str, str | None]) -> list[Row]:
    return [(path, "label", digest) for path, digest in table.items()]


def _keys(database: KeyDatabase, rows: list[Row], files: list[int] | None = None) -> KeyTable:
    columns = {name: pa.array([row[n] for row in rows], pa.string()) for n, name in enumerate(KEYS)}
    table = pa.table({**columns, "row": pa.array(range(len(rows)), pa.int64())})
    return KeyTable.of(table if files is None else table.append_column("file", pa.array(files, pa.int32())), database)


def _rejected(rows: list[Row]) -> pa.Table:
    return pa.Table.from_pylist([dict(zip(_REASONS.names, (*row, "broken"), strict=True)) for row in rows], _REASONS)


def _plan(
    sample: list[Row],
    featurised: list[Row] | None = None,
    rejected: list[Row] | None = None,
    recovered: list[Row] | None = None,
    found_rejected: list[Row] | None = None,
    rows_per_file: int = 2,
) -> IncrementalPlan:
    """The plan for a sample; each of the files `0`, `1`, ... holds `rows_per_file` of the known rows."""
    database = KeyDatabase()
    if featurised is None and recovered is None:
        return plan_increment(_keys(database, sample))
    published = [row // rows_per_file for row in range(len(featurised or []))]
    count = len(set(published))
    places = published + [count + row // rows_per_file for row in range(len(recovered or []))]
    files = [DataFile(f"{number}", 1, places.count(number)) for number in sorted(set(places))]
    held = _keys(database, [*(featurised or []), *(recovered or [])], places)
    tables = [None if rows is None else KeyTable.of(_rejected(rows), database) for rows in (rejected, found_rejected)]
    return plan_increment(_keys(database, sample), KnownKeys(held, files, count, *tables))


@settings(max_examples=60, deadline=None)
@given(_TABLES, _TABLES, _TABLES, st.integers(1, 4))
def test_every_row_stays_or_is_copied_or_computed_once_and_no_bytes_are_computed_twice(
    now, before, unlisted, rows_per_file
):
    sample = _rows(now)
    featurised, recovered = ([row for row in _rows(table) if row[2] is not None] for table in (before, unlisted))
    # A task that was tried again left its rows twice.
    recovered += recovered[:3]
    rejected = [row for row in _rows(before) if row[2] is None]
    plan = _plan(sample, featurised, rejected, recovered, [], rows_per_file)
    held = featurised + recovered
    files = [*_portions(featurised, rows_per_file), *_portions(recovered, rows_per_file)]
    rows = [row for file in plan.kept_files for row in files[int(file.path)]]
    assert len(rows) == plan.kept_count
    copied = plan.copied.to_table().to_pylist()
    for row in copied:
        assert held[row["row"]][2] == row["sha256"]
        rows.append((row["path"], row["label"], row["sha256"]))
    assert plan.reused_count == len(rows)
    computed = plan.to_compute().to_pylist()
    for original in computed:
        path, label, digest = sample[original["row"]]
        rows += [(path, label, digest), *((copy["path"], copy["label"], digest) for copy in original["copies"] or [])]
    rows += [tuple(row[name] for name in KEYS) for row in plan.kept_rejected.to_table().to_pylist()]
    assert sorted(rows, key=repr) == sorted(sample, key=repr)
    known = {row[2] for row in held}
    digests = [sample[row["row"]][2] for row in computed]
    assert sorted(filter(None, digests)) == sorted({row[2] for row in sample if row[2]} - known)
    assert plan.compute_count == len(computed)
    assert plan.unchanged == (now == before)
    used = {int(file.path) for file in plan.kept_files} | {_file_of(row["row"], files) for row in copied}
    assert set(plan.sources) == used


def _portions(rows: list[Row], size: int) -> list[list[Row]]:
    return [rows[start : start + size] for start in range(0, len(rows), size)]


def _file_of(row: int, files: list[list[Row]]) -> int:
    return next(number for number in range(len(files)) if row < sum(map(len, files[: number + 1])))


def test_without_a_previous_version_everything_is_computed_and_identical_files_once():
    plan = _plan([("a", "x", "d1"), ("b", "y", "d1"), ("c", "x", None), ("d", "x", None)])
    assert (plan.compute_count, plan.new_count, plan.reused_count, plan.unchanged) == (3, 4, 0, False)
    assert plan.to_compute().to_pylist() == [
        {"row": 0, "copies": [{"path": "b", "label": "y"}]},
        {"row": 2, "copies": None},
        {"row": 3, "copies": None},
    ]


def test_every_one_of_identical_broken_files_is_rejected_by_name_beside_those_known_to_be_broken():
    sample = [("a", "x", "d1"), ("b", "y", "d1"), ("c", "x", "d2"), ("k", "x", "d9")]
    plan = _plan(sample, [("c", "x", "d2")], [("k", "x", "d9")])
    assert plan.compute_count == 1
    rejected = plan.with_duplicates(_rejected([("a", "x", "d1")]))
    assert rejected.rows("select path, sha256, reason from {table}") == [
        ("a", "d1", "broken"),
        ("b", "d1", "broken"),
        ("k", "d9", "broken"),
    ]


def test_a_moved_image_is_copied_under_its_new_path_and_label():
    plan = _plan([("new/b.jpg", "new", "d1")], [("old/a.jpg", "old", "d1")])
    assert (plan.compute_count, plan.unchanged, plan.kept_count) == (0, False, 0)
    assert plan.copied.to_table().to_pylist() == [{"path": "new/b.jpg", "label": "new", "sha256": "d1", "row": 0}]


def test_a_removed_image_touches_the_file_that_held_it_and_no_other():
    before = [(f"{number}", "x", f"d{number}") for number in range(6)]
    plan = _plan(before[:3] + before[4:], before)
    assert [file.path for file in plan.kept_files] == ["0", "2"]
    assert plan.copied.to_table()["path"].to_pylist() == ["2"]
    assert plan.compute_count == 0


def test_added_images_touch_no_file():
    before = [(f"{number}", "x", f"d{number}") for number in range(6)]
    plan = _plan([*before, ("6", "x", "d6")], before)
    assert len(plan.kept_files) == 3
    assert plan.copied.num_rows == 0
    assert plan.to_compute()["row"].to_pylist() == [6]


def test_copies_are_named_with_the_image_they_are_copies_of_wherever_they_lie():
    digests = {"a": "d1", "b": "d2", "c": "d1", "d": "d3", "e": "d2", "f": "d1"}
    plan = _plan([(path, "x", digest) for path, digest in digests.items()], [("z", "x", "d3")], [])
    assert {row["row"]: [copy["path"] for copy in row["copies"]] for row in plan.to_compute().to_pylist()} == {
        0: ["c", "f"],
        1: ["e"],
    }
    assert plan.copied.to_table()["path"].to_pylist() == ["d"]


@pytest.mark.parametrize("label", ["x", "y"])
def test_a_label_that_changed_is_a_change(label):
    plan = _plan([("a", "x", "d1")], [("a", label, "d1")], [])
    assert plan.unchanged == (label == "x")
    assert plan.compute_count == 0


def test_known_rejections_are_not_decoded_again_and_are_known_under_another_path_by_their_bytes():
    broken, unread = ("a", "x", "d9"), ("n", "x", None)
    plan = _plan([("moved", "y", "d9"), unread, ("c", "x", "d1")], [("c", "x", "d1")], [broken, unread])
    assert (plan.compute_count, plan.unchanged) == (0, False)
    assert plan.kept_rejected.rows("select path, label, sha256, reason from {table}") == [
        ("moved", "y", "d9", "broken"),
        ("n", "x", None, "broken"),
    ]


def test_a_known_rejection_that_can_be_read_now_is_computed():
    plan = _plan([("n", "x", "d1")], [], [("n", "x", None)])
    assert (plan.compute_count, plan.kept_rejected.num_rows) == (1, 0)


def test_files_of_a_run_that_was_killed_are_kept_beside_those_of_the_version_and_counted():
    sample = [(f"{number}", "x", f"d{number}") for number in range(9)]
    plan = _plan([*sample, ("twin", "x", "d4")], sample[:4], [], sample[4:8], [])
    assert [file.path for file in plan.kept_files] == ["0", "1", "2", "3"]
    assert plan.to_compute()["row"].to_pylist() == [8]
    # The twin is copied from a file that was recovered.
    assert (plan.kept_count, plan.copied.num_rows, plan.recovered_count, plan.unchanged) == (8, 1, 5, False)


def test_files_that_a_task_and_its_second_attempt_left_give_their_rows_once():
    sample = [(f"{number}", "x", f"d{number}") for number in range(4)]
    plan = _plan(sample, None, None, [sample[0], sample[1], sample[1], sample[2]])
    assert [file.path for file in plan.kept_files] == ["0"]
    assert plan.copied.to_table()["path"].to_pylist() == ["2"]
    assert (plan.recovered_count, plan.compute_count) == (3, 1)


def test_left_files_with_nothing_new_leave_a_version_unchanged():
    sample = [(f"{number}", "x", f"d{number}") for number in range(4)]
    plan = _plan(sample, sample, [], [sample[1], ("gone", "x", "d8")], [("also gone", "x", "d9")])
    assert plan.unchanged
    assert (plan.recovered_count, plan.sources) == (0, [0, 1])


def test_images_that_a_killed_run_rejected_are_not_decoded_again():
    plan = _plan(
        [("a", "x", "d1"), ("b", "x", "d2"), ("copy", "x", "d2")], None, None, [("a", "x", "d1")], [("b", "x", "d2")]
    )
    assert plan.compute_count == 0
    assert plan.kept_rejected.rows("select path from {table}") == [("b",), ("copy",)]
