"""Tests of the sample: what is chosen, by any listing, and what happens to images that cannot be read."""

import hashlib
import itertools
import os
import random
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from fruit_assets.errors import InputError
from fruit_assets.images import sampling
from fruit_assets.images.listing import list_images
from fruit_assets.images.sampling import (
    SamplePlan,
    choose,
    content_digest,
    fetch_sample,
    read_few,
    require_enough,
    row_group_rows,
)
from fruit_assets.storage.stores import LocalStore
from fruit_assets.storage.tables import VersionWriter
from fruit_assets.storage.versions import AssetFolder

_LABELS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\0"), min_size=1, max_size=8)
_CLASSES = st.dictionaries(_LABELS, st.integers(1, 60), min_size=1, max_size=6)
_PLANS = st.builds(
    SamplePlan,
    fraction=st.floats(0.001, 1.0),
    min_per_class=st.integers(1, 20),
    max_per_class=st.none() | st.integers(20, 40),
    seed=st.integers(-(2**40), 2**40),
)
_quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def _listing(classes: dict[str, int]) -> pa.Table:
    rows = [(f"Training/{label}/{number}.jpg", label) for label, count in classes.items() for number in range(count)]
    return pa.table({"path": [path for path, _ in rows], "label": [label for _, label in rows]})


def _paths(listing: pa.Table, plan: SamplePlan) -> list[str]:
    return choose(listing, plan)["path"].to_pylist()


@_quick
@given(_CLASSES, _PLANS, st.randoms(use_true_random=False))
def test_the_choice_depends_on_seed_and_paths_alone_not_on_listing_order(classes, plan, order):
    listing = _listing(classes)
    rows = list(range(listing.num_rows))
    order.shuffle(rows)
    chosen = _paths(listing, plan)
    assert _paths(listing.take(rows), plan) == chosen == sorted(chosen)
    assert len(set(chosen)) == len(chosen)


@_quick
@given(_CLASSES, _PLANS)
def test_every_class_gives_its_rounded_share_within_the_limits(classes, plan):
    counts = Counter(choose(_listing(classes), plan)["label"].to_pylist())
    assert set(counts) == set(classes)
    for label, available in classes.items():
        assert min(plan.min_per_class, available) <= counts[label] <= min(available, plan.max_per_class or available)
        limited = counts[label] in (plan.min_per_class, plan.max_per_class, available)
        assert limited or abs(counts[label] - plan.fraction * available) <= 0.5 + 1e-9


@_quick
@given(_CLASSES, _PLANS, st.floats(0.001, 1.0))
def test_a_larger_fraction_only_adds_images(classes, plan, other):
    small, large = sorted([plan.fraction, other])
    smaller, larger = (
        _paths(_listing(classes), SamplePlan(share, plan.min_per_class, plan.max_per_class, plan.seed))
        for share in (small, large)
    )
    assert set(smaller) <= set(larger)


@_quick
@given(_CLASSES, _PLANS, _LABELS)
def test_other_classes_do_not_change_what_a_class_gives(classes, plan, new):
    assume(new not in classes)
    before = _paths(_listing(classes), plan)
    after = choose(_listing({**classes, new: 30}), plan)
    kept = after.filter(pa.compute.not_equal(after["label"], new))
    assert kept["path"].to_pylist() == before


def test_fraction_one_takes_everything_and_another_seed_takes_others():
    listing = _listing({"a": 100, "b": 1})
    assert len(_paths(listing, SamplePlan(fraction=1.0))) == 101
    first, second = (_paths(listing, SamplePlan(fraction=0.2, seed=seed)) for seed in (0, 1))
    assert len(first) == len(second) == 21
    assert first != second


def test_the_choice_is_the_same_on_every_machine_and_with_every_release():
    # A change here changes every user's sample: it must be meant, and said in the release notes.
    chosen = _paths(_listing({"Apple": 20, "Pêche = 1#": 20}), SamplePlan(fraction=0.15, seed=7))
    assert hashlib.sha256("\n".join(chosen).encode()).hexdigest()[:16] == "7674aa22ae1c834e"


@pytest.mark.parametrize("rows_at_a_time", [1, 4, 8192])
def test_the_digest_of_a_sample_depends_on_its_rows_alone(monkeypatch, rows_at_a_time):
    monkeypatch.setattr(sampling, "_PATHS_AT_A_TIME", rows_at_a_time)
    rows = [(f"a/é '{number}\".jpg", "é", None if number == 3 else f"{number:064}") for number in range(10)]
    # The digests of samples that are there already were made of this.
    expected = hashlib.sha256(repr(sorted(rows)).encode()).hexdigest()[:32]
    table = pa.Table.from_pylist([dict(zip(("path", "label", "sha256"), row, strict=True)) for row in rows])
    for order in (range(10), range(9, -1, -1)):
        assert content_digest(table.take(list(order))) == expected
    assert content_digest(table.slice(0, 9)) != expected


def test_a_sample_of_fewer_than_two_images_is_refused_with_the_knob():
    with pytest.raises(InputError, match=r"holds 1 image\(s\).*Raise `fraction` or `min_per_class`"):
        require_enough(choose(_listing({"a": 50}), SamplePlan(fraction=0.01)))


def test_row_groups_give_every_task_some_images_and_none_too_many():
    sizes = pa.table({"size": pa.array([6000] * 10_000, pa.int64())})
    assert row_group_rows(sizes, 2) == 64
    few = pa.table({"size": pa.array([6000] * 100, pa.int64())})
    assert row_group_rows(few, 2) == 16
    assert row_group_rows(pa.table({"size": pa.array([6000] * 200, pa.int64())}), 2) == 25
    assert row_group_rows(pa.table({"size": pa.array([0, 0], pa.int64())}), 2) > 0
    # Of large images few are in a worker's memory at a time.
    large = pa.table({"size": pa.array([20 * 2**20] * 1000, pa.int64())})
    assert row_group_rows(large, 2) == 3


def _fetched(spark, root: Path) -> pa.Table:
    listing = list_images(str(root))
    return _fetched_of(spark, root, listing)


def _fetched_of(spark, root: Path, listing) -> pa.Table:
    folder = AssetFolder(LocalStore(root.parent / f"{root.name}-sample"))
    return fetch_sample(spark.sparkContext, listing, listing.table, VersionWriter(folder, "one")).opened.read_table()


def _write(root: Path, *paths: str) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(f"bytes of {path}".encode())


def test_the_bytes_of_every_chosen_image_arrive_whatever_its_path(spark, tmp_path):
    names = ["a/x.jpg", "a/é #1 100%.JPG", "b=c/d=[e]{f}.png", "b=c/ü\u0301 ?*.jpeg", "ナシ/梨.jpg", "q'\"\\/z.jpg"]
    _write(tmp_path, *names)
    rows = _fetched(spark, tmp_path).sort_by("path").to_pylist()
    assert [row["path"] for row in rows] == sorted(names)
    for row in rows:
        assert row["content"] == f"bytes of {row['path']}".encode()
        assert row["sha256"] == hashlib.sha256(row["content"]).hexdigest()
        assert row["label"] == row["path"].split("/")[-2]


def test_an_image_that_vanished_after_the_listing_stays_as_a_row_without_bytes(spark, tmp_path):
    _write(tmp_path, "a/1.jpg", "a/2.jpg", "a/3.jpg")
    listing = list_images(str(tmp_path))
    (tmp_path / "a/2.jpg").unlink()
    (tmp_path / "a/3.jpg").unlink()
    os.mkfifo(tmp_path / "a/3.jpg")
    rows = _fetched_of(spark, tmp_path, listing).sort_by("path").to_pylist()
    assert [(row["path"], row["content"] is None, row["sha256"] is None) for row in rows] == [
        ("a/1.jpg", False, False),
        ("a/2.jpg", True, True),
        ("a/3.jpg", True, True),
    ]
    assert read_few(str(tmp_path), ["a/1.jpg", "a/2.jpg"]) == [b"bytes of a/1.jpg", None]


def test_a_sample_of_more_tasks_than_cores_keeps_neighbours_together(spark, tmp_path, monkeypatch):
    monkeypatch.setattr(sampling, "_IMAGES_PER_FETCH_TASK", 60)
    paths = [f"{number:03}.jpg" for number in range(400)]
    _write(tmp_path, *(f"a/{path}" for path in paths))
    listing = list_images(str(tmp_path))
    folder = AssetFolder(LocalStore(tmp_path.parent / f"{tmp_path.name}-sample"))
    staged = fetch_sample(spark.sparkContext, listing, listing.table, VersionWriter(folder, "one"))
    assert len(staged.manifest.files) == 8
    seen = []
    for file in staged.manifest.files:
        names = pq.read_table(folder.store.root / file.path, partitioning=None)["path"].to_pylist()
        assert names == sorted(names)
        seen.append((names[0], names[-1]))
    assert all(before[1] < after[0] for before, after in itertools.pairwise(sorted(seen)))
    assert staged.manifest.row_count == 400


def test_many_small_images_are_fetched_in_many_batches_without_losing_one(spark, tmp_path):
    paths = [f"{random.Random(number).randrange(7)}/{number}.jpg" for number in range(700)]
    _write(tmp_path, *paths)
    rows = _fetched(spark, tmp_path)
    assert sorted(rows["path"].to_pylist()) == sorted(paths)
    assert len(set(rows["sha256"].to_pylist())) == 700
