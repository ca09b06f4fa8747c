"""Tests of Dagster's side of the storage, with a graph of two assets of no importance."""

import dagster as dg
import pyarrow as pa
import pytest

from fruit_assets.storage.io_managers import AssetStorage, VersionIOManager
from fruit_assets.storage.stores import LocalStore
from fruit_assets.storage.tables import stage_table
from fruit_assets.storage.versions import StagedVersion, Version


class _NoCheck(dg.ConfigurableResource):
    pass


@dg.asset
def numbers(context: dg.AssetExecutionContext, storage: AssetStorage) -> StagedVersion:
    return stage_table(pa.table({"value": pa.array([1, 2], pa.int64())}), storage.writing("numbers", context))


@dg.asset
def total(context: dg.AssetExecutionContext, numbers: Version, storage: AssetStorage) -> StagedVersion:
    value = sum(numbers.read_table()["value"].to_pylist())
    return stage_table(pa.table({"value": pa.array([value], pa.int64())}), storage.writing("total", context))


@pytest.fixture
def resources(tmp_path):
    storage = AssetStorage(uri=str(tmp_path / "assets"), keep_versions=2)
    return {"storage": storage, "io_manager": VersionIOManager(storage=storage, run_config_check=_NoCheck())}


def _metadata(result: dg.ExecuteInProcessResult, asset: str):
    [event] = result.asset_materializations_for_node(asset)
    return {name: value.value for name, value in event.metadata.items()}


def test_what_an_asset_returns_is_published_and_described(resources):
    result = dg.materialize([numbers, total], resources=resources)
    metadata = _metadata(result, "numbers")
    folder = resources["storage"].folder("numbers")
    assert metadata["dagster/uri"] == folder.store.uri
    assert (metadata["dagster/row_count"], metadata["files"]) == (2, 1)
    assert metadata["version"] == f"{result.run_id}-0" == folder.current().manifest.version
    assert resources["storage"].folder("total").current().read_table()["value"].to_pylist() == [3]


def test_a_retried_step_publishes_under_its_own_attempt(resources):
    @dg.asset(retry_policy=dg.RetryPolicy(max_retries=1))
    def flaky(context: dg.AssetExecutionContext, storage: AssetStorage) -> StagedVersion:
        staged = stage_table(pa.table({"value": pa.array([7], pa.int64())}), storage.writing("flaky", context))
        if context.op_execution_context.retry_number == 0:
            raise ConnectionError("the first attempt is lost")
        return staged

    result = dg.materialize([flaky], resources=resources)
    assert resources["storage"].folder("flaky").current().manifest.version == f"{result.run_id}-1"


def test_an_upstream_asset_that_was_never_published_is_named_with_what_to_do(resources):
    result = dg.materialize([numbers, total], selection="total", resources=resources, raise_on_error=False)
    [failure] = [event for event in result.all_events if event.is_step_failure]
    assert "numbers has not been published at" in str(failure.step_failure_data.error)
    assert "materialise numbers first" in str(failure.step_failure_data.error)


def test_retention_that_is_refused_does_not_fail_what_has_been_published(resources, monkeypatch):
    def refuse(store, keys):
        from fruit_assets.errors import StorageError

        raise StorageError("access denied")

    monkeypatch.setattr(LocalStore, "delete", refuse)
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize([numbers], resources=resources, instance=instance)
        assert result.success
        logged = [record.user_message for record in instance.all_logs(result.run_id)]
    assert any("old versions of numbers stay: access denied" in text for text in logged)
    assert resources["storage"].folder("numbers").current().manifest.row_count == 2
