"""Tests of a sample that grows: what is fetched, what is copied, and which files stay as they are."""

import itertools
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import boto3
import pyarrow.parquet as pq
import pytest

from fruit_assets.errors import StorageError
from fruit_assets.images import fetching, sample_version
from fruit_assets.images.known_rows import fingerprint_of, known_rows, why_not_comparable
from fruit_assets.images.listing import digest_of, list_images
from fruit_assets.images.sample_increment import SampleIncrement, increment_of
from fruit_assets.images.sample_version import WrittenRows, stage_sample, write_rows
from fruit_assets.object_store.stores import open_store
from fruit_assets.storage.delta.columns import columns_of
from fruit_assets.storage.delta.table import Table
from fruit_assets.storage.delta.version import Version
from fruit_assets.storage.parquet_files import ROW_GROUP_ROWS
from fruit_assets.storage.recovery import find_recoverable
from fruit_assets.storage.staging import VersionWriter
from fruit_assets.storage.upkeep import clean_up

_runs = itertools.count()


class Sample:
    """The sample of all images of a collection, in a table of its own."""

    def __init__(self, spark, root: str, table: str) -> None:
        self._context, self._root = spark.sparkContext, root
        self.table = Table(open_store(table))

    def publish(self) -> tuple[Version, SampleIncrement]:
        """Bring the sample up to date."""
        writing = VersionWriter(self.table, f"run-{next(_runs)}")
        chosen = list_images(self._root).files
        known = known_rows(self.table, self._root, writing.base)
        increment = increment_of(chosen, self.table.store, known.version.files, known.listed)
        written = WrittenRows(known.version.facts[ROW_GROUP_ROWS])
        if increment.written_count:
            written = write_rows(self._context, self._root, increment, known, writing)
        staged = stage_sample(self._root, increment, written, writing, 0.5)
        return self.table.commit(staged.with_facts(listed=digest_of(chosen))), increment

    def contents(self) -> dict[str, bytes]:
        rows = self.table.current().read_table(["path", "content"])
        return dict(zip(rows["path"].to_pylist(), rows["content"].to_pylist(), strict=True))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Forty images of two classes."""
    for label, number in itertools.product("ab", range(20)):
        path = tmp_path / "images" / label / f"{number:02}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(f"{label}{number:02}".encode())
    return tmp_path / "images"


@pytest.fixture
def sample(spark, root: Path, tmp_path: Path) -> Sample:
    return Sample(spark, str(root), str(tmp_path / "sample"))


def _on_disk(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*.jpg")}


def _fetched(increment: SampleIncrement) -> list[str]:
    return increment.fetched.to_table()["path"].to_pylist()


def _paths(version: Version) -> set[str]:
    return {file.path for file in version.files}


def test_new_images_are_fetched_and_no_file_is_written_again(sample, root):
    first, _ = sample.publish()
    (root / "a/new.jpg").write_bytes(b"new")
    (root / "c").mkdir()
    (root / "c/new.jpg").write_bytes(b"new too")
    second, increment = sample.publish()
    assert _fetched(increment) == ["a/new.jpg", "c/new.jpg"]
    assert str(increment) == f"Fetched 2 new or changed images; kept 40 in {len(first.files)} file(s); removed 0."
    assert _paths(first) < _paths(second)
    assert sum(file.rows for file in second.files if file.path not in _paths(first)) == 2
    assert sample.contents() == _on_disk(root)


def test_a_changed_image_of_the_same_size_is_fetched_and_its_neighbours_are_copied(sample, root):
    first, _ = sample.publish()
    (root / "a/03.jpg").write_bytes(b"A03")
    second, increment = sample.publish()
    assert _fetched(increment) == ["a/03.jpg"]
    assert len(_paths(first) - _paths(second)) == 1
    assert increment.copied.num_rows == sum(f.rows for f in first.files if f.path not in _paths(second)) - 1
    assert sample.contents() == _on_disk(root)
    assert second.facts["data_version"] != first.facts["data_version"]


def test_an_image_with_a_new_stamp_and_the_same_bytes_keeps_the_data_version(sample, root):
    first, _ = sample.publish()
    (root / "b/03.jpg").write_bytes((root / "b/03.jpg").read_bytes())
    second, increment = sample.publish()
    assert _fetched(increment) == ["b/03.jpg"]
    assert second.facts["data_version"] == first.facts["data_version"]
    _, increment = sample.publish()
    assert _fetched(increment) == []


def test_a_moved_image_is_a_row_of_its_new_label_alone(sample, root):
    sample.publish()
    (root / "a/05.jpg").rename(root / "b/a05.jpg")
    version, increment = sample.publish()
    assert (_fetched(increment), increment.removed) == (["b/a05.jpg"], 1)
    rows = {row["path"]: row["label"] for row in version.read_table(["path", "label"]).to_pylist()}
    assert rows == {path: path[0] for path in _on_disk(root)}


def test_files_whose_images_are_all_removed_leave_without_any_work(sample, root):
    first, _ = sample.publish()
    victim = first.files[0]
    for path in pq.read_table(sample.table.store.root / victim.path, partitioning=None)["path"].to_pylist():
        (root / path).unlink()
    second, increment = sample.publish()
    assert increment.written_count == 0
    assert increment.removed == victim.rows
    assert _paths(second) == _paths(first) - {victim.path}
    assert sample.contents() == _on_disk(root)


def test_rows_know_size_and_stamp_as_listed(sample, root):
    version, _ = sample.publish()
    rows = {row["path"]: row for row in version.read_table(["path", "size", "stamp"]).to_pylist()}
    for path, row in rows.items():
        status = (root / path).stat()
        assert (row["size"], row["stamp"]) == (status.st_size, str(status.st_mtime_ns))


def test_images_that_cannot_be_read_are_tried_again_without_copying_the_others(sample, root):
    for name in ("a/unread.jpg", "b/unread.jpg"):
        (root / name).symlink_to("nowhere.jpg")
    first, _ = sample.publish()
    assert first.facts["unread"] == 2
    second, increment = sample.publish()
    assert _fetched(increment) == ["a/unread.jpg", "b/unread.jpg"]
    assert increment.copied.num_rows == 0
    assert second.facts == first.facts
    (root / "nowhere.jpg").write_bytes(b"outside")
    (root / "a/unread.jpg").unlink()
    (root / "a/unread.jpg").write_bytes(b"there again")
    third, _ = sample.publish()
    assert third.facts["unread"] == 1
    assert sample.contents()["a/unread.jpg"] == b"there again"


def test_files_with_few_rows_per_row_group_join_those_with_many(sample, root, monkeypatch):
    first, _ = sample.publish()
    assert first.facts[ROW_GROUP_ROWS] == 16
    # As if three of the new images were as much as a worker can hold.
    monkeypatch.setattr(sample_version, "rows_that_fit", lambda _: 3)
    for number in range(20):
        (root / f"a/large{number}.jpg").write_bytes(b"large")
    second, _ = sample.publish()
    assert second.facts[ROW_GROUP_ROWS] == 16
    new = [file for file in second.files if file.path not in _paths(first)]
    for file in new:
        metadata = pq.read_metadata(sample.table.store.root / file.path)
        assert (metadata.num_row_groups, metadata.num_rows <= 3) == (1, True)
    assert sum(file.rows for file in new) == 20


def test_rows_are_kept_after_small_files_were_compacted(sample, root, monkeypatch):
    monkeypatch.setattr("fruit_assets.storage.upkeep.SMALL_FILES", 2)
    sample.publish()
    (root / "a/new.jpg").write_bytes(b"new")
    sample.publish()
    assert clean_up(sample.table).compacted
    (root / "a/newer.jpg").write_bytes(b"newer")
    (root / "b/07.jpg").unlink()
    _, increment = sample.publish()
    assert _fetched(increment) == ["a/newer.jpg"]
    assert increment.removed == 1
    assert sample.contents() == _on_disk(root)


def test_a_sample_of_another_collection_or_of_an_earlier_release_is_not_compared(sample, root):
    version, _ = sample.publish()
    assert why_not_comparable(version, str(root)) == ""
    assert f"was taken from {root}, not from /elsewhere" in why_not_comparable(version, "/elsewhere")
    earlier = replace(version, columns=columns_of("path string, label string, sha256 string, content binary"))
    assert "earlier release, without the columns size and stamp" in why_not_comparable(earlier, str(root))
    (sample.table.store.root / version.files[0].path).unlink()
    assert "lacks files that have been removed" in why_not_comparable(version, str(root))


def test_rows_of_files_that_no_commit_lists_are_recovered_once_and_only_where_they_are_the_same(
    sample, root, monkeypatch
):
    with monkeypatch.context() as patch:
        patch.setattr(Table, "commit", lambda _self, staged: staged.version)
        sample.publish()
    # As a task leaves that was tried again; then one image changed.
    for file in list((sample.table.store.root / "data").rglob("*.parquet")):
        shutil.copy(file, file.with_name(f"again-{file.name}"))
    (root / "a/03.jpg").write_bytes(b"A03")
    version, increment = sample.publish()
    assert _fetched(increment) == ["a/03.jpg"]
    assert (increment.recovered, increment.removed) == (39, 0)
    assert version.row_count == 40
    assert sample.contents() == _on_disk(root)
    _, again = sample.publish()
    assert (again.recovered, again.kept.num_rows, _fetched(again)) == (0, 40, [])


def test_files_of_another_collection_are_not_recovered(spark, sample, root, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(Table, "commit", lambda _self, staged: staged.version)
        sample.publish()
    root.rename(tmp_path / "moved")
    _, increment = Sample(spark, str(tmp_path / "moved"), sample.table.store.uri).publish()
    assert (increment.recovered, increment.fetched.num_rows) == (0, 40)


@pytest.fixture
def count_gets(s3_gets) -> Callable[[], int]:
    """How many images moto's S3 has handed out."""
    return lambda: len([path for path, _ in s3_gets if "/collection/" in path])


def test_two_images_added_to_twenty_on_s3_are_two_requests_for_objects(s3_spark, bucket, count_gets):
    client = boto3.client("s3")
    for number in range(20):
        client.put_object(Bucket=bucket, Key=f"collection/{'ab'[number % 2]}/{number}.jpg", Body=b"%d" % number)
    sample = Sample(s3_spark, f"s3://{bucket}/collection", f"s3://{bucket}/assets/sampled_images")
    sample.publish()
    assert count_gets() == 20
    for number in (20, 21):
        client.put_object(Bucket=bucket, Key=f"collection/a/{number}.jpg", Body=b"%d" % number)
    version, increment = sample.publish()
    assert count_gets() == 22
    assert _fetched(increment) == ["a/20.jpg", "a/21.jpg"]
    assert version.row_count == 22
    assert set(sample.contents().values()) == {b"%d" % number for number in range(22)}


def _store_every(images: int, monkeypatch) -> None:
    """As if so many images took longer than a worker may keep them."""
    monkeypatch.setattr(fetching, "_IMAGES_IN_FLIGHT", images)
    monkeypatch.setattr(fetching, "SECONDS_PER_FILE", 0.0)


def test_after_a_worker_was_lost_only_the_missing_images_are_requested_from_s3(
    s3_spark, bucket, count_gets, monkeypatch
):
    client = boto3.client("s3")
    for number in range(40):
        client.put_object(Bucket=bucket, Key=f"collection/a/{number:02}.jpg", Body=b"%d" % number)
    sample = Sample(s3_spark, f"s3://{bucket}/collection", f"s3://{bucket}/assets/sampled_images")
    whole, table = fetching._s3_reader, sample.table.store.uri

    def dying(root):
        read = whole(root)

        def read_or_die(path):
            while path == "a/39.jpg":
                if any(open_store(table).list("data/")):
                    os.kill(os.getpid(), signal.SIGKILL)
                time.sleep(0.05)
            return read(path)

        return read_or_die

    with monkeypatch.context() as patch:
        _store_every(4, patch)
        patch.setattr(fetching, "_s3_reader", dying)
        with pytest.raises(Exception, match=r"(?i)worker"):
            sample.publish()
    stored = sum(each.file.rows for each in find_recoverable(sample.table, fingerprint_of(f"s3://{bucket}/collection")))
    assert 0 < stored < 40
    before = count_gets()
    version, increment = sample.publish()
    assert count_gets() - before == 40 - stored == len(_fetched(increment))
    assert increment.recovered == stored
    assert version.row_count == 40
    assert set(sample.contents().values()) == {b"%d" % number for number in range(40)}


def test_what_was_fetched_before_the_disk_was_full_is_not_fetched_again(spark, root, small_disk, monkeypatch):
    for path in root.rglob("*.jpg"):
        path.write_bytes(path.read_bytes() * 10_000)  # 30 kB each, 1.2 MB in all
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(400_000))
    sample = Sample(spark, str(root), str(small_disk / "sample"))
    with monkeypatch.context() as patch:
        _store_every(4, patch)
        with pytest.raises(StorageError, match="No space left on device"):
            sample.publish()
    subprocess.run(["mount", "-o", "remount,size=8m", str(small_disk)], check=True)
    version, increment = sample.publish()
    assert 0 < increment.recovered < 40
    assert increment.recovered + len(_fetched(increment)) == version.row_count == 40
    assert sample.contents() == _on_disk(root)
