"""Tests of the plan that keeps an image from being inferred twice; no Spark and no image is needed."""

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fruit_assets.features.incremental import plan_reuse
from fruit_assets.storage.delta.table import Table
from fruit_assets.storage.delta.version import Version
from fruit_assets.storage.parquet_files import DataFile
from fruit_assets.storage.staging import VersionWriter, stage_table
from fruit_assets.storage.stores import LocalStore


class _Rows:
    """A published table that lives in memory."""

    def __init__(self, rows: list[tuple[str, str, str | None]]) -> None:
        self.rows = rows
        half = len(rows) // 2
        self.files = [DataFile("0", 1, half), DataFile("1", 1, len(rows) - half)]

    def read_table(self, columns: list[str]) -> pa.Table:
        return pa.table({name: pa.array([row[n] for row in self.rows], pa.string()) for n, name in enumerate(columns)})


_DIGESTS = st.sampled_from(["d1", "d2", "d3", "d4", None])
_TABLES = st.dictionaries(st.sampled_from([f"{letter}.jpg" for letter in "abcdefgh"]), _DIGESTS, max_size=8)


def _rows(table: dict[str, str | None]) -> list[tuple[str, str, str | None]]:
    return [(path, "label", digest) for path, digest in table.items()]


@settings(max_examples=300, deadline=None)
@given(_TABLES, _TABLES)
def test_every_row_is_reused_or_computed_and_no_bytes_are_computed_twice(sample, before):
    featurised = [row for row in _rows(before) if row[2] is not None]
    rejected = [row for row in _rows(before) if row[2] is None]
    plan = plan_reuse(_Rows(_rows(sample)), _Rows(featurised), _Rows(rejected))
    digests = list(sample.values())
    assert ((plan.known == -1) != (plan.computed == -1)).all()
    assert all(featurised[row][2] == digest for row, digest in zip(plan.known, digests, strict=True) if row != -1)
    assert all(digests[row] == digest for row, digest in zip(plan.computed, digests, strict=True) if row != -1)
    computed = [digests[row] for row in plan.to_compute()["row"].to_pylist()]
    known = {row[2] for row in featurised}
    assert not set(computed) & known
    assert sorted(filter(None, computed)) == sorted({digest for digest in digests if digest} - known)
    assert plan.compute_count == len(computed)
    assert plan.reused_count + plan.new_count == len(sample)
    kept = [featurised[: len(featurised) // 2], featurised[len(featurised) // 2 :]]
    staying = [row for file in plan.kept_files for row in kept[int(file.path)]]
    assert set(staying) <= set(_rows(sample))
    copied = [tuple(row[name] for name in ("path", "label", "sha256")) for row in plan.reused().to_pylist()]
    assert len(staying) + len(copied) == len({*staying, *copied}) == plan.reused_count
    copies = [copy["path"] for some in plan.to_compute()["copies"].to_pylist() for copy in some or []]
    assert len(copies) == len(set(copies)) == plan.new_count - plan.compute_count
    assert plan.unchanged == (sample == before)


def test_without_a_previous_version_everything_is_computed_and_identical_files_once():
    sample = [("a", "x", "d1"), ("b", "y", "d1"), ("c", "x", None), ("d", "x", None)]
    plan = plan_reuse(_Rows(sample), None, None)
    assert (plan.compute_count, plan.reused_count, plan.unchanged, plan.previous) == (3, 0, False, None)
    assert plan.has_duplicates
    assert plan.to_compute().to_pylist() == [
        {"row": 0, "copies": [{"path": "b", "label": "y"}]},
        {"row": 2, "copies": None},
        {"row": 3, "copies": None},
    ]


def test_every_one_of_identical_broken_files_is_rejected_by_name():
    plan = plan_reuse(_Rows([("a", "x", "d1"), ("b", "y", "d1"), ("c", "x", "d2")]), None, None)
    names = ["path", "label", "sha256", "reason"]
    rejected = pa.Table.from_pylist([dict(zip(names, ("a", "x", "d1", "broken"), strict=True))])
    assert plan.with_duplicates(rejected).to_pylist() == [
        dict(zip(names, row, strict=True)) for row in (("a", "x", "d1", "broken"), ("b", "y", "d1", "broken"))
    ]


def test_a_moved_image_is_reused_under_its_new_path_and_label():
    plan = plan_reuse(_Rows([("new/b.jpg", "new", "d1")]), _Rows([("old/a.jpg", "old", "d1")]), _Rows([]))
    assert plan.compute_count == 0
    assert not plan.unchanged
    assert plan.reused().to_pylist() == [{"path": "new/b.jpg", "label": "new", "sha256": "d1", "row": 0}]


def test_copies_are_named_with_the_image_they_are_copies_of_wherever_they_lie():
    sample = [
        ("a", "x", "d1"),
        ("b", "x", "d2"),
        ("c", "x", "d1"),
        ("d", "x", "d3"),
        ("e", "x", "d2"),
        ("f", "y", "d1"),
    ]
    plan = plan_reuse(_Rows(sample), _Rows([("z", "x", "d3")]), _Rows([]))
    copies = {row["row"]: [copy["path"] for copy in row["copies"]] for row in plan.to_compute().to_pylist()}
    assert copies == {0: ["c", "f"], 1: ["e"]}
    assert plan.reused()["path"].to_pylist() == ["d"]


@pytest.mark.parametrize("label", ["x", "y"])
def test_a_label_that_changed_is_a_change(label):
    plan = plan_reuse(_Rows([("a", "x", "d1")]), _Rows([("a", label, "d1")]), _Rows([]))
    assert plan.unchanged == (label == "x")
    assert plan.compute_count == 0


def test_the_plan_reads_published_versions(tmp_path):
    folder = Table(LocalStore(tmp_path))
    version: Version = folder.commit(
        stage_table(_Rows([("a", "x", "d1")]).read_table(["path", "label", "sha256"]), VersionWriter(folder, "one"))
    )
    assert plan_reuse(version, version, _Rows([])).unchanged


def test_added_images_leave_every_file_of_features_as_it_is():
    before = [(f"{number}", "x", f"d{number}") for number in range(5)]
    plan = plan_reuse(_Rows([*before, ("new", "x", "d9"), ("twin", "x", "d0")]), _Rows(before), _Rows([]))
    assert [file.path for file in plan.kept_files] == ["0", "1"]
    assert plan.reused()["path"].to_pylist() == ["twin"]
    assert plan.to_compute()["row"].to_pylist() == [5]


def test_a_removed_image_touches_the_file_that_held_it_and_no_other():
    before = [(f"{number}", "x", f"d{number}") for number in range(5)]
    plan = plan_reuse(_Rows(before[1:]), _Rows(before), _Rows([]))
    assert [file.path for file in plan.kept_files] == ["1"]
    assert plan.reused()["path"].to_pylist() == ["1"]
