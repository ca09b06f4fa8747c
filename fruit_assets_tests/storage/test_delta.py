"""Tests of the tables: what readers see, what a commit changes, and what two writers do to each other."""

import io
import json
import multiprocessing
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from fruit_assets.errors import NewerVersionError, NotPublishedError, StorageError
from fruit_assets.object_store.stores import open_store
from fruit_assets.storage.delta.columns import columns_of
from fruit_assets.storage.delta.staged_commit import StagedCommit
from fruit_assets.storage.delta.table import Table
from fruit_assets.storage.delta.version import Version
from fruit_assets.storage.parquet_files import DataFile
from fruit_assets.storage.staging import restore
from fruit_assets.storage.upkeep import remove_replaced

COLUMNS = columns_of("path string, features array<float>")
SCHEMA = pa.schema([("path", pa.string()), ("features", pa.list_(pa.float32()))])


@pytest.fixture
def table(place: str) -> Table:
    return Table(open_store(f"{place}/image_features"))


def written(table: Table, run: str, *paths: str) -> DataFile:
    """A file as a worker writes it: on storage, in no commit."""
    buffer = io.BytesIO()
    pq.write_table(pa.table({"path": paths, "features": [[1.0, 2.0]] * len(paths)}, SCHEMA), buffer)
    name = f"data/{run}-0/part-{paths[0]}.parquet"
    table.store.put(name, buffer.getvalue())
    return DataFile(name, buffer.tell(), len(paths), {"path": min(paths)}, {"path": max(paths)})


def published(table: Table, run: str, *paths: str, **facts: object) -> Version:
    base = table.current_or_none()
    return table.commit(table.stage([written(table, run, *paths)], COLUMNS, run, base, facts))


def paths_of(version: Version) -> list[str]:
    return sorted(version.read_table(["path"])["path"].to_pylist())


def _delta(table: Table) -> DeltaTable:
    uri, options = table.store.delta()
    return DeltaTable(uri, storage_options=options)


def test_nothing_is_seen_before_the_commit_and_all_of_it_afterwards(table: Table) -> None:
    staged = table.stage([written(table, "one", "a", "b")], COLUMNS, "one", None, {"fingerprint": "f"})
    assert table.current_or_none() is None
    with pytest.raises(NotPublishedError, match="materialise image_features first"):
        table.current()
    assert paths_of(staged.version) == ["a", "b"]
    version = table.commit(
        staged.with_figures(seconds=1.5), comments={"path": "Where it lies."}, text="Rows.", code_version="7"
    )
    assert (version.number, version.row_count, paths_of(version)) == (0, 2, ["a", "b"])
    assert version.facts == {"fingerprint": "f"}
    assert version.figures == {"seconds": 1.5}
    assert version.run_id == "one"
    assert version.files[0].least == {"path": "a"}
    assert version.files[0].greatest == {"path": "b"}
    # Another program finds rows, types, comments and description without any of our code.
    other = _delta(table)
    assert sorted(other.to_pyarrow_table()["path"].to_pylist()) == ["a", "b"]
    assert other.metadata().name == "image_features"
    assert other.metadata().description == "Rows."
    assert json.loads(other.schema().to_json())["fields"][0]["metadata"] == {"comment": "Where it lies."}


def test_rows_of_files_without_statistics_are_counted(table: Table) -> None:
    """As of files that another program has merged and written no statistics of."""
    published(table, "one", "a", "b", fingerprint="f")
    log = "_delta_log/00000000000000000000.json"
    actions = [json.loads(line) for line in table.store.get(log).splitlines()]
    for action in actions:
        action.get("add", {}).pop("stats", None)
    table.store.put(log, "\n".join(map(json.dumps, actions)).encode())
    version = Table(table.store).current()
    assert (version.row_count, paths_of(version)) == (2, ["a", "b"])


def test_a_commit_names_run_code_version_data_version_and_fingerprint(table: Table) -> None:
    published(table, "one", "a", data_version="d1", fingerprint="f1", measures={"shortest": 2})
    [commit] = table.history()
    log = json.loads(table.store.get("_delta_log/00000000000000000000.json").splitlines()[0])["commitInfo"]
    assert {"run_id": "one", "data_version": "d1", "fingerprint": "f1"}.items() <= log.items()
    assert (commit.run_id, commit.facts["measures"]) == ("one", {"shortest": 2})


def test_an_increment_adds_and_removes_exactly_what_changed(table: Table) -> None:
    first, second = written(table, "run é 1", "a"), written(table, "one", "b")
    base = table.commit(table.stage([first, second], COLUMNS, "one", None))
    new = written(table, "two", "c")
    version = table.commit(table.stage([second, new], COLUMNS, "two", base))
    assert paths_of(version) == ["b", "c"]
    assert paths_of(table.at(0)) == ["a", "b"]
    assert sorted(_delta(table).to_pyarrow_table()["path"].to_pylist()) == ["b", "c"]
    lines = table.store.get("_delta_log/00000000000000000001.json").splitlines()
    actions = [json.loads(line) for line in lines]
    assert [action["add"]["path"] for action in actions if "add" in action] == [new.path]
    assert [unquote(action["remove"]["path"]) for action in actions if "remove" in action] == [first.path]


def test_nothing_new_is_no_commit_and_figures_alone_are_nothing_new(table: Table) -> None:
    base = published(table, "one", "a", data_version="d")
    again = table.stage(base.files, COLUMNS, "two", base, base.facts).with_figures(seconds=3)
    assert table.commit(again) == base
    assert len(list(table.history())) == 1
    renamed = table.commit(again.with_facts(run_config={"seed": 1}))
    assert (renamed.number, renamed.files, renamed.run_id) == (1, base.files, "two")


def test_numbers_in_facts_come_back_to_the_last_digit_so_that_the_same_facts_are_no_commit(table: Table) -> None:
    # Read and written by delta-rs, this one ends in 52.
    share = 0.9082073321676953
    base = published(table, "one", "a", share=share)
    assert table.current().facts["share"] == share
    again = table.stage(base.files, COLUMNS, "two", table.current(), {"share": share})
    assert table.commit(again).number == base.number


def test_a_table_without_rows_keeps_its_columns(table: Table) -> None:
    version = table.commit(table.stage([], COLUMNS, "one", None))
    assert version.read_table().schema == SCHEMA
    assert version.read_table(["path"]).column_names == ["path"]
    published(table, "two", "a")
    emptied = table.commit(table.stage([], COLUMNS, "three", table.current()))
    assert emptied.row_count == 0 == _delta(table).to_pyarrow_table().num_rows


def test_other_columns_replace_the_schema(table: Table) -> None:
    published(table, "one", "a")
    buffer = io.BytesIO()
    pq.write_table(pa.table({"path": ["a"], "label": ["x"]}), buffer)
    table.store.put("data/two-0/part-a.parquet", buffer.getvalue())
    file = DataFile("data/two-0/part-a.parquet", buffer.tell(), 1)
    version = table.commit(table.stage([file], columns_of("path string, label string"), "two", table.current()))
    assert [column.name for column in version.columns] == ["path", "label"]
    assert version.read_table().to_pylist() == [{"path": "a", "label": "x"}]
    assert restore(table, 0).read_table().column_names == ["path", "features"]


def test_the_latest_version_with_given_facts_is_found_while_its_files_are_there(table: Table) -> None:
    first = published(table, "one", "a", fingerprint="f", kept=1)
    published(table, "two", "b", fingerprint="g")
    found = table.find_latest(fingerprint="f")
    assert found is not None
    assert (found.number, found.run_id) == (0, "one")
    assert table.find_latest(fingerprint="h") is None
    table.store.delete([first.files[0].path])
    assert table.find_latest(fingerprint="f") is None
    with pytest.raises(StorageError, match=r"Version 0 of image_features cannot be restored.*RETENTION_DAYS"):
        restore(table, 0)
    with pytest.raises(StorageError, match=r"Cannot read .*part-a.parquet: it no longer exists.*RETENTION_DAYS"):
        first.read_table()


def test_an_earlier_version_is_restored_by_a_commit_of_its_own(table: Table) -> None:
    published(table, "one", "a", data_version="good")
    published(table, "two", "b", data_version="bad")
    version = restore(table, 0)
    assert (version.number, paths_of(version), version.facts["data_version"]) == (2, ["a"], "good")
    assert version.figures["restored_from"] == 0
    assert paths_of(table.at(1)) == ["b"]
    assert _delta(table).to_pyarrow_table()["path"].to_pylist() == ["a"]


def test_newer_work_of_another_run_is_not_overwritten(table: Table) -> None:
    published(table, "zero", "z")
    mine, theirs = (_staged(table, run, facts={"data_version": run}) for run in ("mine", "theirs"))
    table.commit(theirs)
    with pytest.raises(NewerVersionError, match=r"Run theirs published version 1 .* this run worked from version 0"):
        table.commit(mine)
    assert table.current().run_id == "theirs"


def test_the_same_result_of_another_run_is_taken_as_ours(table: Table) -> None:
    mine, theirs = (_staged(table, run, facts={"data_version": "same"}) for run in ("mine", "theirs"))
    assert table.commit(theirs) == table.commit(mine)
    assert [commit.run_id for commit in table.history()] == ["theirs"]


def test_what_was_made_from_newer_inputs_is_not_replaced_by_what_was_made_from_older_ones(table: Table) -> None:
    sample = Table(table.store.below("sampled_images"))
    old, new = published(sample, "one", "a"), published(sample, "two", "b")
    table.commit(_staged(table, "two", facts={"data_version": "2"}).made_from(new))
    with pytest.raises(NewerVersionError, match="made from version 1 of sampled_images; this run read version 0"):
        table.commit(_staged(table, "one", facts={"data_version": "1"}).made_from(old))


def test_inputs_that_were_deleted_and_made_anew_are_not_taken_for_older_ones(tmp_path: Path) -> None:
    table, sample = (Table(open_store(str(tmp_path / name))) for name in ("image_features", "sampled_images"))
    published(sample, "one", "a")
    table.commit(_staged(table, "two", facts={"data_version": "2"}).made_from(published(sample, "two", "b")))
    shutil.rmtree(tmp_path / "sampled_images")
    anew = published(sample, "three", "c")
    assert anew.number == 0
    assert table.commit(_staged(table, "three", facts={"data_version": "3"}).made_from(anew)).run_id == "three"


def test_what_another_run_made_from_older_inputs_is_replaced(table: Table) -> None:
    sample = Table(table.store.below("sampled_images"))
    old, new = published(sample, "one", "a"), published(sample, "two", "b")
    newer = _staged(table, "two", facts={"data_version": "2"}).made_from(new)
    table.commit(_staged(table, "one", facts={"data_version": "1"}).made_from(old))
    assert table.commit(newer).run_id == "two"


def _staged(table: Table, run: str, facts: dict[str, object]) -> StagedCommit:
    return table.stage([written(table, run, run)], COLUMNS, run, table.current_or_none(), facts)


def test_of_many_runs_at_once_each_is_published_whole_or_refused(table: Table) -> None:
    staged = [_staged(table, f"run{number}", facts={"data_version": str(number)}) for number in range(8)]

    def outcome(commit: StagedCommit) -> Version | None:
        try:
            return table.commit(commit)
        except NewerVersionError:
            return None

    with ThreadPoolExecutor(8) as pool:
        winners = [version for version in pool.map(outcome, staged) if version is not None]
    assert [winner.run_id for winner in winners] == [table.current().run_id]
    assert len(list(table.history())) == 1


def _publish_often(folder: str, run: str, times: int) -> None:
    table = Table(open_store(folder))
    for number in range(times):
        while True:
            try:
                published(table, f"{run}{number}", f"{run}{number}", data_version=f"{run}{number}")
                break
            except NewerVersionError:
                continue


def test_two_processes_that_try_again_both_get_all_their_versions_in(tmp_path: Path) -> None:
    folder = str(tmp_path / "image_features")
    spawn = multiprocessing.get_context("spawn")
    processes = [spawn.Process(target=_publish_often, args=(folder, run, 10)) for run in ("a", "b")]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    commits = list(Table(open_store(folder)).history())
    assert sorted(commit.run_id for commit in commits) == sorted(f"{run}{n}" for run in "ab" for n in range(10))
    assert all(len(paths_of(Table(open_store(folder)).at(commit.number))) == 1 for commit in commits)


def test_what_other_programs_committed_is_read_and_states_no_facts(tmp_path: Path) -> None:
    table = Table(open_store(str(tmp_path / "image_features")))
    published(table, "one", "a", data_version="d")
    published_again = _delta(table)
    published_again.optimize.compact()
    published_again.vacuum(retention_hours=0, dry_run=False, enforce_retention_duration=False)
    assert table.current().facts == {"data_version": "d"}
    assert table.current().published == 0
    _delta(table).delete("path = 'a'")
    version = table.current()
    assert (version.row_count, version.facts, version.run_id) == (0, {}, "")


def test_the_layout_before_delta_tables_is_recognised(place: str) -> None:
    store = open_store(f"{place}/image_features")
    store.put("CURRENT", b"{}")
    with pytest.raises(StorageError, match=r"before Delta tables.*Delete that folder.*materialise image_features"):
        Table(store).current_or_none()


def test_a_version_that_never_was_and_a_bucket_that_is_not_there_are_named(table: Table, bucket: str) -> None:
    published(table, "one", "a")
    with pytest.raises(StorageError, match=r"Cannot open the table .*image_features: .*7"):
        table.at(7)
    missing = Table(open_store(f"s3://no-{bucket}/assets/image_features"))
    with pytest.raises(StorageError, match="the bucket does not exist"):
        missing.current_or_none()


def test_the_log_has_a_checkpoint_at_every_tenth_commit_from_which_readers_start(table):
    for number in range(12):
        version = published(table, f"run{number}", str(number))
    listed = [item.key.rpartition("/")[2] for item in table.store.list("_delta_log/")]
    assert [name for name in listed if name.endswith(".checkpoint.parquet")] == [f"{9:020}.checkpoint.parquet"]
    table.store.delete([f"_delta_log/{number:020}.json" for number in range(9)])
    assert table.current() == version
    assert [commit.number for commit in table.history()] == [11, 10, 9]


def test_a_table_that_has_not_changed_is_opened_once_by_all_who_share_it(
    bucket: str, s3_gets: list[tuple[str, str]], s3_lists: list[str]
) -> None:
    table = Table(open_store(f"s3://{bucket}/image_features"))
    for run in ("one", "two", "three"):
        published(table, run, run, data_version=run)
    version = table.current()
    s3_gets.clear()
    s3_lists.clear()
    assert (table.current(), table.at(version.number)) == (version, version)
    assert table.commit(table.stage(version.files, COLUMNS, "four", version, version.facts)) == version
    # Each time: the newest commit, and the one that would follow.
    assert (len(s3_gets), len(s3_lists)) == (4, 0)


def test_what_another_process_committed_is_seen_by_a_table_that_is_open(table: Table) -> None:
    mine = _staged(table, "mine", facts={"data_version": "mine"})
    first = published(table, "one", "a")
    theirs = published(Table(table.store), "two", "b")
    assert (table.current(), table.current().run_id, table.at(0)) == (theirs, "two", first)
    with pytest.raises(NewerVersionError, match="Run two published version 1"):
        table.commit(mine)


def test_a_table_that_was_deleted_and_made_anew_is_not_taken_for_the_one_that_was_open(table: Table) -> None:
    published(table, "one", "a")
    assert table.current().run_id == "one"
    table.store.delete([item.key for item in table.store.list()])
    assert table.current_or_none() is None
    published(table, "two", "b")
    assert table.current().run_id == "two"
    table.store.delete([item.key for item in table.store.list()])
    anew = published(Table(table.store), "three", "c")
    assert (table.current(), table.at(0)) == (anew, anew)
    assert paths_of(published(table, "four", "d")) == paths_of(Table(table.store).current()) == ["d"]


def test_a_table_that_was_opened_with_credentials_that_have_expired_is_opened_with_the_renewed_ones(
    private_bucket: str, sign_in: Callable[[int], str]
) -> None:
    sign_in(1)
    table = Table(open_store(f"s3://{private_bucket}/image_features"))
    published(table, "one", "a")
    base = table.current()
    staged = table.stage([*base.files, written(table, "two", "b")], COLUMNS, "two", base)
    sign_in(2)
    version = table.commit(staged)
    assert (version.number, paths_of(table.current())) == (1, ["a", "b"])
    assert remove_replaced(table) == 0
