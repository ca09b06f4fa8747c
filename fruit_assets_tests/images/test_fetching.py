"""Tests of fetching: the bytes of every chosen image arrive, and what happens to images that cannot be read."""

import hashlib
import itertools
import os
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from fruit_assets.images import fetching
from fruit_assets.images.fetching import fetch_images, read_few, row_group_rows
from fruit_assets.images.listing import list_images
from fruit_assets.object_store.stores import LocalStore
from fruit_assets.spark.writing import WriteTarget
from fruit_assets.storage.parquet_files import DataFile, read_tables


def test_row_groups_give_every_task_some_images_and_none_too_many():
    assert row_group_rows(5_000, 6000, 2) == 64
    assert row_group_rows(100, 6000, 2) == 16
    assert row_group_rows(200, 6000, 2) == 25
    assert row_group_rows(2, 0, 2) > 0
    # Of large images few are in a worker's memory at a time.
    assert row_group_rows(1000, 20 * 2**20, 2) == 3


def test_row_groups_of_many_small_images_are_large_so_that_their_keys_are_few_requests():
    assert row_group_rows(1_000_000, 6000, 2) == 512
    # Every core has tasks enough to end with the others.
    assert row_group_rows(1_000_000, 6000, 128) == 122
    # Photographs of a camera do not fill a worker's memory.
    assert row_group_rows(1_000_000, 100_000, 2) * 100_000 < 9e6
    assert row_group_rows(1_000_000, 3e6, 2) * 3e6 < 70e6


def _fetched(spark, root: Path) -> pa.Table:
    listing = list_images(str(root))
    return _fetched_of(spark, root, listing)


def _fetched_of(spark, root: Path, listing) -> pa.Table:
    store, files = _files_of(spark, root, listing)
    return pa.concat_tables(read_tables(store, files, None))


def _files_of(spark, root: Path, listing) -> tuple[LocalStore, list[DataFile]]:
    store = LocalStore(root.parent / f"{root.name}-sample")
    return store, fetch_images(spark.sparkContext, listing.root, listing.files, WriteTarget(store, "data", 16))


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
    monkeypatch.setattr(fetching, "_IMAGES_PER_FETCH_TASK", 60)
    paths = [f"{number:03}.jpg" for number in range(400)]
    _write(tmp_path, *(f"a/{path}" for path in paths))
    listing = list_images(str(tmp_path))
    store, files = _files_of(spark, tmp_path, listing)
    assert len(files) == 8
    seen = []
    for file in files:
        names = pq.read_table(store.root / file.path, partitioning=None)["path"].to_pylist()
        assert names == sorted(names)
        seen.append((names[0], names[-1]))
    assert all(before[1] < after[0] for before, after in itertools.pairwise(sorted(seen)))
    assert sum(file.rows for file in files) == 400


def test_many_small_images_are_fetched_in_many_batches_without_losing_one(spark, tmp_path):
    paths = [f"{random.Random(number).randrange(7)}/{number}.jpg" for number in range(700)]
    _write(tmp_path, *paths)
    rows = _fetched(spark, tmp_path)
    assert sorted(rows["path"].to_pylist()) == sorted(paths)
    assert len(set(rows["sha256"].to_pylist())) == 700
