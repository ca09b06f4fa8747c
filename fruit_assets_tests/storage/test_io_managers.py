"""Tests of Dagster's side of the storage, with a graph of two assets of no importance."""

import gc
import weakref

import dagster as dg
import pyarrow as pa
import pytest

from fruit_assets.errors import StorageError
from fruit_assets.storage import io_managers
from fruit_assets.storage.delta.staged_commit import StagedCommit
from fruit_assets.storage.delta.table import Table
from fruit_assets.storage.delta.version import Version
from fruit_assets.storage.io_managers import AssetStorage, VersionIOManager
from fruit_assets.storage.staging import VersionWriter
from fruit_assets_tests.storage.tables import stage_table


class _NoCheck(dg.ConfigurableResource):
    pass


@dg.asset
def numbers(context: dg.AssetExecutionContext, storage: AssetStorage) -> StagedCommit:
    return stage_table(pa.table({"value": pa.array([1, 2], pa.int64())}), storage.writing("numbers", context))


@dg.asset
def total(context: dg.AssetExecutionContext, numbers: Version, storage: AssetStorage) -> StagedCommit:
    value = sum(numbers.read_table()["value"].to_pylist())
    return stage_table(pa.table({"value": pa.array([value], pa.int64())}), storage.writing("total", context))


@pytest.fixture
def resources(tmp_path):
    storage = AssetStorage(uri=str(tmp_path / "assets"))
    return {
        "storage": storage,
        "io_manager": VersionIOManager(storage=storage, run_config_check=_NoCheck(), event_log=_NoCheck()),
    }


def _metadata(result: dg.ExecuteInProcessResult, asset: str):
    [event] = result.asset_materializations_for_node(asset)
    return {name: value.value for name, value in event.metadata.items()}


def test_what_an_asset_returns_is_published_and_described(resources):
    result = dg.materialize([numbers, total], resources=resources)
    metadata = _metadata(result, "numbers")
    folder = resources["storage"].table("numbers")
    assert metadata["dagster/uri"] == folder.store.uri
    assert (metadata["dagster/row_count"], metadata["files"]) == (2, 1)
    assert metadata["table_version"] == folder.current().number == 0
    assert folder.current().run_id == result.run_id
    assert metadata["committed_by_this_run"]
    assert resources["storage"].table("total").current().read_table()["value"].to_pylist() == [3]


def test_a_retried_step_publishes_under_its_own_attempt(resources):
    @dg.asset(retry_policy=dg.RetryPolicy(max_retries=1))
    def flaky(context: dg.AssetExecutionContext, storage: AssetStorage) -> StagedCommit:
        staged = stage_table(pa.table({"value": pa.array([7], pa.int64())}), storage.writing("flaky", context))
        if context.op_execution_context.retry_number == 0:
            raise ConnectionError("the first attempt is lost")
        return staged

    result = dg.materialize([flaky], resources=resources)
    [file] = resources["storage"].table("flaky").current().files
    assert file.path.startswith(f"data/{result.run_id}-1/")


def test_an_upstream_asset_that_was_never_published_is_named_with_what_to_do(resources):
    result = dg.materialize([numbers, total], selection="total", resources=resources, raise_on_error=False)
    [failure] = [event for event in result.all_events if event.is_step_failure]
    assert "numbers has not been published at" in str(failure.step_failure_data.error)
    assert "materialise numbers first" in str(failure.step_failure_data.error)


def test_an_upstream_asset_whose_rows_another_program_changed_is_named_with_what_to_do(resources):
    dg.materialize([numbers, total], resources=resources)
    opened = resources["storage"].table("numbers").open()
    assert opened is not None
    opened.delta.delete("value = 1")
    result = dg.materialize([numbers, total], selection="total", resources=resources, raise_on_error=False)
    [failure] = [event for event in result.all_events if event.is_step_failure]
    assert "Another program changed the rows of" in str(failure.step_failure_data.error)
    assert "fruit-assets restore numbers --version NUMBER" in str(failure.step_failure_data.error)
    assert dg.materialize([numbers, total], resources=resources).success


def test_retention_that_is_refused_does_not_fail_what_has_been_published(resources, monkeypatch):
    def refuse(table):
        raise StorageError("access denied")

    monkeypatch.setattr(io_managers, "remove_replaced", refuse)
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize([numbers], resources=resources, instance=instance)
        assert result.success
        logged = [record.user_message for record in instance.all_logs(result.run_id)]
    assert any("old versions of numbers stay: access denied" in text for text in logged)
    assert resources["storage"].table("numbers").current().row_count == 2


def _commit(storage: AssetStorage, asset: str, *values: int) -> Version:
    rows = pa.table({"value": pa.array(values, pa.int64())})
    return storage.table(asset).commit(stage_table(rows, VersionWriter(storage.table(asset), f"other {values}")))


def test_a_run_goes_on_reading_what_it_made_when_another_publishes(resources):
    storage = resources["storage"]

    @dg.asset(deps=[numbers])
    def other_run() -> None:
        _commit(storage, "numbers", 100)

    @dg.asset(deps=[other_run])
    def total(context: dg.AssetExecutionContext, numbers: Version, storage: AssetStorage) -> StagedCommit:
        return stage_table(numbers.read_table(), storage.writing("total", context))

    assert dg.materialize([numbers, other_run, total], resources=resources).success
    assert storage.table("total").current().read_table()["value"].to_pylist() == [1, 2]
    assert storage.table("numbers").current().read_table()["value"].to_pylist() == [100]


def test_a_run_reads_one_version_of_what_it_did_not_make_in_all_its_steps(resources):
    storage = resources["storage"]
    _commit(storage, "numbers", 1)
    seen = []

    @dg.asset
    def first(numbers: Version) -> None:
        seen.append(numbers.read_table()["value"].to_pylist())
        _commit(storage, "numbers", 2)

    @dg.asset(deps=[first])
    def second(numbers: Version) -> None:
        seen.append(numbers.read_table()["value"].to_pylist())

    for _ in range(2):
        assert dg.materialize([numbers, first, second], selection=["first", "second"], resources=resources).success
    assert seen == [[1], [1], [2], [2]]


def test_a_run_that_continues_a_failed_one_reads_what_that_one_made(resources):
    storage, fails = resources["storage"], [True]

    @dg.asset(deps=[numbers])
    def breaks() -> None:
        if fails.pop():
            raise ValueError("once")

    @dg.asset(deps=[breaks])
    def total(context: dg.AssetExecutionContext, numbers: Version, storage: AssetStorage) -> StagedCommit:
        return stage_table(numbers.read_table(), storage.writing("total", context))

    with dg.DagsterInstance.ephemeral() as instance:
        assets = [numbers, breaks, total]
        failed = dg.materialize(assets, resources=resources, instance=instance, raise_on_error=False)
        assert not failed.success
        _commit(storage, "numbers", 100)
        fails.append(False)
        job = dg.Definitions(assets=assets, resources=resources).resolve_implicit_global_asset_job_def()
        continued = {
            "dagster/parent_run_id": failed.run_id,
            "dagster/root_run_id": failed.run_id,
            "dagster/is_resume_retry": "true",
        }
        run = instance.create_run_for_job(job, parent_run_id=failed.run_id, root_run_id=failed.run_id, tags=continued)
        pins = storage.pins(run)
    assert pins.version_of(storage.table("numbers")).read_table()["value"].to_pylist() == [1, 2]
    assert storage.table("numbers").current().read_table()["value"].to_pylist() == [100]


def test_resource_and_io_manager_share_the_tables_of_a_run_which_end_with_it(resources):
    seen: list[weakref.ref[Table]] = []

    class Noting(VersionIOManager):
        def load_input(self, context: dg.InputContext) -> Version:
            seen.append(weakref.ref(self.storage.table("numbers")))
            return super().load_input(context)

    @dg.asset
    def reader(numbers: Version, storage: AssetStorage) -> None:
        assert storage.table("numbers") is seen[-1]()

    storage = resources["storage"]
    resources["io_manager"] = Noting(storage=storage, run_config_check=_NoCheck(), event_log=_NoCheck())
    for _ in range(2):
        assert dg.materialize([numbers, reader], resources=resources).success
    gc.collect()
    assert [table() for table in seen] == [None, None]
