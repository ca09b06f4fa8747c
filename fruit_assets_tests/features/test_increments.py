"""Tests of the plan that keeps an image from being inferred twice; no Spark and no image is needed."""

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from fruit_assets.features.increments import KEYS, IncrementalPlan, plan_increment
from fruit_assets.storage.key_table import KeyDatabase, KeyTable
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
    sample: list[Row], featurised: list[Row] | None = None, rejected: list[Row] | None = None, rows_per_file: int = 2
) -> IncrementalPlan:
    database = KeyDatabase()
    if featurised is None:
        return plan_increment(_keys(database, sample), None)
    places = [row // rows_per_file for row in range(len(featurised))]
    files = [DataFile(f"{number}", 1, places.count(number)) for number in sorted(set(places))]
    return plan_increment(
        _keys(database, sample), _keys(database, featurised, places), files, _rejected(rejected or [])
    )


@settings(max_examples=60, deadline=None)
@given(_TABLES, _TABLES, st.integers(1, 4))
def test_every_row_stays_or_is_copied_or_computed_once_and_no_bytes_are_computed_twice(now, before, rows_per_file):
    sample = _rows(now)
    featurised = [row for row in _rows(before) if row[2] is not None]
    plan = _plan(sample, featurised, [row for row in _rows(before) if row[2] is None], rows_per_file)
    kept = {file.path for file in plan.kept_files}
    rows = [row for number, row in enumerate(featurised) if str(number // rows_per_file) in kept]
    assert len(rows) == plan.kept_count
    for copied in plan.copied.to_table().to_pylist():
        assert featurised[copied["row"]][2] == copied["sha256"]
        rows.append((copied["path"], copied["label"], copied["sha256"]))
    computed = plan.to_compute().to_pylist()
    for original in computed:
        path, label, digest = sample[original["row"]]
        rows += [(path, label, digest), *((copy["path"], copy["label"], digest) for copy in original["copies"] or [])]
    rows += [tuple(row[name] for name in KEYS) for row in plan.kept_rejected.to_table().to_pylist()]
    assert sorted(rows, key=repr) == sorted(sample, key=repr)
    known = {row[2] for row in featurised}
    digests = [sample[row["row"]][2] for row in computed]
    assert sorted(filter(None, digests)) == sorted({row[2] for row in sample if row[2]} - known)
    assert plan.compute_count == len(computed)
    assert plan.unchanged == (now == before)


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
    assert [(row["path"], row["sha256"], row["reason"]) for row in rejected.to_pylist()] == [
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
