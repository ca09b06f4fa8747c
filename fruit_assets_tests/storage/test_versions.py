"""Tests of the protocol: versions appear whole or not at all, and go only when nobody can be reading them."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from fruit_assets.errors import NotPublishedError, StorageError
from fruit_assets.storage import read_current
from fruit_assets.storage.artifacts import array_bytes, fetch_files, read_array, stage_files
from fruit_assets.storage.stores import LocalStore, open_store
from fruit_assets.storage.tables import VersionWriter, republish, stage_table
from fruit_assets.storage.versions import AssetFolder

_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)


def _folder(uri: str, keep_versions: int = 3) -> AssetFolder:
    return AssetFolder(open_store(uri), keep_versions)


def _stage(folder: AssetFolder, run_id: str, values: list[int]):
    return stage_table(pa.table({"value": pa.array(values, pa.int64())}), VersionWriter(folder, run_id))


def _values(folder: AssetFolder) -> list[int]:
    return folder.current().read_table()["value"].to_pylist()


def test_a_staged_version_is_seen_by_nobody_until_it_is_published(place):
    folder = _folder(place)
    first = _stage(folder, "one", [1])
    with pytest.raises(NotPublishedError, match=r"has not been published at .* yet: materialise"):
        folder.current()
    folder.publish(first)
    staged = _stage(folder, "two", [2, 2])
    assert _values(folder) == [1]
    assert [version.manifest.run_id for version in folder.published()] == ["one"]
    folder.publish(staged)
    assert _values(_folder(place)) == [2, 2]
    assert read_current(place).column_names == ["value"]


def test_current_is_json_that_names_the_files_rows_and_schema(place):
    folder = _folder(place)
    folder.publish(_stage(folder, "run-7", [1, 2, 3]).with_facts(kind="é"))
    value = json.loads(folder.store.get("CURRENT"))
    assert (value["version"], value["run_id"], value["row_count"]) == ("run-7-0", "run-7", 3)
    assert value["schema"] == [{"name": "value", "type": "bigint"}]
    assert value["facts"] == {"kind": "é"}
    [file] = value["files"]
    assert file["rows"] == 3
    assert file["bytes"] == len(folder.store.get(file["path"]))
    assert datetime.fromisoformat(value["created_at"]).tzinfo is not None


def test_a_current_file_that_is_no_manifest_is_said_with_its_path_and_the_way_out(place):
    folder = _folder(place)
    for content in (b"", b"{", b"[]", b'{"files": 3}', b'{"files": [], "colour": "red"}', b"\xff\xfe"):
        folder.store.put("CURRENT", content)
        with pytest.raises(StorageError, match="CURRENT is not a manifest") as caught:
            folder.current()
        assert folder.store.uri in str(caught.value)
        assert "versions/*/MANIFEST.json" in str(caught.value)
    folder.publish(_stage(folder, "after", [5]))
    assert _values(folder) == [5]


def test_a_missing_data_file_and_an_unknown_column_are_storage_errors(place):
    folder = _folder(place)
    version = folder.publish(_stage(folder, "one", [1]))
    with pytest.raises(StorageError, match="one-0"):
        version.read_table(["colour"])
    folder.store.delete([version.manifest.files[0].path])
    with pytest.raises(StorageError, match=r"Cannot read .*one-0"):
        read_current(place)


def test_artifacts_follow_the_same_protocol(place, tmp_path):
    import numpy as np

    folder = _folder(place)
    array = np.arange(6.0).reshape(2, 3)
    staged = stage_files({"mean.npy": array_bytes(array), "a.json": b"{}"}, VersionWriter(folder, "one", 2))
    with pytest.raises(NotPublishedError):
        folder.current()
    folder.publish(staged)
    version = folder.current()
    assert version.manifest.version == "one-2"
    assert (read_array(version, "mean.npy") == array).all()
    (tmp_path / "out").mkdir()
    assert sorted(path.name for path in fetch_files(version, tmp_path / "out").iterdir()) == ["a.json", "mean.npy"]
    with pytest.raises(StorageError, match=r"holds no scale\.npy"):
        version.read_file("scale.npy")


def test_an_array_with_pickled_objects_is_refused(tmp_path):
    import io

    import numpy as np

    buffer = io.BytesIO()
    np.save(buffer, np.array([{"code": 1}], dtype=object), allow_pickle=True)
    folder = _folder(str(tmp_path))
    version = folder.publish(stage_files({"mean.npy": buffer.getvalue()}, VersionWriter(folder, "one")))
    with pytest.raises(ValueError, match="allow_pickle"):
        read_array(version, "mean.npy")


def test_old_versions_go_an_hour_after_they_were_replaced_and_the_newest_stay(place):
    folder = _folder(place, keep_versions=2)
    for number in range(4):
        folder.publish(_stage(folder, f"run{number}", [number]))
    now = datetime.now(UTC)
    assert folder.remove_old(now) == []
    assert folder.remove_old(now + _HOUR / 2) == []
    removed = folder.remove_old(now + _HOUR)
    assert {key.split("/")[1] for key in removed} == {"run0-0", "run1-0"}
    assert [version.manifest.run_id for version in folder.published()] == ["run3", "run2"]
    assert {item.key.split("/")[1] for item in folder.store.list("versions/")} == {"run2-0", "run3-0"}
    assert _values(folder) == [3]


def test_what_current_names_stays_even_when_it_is_not_among_the_newest(place):
    folder = _folder(place, keep_versions=1)
    late = _stage(folder, "late", [0])
    for number in range(3):
        folder.publish(_stage(folder, f"run{number}", [number]))
    folder.publish(late)
    folder.remove_old(datetime.now(UTC) + _DAY * 2)
    assert _values(folder) == [0]


def test_files_that_a_newer_version_lists_again_outlive_the_version_that_wrote_them(place):
    folder = _folder(place, keep_versions=1)
    folder.publish(_stage(folder, "wrote", [7, 8]))
    for number in range(3):
        again = republish(folder.current(), VersionWriter(folder, f"again{number}"))
        folder.publish(again)
    removed = folder.remove_old(datetime.now(UTC) + _HOUR * 2)
    assert "versions/wrote-0/MANIFEST.json" in removed
    assert _values(folder) == [7, 8]
    assert folder.current().manifest.run_id == "again2"
    folder.publish(_stage(folder, "other", [9]))
    folder.remove_old(datetime.now(UTC) + _DAY * 2)
    assert {item.key.split("/")[1] for item in folder.store.list("versions/")} == {"other-0"}


def test_files_of_a_run_that_never_published_go_after_a_day(place):
    folder = _folder(place, keep_versions=1)
    folder.publish(_stage(folder, "good", [1]))
    _stage(folder, "died", [2])
    now = datetime.now(UTC)
    assert folder.remove_old(now + _HOUR * 23) == []
    assert {key.split("/")[1] for key in folder.remove_old(now + _HOUR * 25)} == {"died-0"}
    assert _values(folder) == [1]


def test_a_retention_that_was_killed_half_way_leaves_no_version_that_looks_whole(place, monkeypatch):
    folder = _folder(place, keep_versions=1)
    folder.publish(_stage(folder, "old", [1]))
    folder.publish(_stage(folder, "new", [2]))
    deleted = []
    whole = type(folder.store).delete

    def only_the_first(store, keys):
        deleted.extend(list(keys)[:1])
        whole(store, deleted)

    monkeypatch.setattr(type(folder.store), "delete", only_the_first)
    folder.remove_old(datetime.now(UTC) + _HOUR * 2)
    assert len(deleted) == 1
    for version in folder.published():
        assert version.read_table().num_rows == 1


def test_a_version_made_of_files_that_are_gone_is_not_published(place):
    folder = _folder(place, keep_versions=1)
    old = folder.publish(_stage(folder, "old", [1]))
    folder.publish(_stage(folder, "new", [2]))
    again = republish(old, VersionWriter(folder, "again"))
    folder.remove_old(datetime.now(UTC) + _HOUR * 2)
    with pytest.raises(StorageError, match=r"again-0.*old-0.*removed.*Run it again"):
        folder.publish(again)
    assert _values(folder) == [2]


def test_a_version_that_retention_removes_while_versions_are_listed_is_left_out(place, monkeypatch):
    folder = _folder(place, keep_versions=1)
    for number in range(2):
        folder.publish(_stage(folder, f"run{number}", [number]))
    listing = list(folder.store.list("versions/"))
    folder.remove_old(datetime.now(UTC) + _HOUR * 2)
    monkeypatch.setattr(type(folder.store), "list", lambda store, prefix="": iter(listing))
    assert [version.manifest.run_id for version in folder.published()] == ["run1"]


class Protocol(RuleBasedStateMachine):
    """Writers, readers and retention in any order, against a model of what readers may rely on."""

    def __init__(self) -> None:
        super().__init__()
        self.temporary = tempfile.TemporaryDirectory()
        self.folder = AssetFolder(LocalStore(Path(self.temporary.name)), keep_versions=2)
        self.now = datetime.now(UTC)
        self.runs = 0
        self.staged = []
        self.expected: list[int] | None = None
        self.readers = []  # (version, its values, when it was opened)

    def teardown(self) -> None:
        if self.expected is not None:
            self.folder.remove_old(self.now + _DAY * 2)
            needed = {file.path.split("/")[1] for version in self.folder.published() for file in version.manifest.files}
            left = {item.key.split("/")[1] for item in self.folder.store.list("versions/")}
            assert len(self.folder.published()) <= self.folder.keep_versions
            assert left == needed | {version.manifest.version for version in self.folder.published()}
            assert _values(self.folder) == self.expected
        self.temporary.cleanup()

    def _written_now(self, staged, values):
        for path in Path(self.temporary.name).rglob(f"{staged.manifest.version}/*"):
            os.utime(path, (self.now.timestamp(), self.now.timestamp()))
        self.staged.append((staged, values, self.now))

    @initialize()
    def first_version(self) -> None:
        self.stage([0])
        self.publish(0)

    @rule(values=st.lists(st.integers(0, 9), min_size=1, max_size=3))
    def stage(self, values: list[int]) -> None:
        self.runs += 1
        self._written_now(_stage(self.folder, f"run{self.runs}", values), values)

    @rule()
    def stage_what_is_there_again(self) -> None:
        self.runs += 1
        again = republish(self.folder.current(), VersionWriter(self.folder, f"run{self.runs}"))
        self._written_now(again, self.expected)

    @rule(which=st.integers(0, 5))
    def publish(self, which: int) -> None:
        if not self.staged:
            return
        staged, values, written = self.staged.pop(which % len(self.staged))
        if self.now - written >= _DAY:  # retention has taken it for a dead run's
            return
        self.now += timedelta(seconds=1)
        try:
            self.folder.publish(staged, self.now)
        except StorageError:
            assert any(not (self.folder.store.root / file.path).exists() for file in staged.manifest.files)
        else:
            self.expected = values

    @rule()
    def a_writer_dies(self) -> None:
        if self.staged:
            self.staged.pop()

    @rule()
    def a_reader_opens_the_table(self) -> None:
        self.readers.append((self.folder.current(), self.expected, self.now))

    @rule(minutes=st.sampled_from([1, 20, 45, 61, 60 * 25]))
    def time_passes(self, minutes: int) -> None:
        self.now += timedelta(minutes=minutes)

    @rule()
    def retention_runs(self) -> None:
        self.folder.remove_old(self.now)

    @invariant()
    def current_is_what_was_published_last(self) -> None:
        if self.expected is not None:
            assert _values(self.folder) == self.expected

    @invariant()
    def a_reader_can_still_read_an_hour_after_it_opened_the_table(self) -> None:
        self.readers = [reader for reader in self.readers if self.now - reader[2] < _HOUR]
        for version, values, _ in self.readers:
            assert version.read_table()["value"].to_pylist() == values


TestProtocol = Protocol.TestCase
TestProtocol.settings = settings(
    max_examples=20, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
)

_WRITER = """
import sys
import pyarrow as pa
from fruit_assets.storage.stores import open_store
from fruit_assets.storage.tables import VersionWriter, stage_table
from fruit_assets.storage.versions import AssetFolder
from datetime import UTC, datetime, timedelta
folder = AssetFolder(open_store(sys.argv[1]), 2)
name, count, ahead = sys.argv[2], int(sys.argv[3]), timedelta(hours=int(sys.argv[4]))
for number in range(count):
    table = pa.table({"value": pa.array([number] * 2000, pa.int64()), "name": [name] * 2000})
    folder.publish(stage_table(table, VersionWriter(folder, f"{name}{number}")))
    folder.remove_old(datetime.now(UTC) + ahead)
"""


def _writer(place: Path, name: str, count: int, hours_ahead: int = 0) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-c", _WRITER, str(place), name, str(count), str(hours_ahead)])


def test_a_writer_killed_at_any_moment_leaves_a_complete_version(tmp_path):
    folder = _folder(str(tmp_path))
    folder.publish(_stage(folder, "before", [1]))
    seen = set()
    for turn in range(3):
        started = len(list(tmp_path.glob("versions/*")))
        writer = _writer(tmp_path, f"turn{turn}-", 100_000)
        while len(list(tmp_path.glob("versions/*"))) < started + 3:
            assert writer.poll() is None
            time.sleep(0.002 * turn)
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        table = read_current(str(tmp_path))
        assert table.num_rows == 2000
        assert len(set(table["value"].to_pylist())) == 1
        seen.add(folder.current().manifest.run_id)
    assert len(seen) == 3
    folder.publish(_stage(folder, "after", [1, 2]))
    assert read_current(str(tmp_path)).num_rows == 2


def test_two_writers_and_retention_at_the_same_time_stay_complete(tmp_path):
    folder = _folder(str(tmp_path))
    folder.publish(_stage(folder, "before", [1] * 2000))
    # Retention with a clock two hours ahead spares nobody's grace, so that it meets the other's publishing.
    writers = [_writer(tmp_path, name, 30, 2) for name in ("a", "b")]
    while any(writer.poll() is None for writer in writers):
        assert folder.current().manifest.row_count == 2000
    assert [writer.returncode for writer in writers] == [0, 0]
    table = read_current(str(tmp_path))
    assert (table.num_rows, len(set(table["name"].to_pylist()))) == (2000, 1)
    assert folder.current().manifest.run_id in ("a29", "b29")


def test_the_versions_of_two_runs_that_overlap_are_both_complete_and_the_later_pointer_wins(place):
    folder = _folder(place)
    first, second = _stage(folder, "first", [1]), _stage(folder, "second", [2, 2])
    folder.publish(second)
    folder.publish(first)
    assert _values(folder) == [1]
    assert {version.manifest.run_id: version.read_table().num_rows for version in folder.published()} == {
        "first": 1,
        "second": 2,
    }
