"""Tests of the event log's connections, on Dagster's own SQLite storage."""

from pathlib import Path

import dagster as dg
import pytest

from fruit_assets.assets.event_log import EventLogConnection


@pytest.mark.parametrize("keep_open", [True, False])
def test_the_write_ahead_log_of_a_run_outlives_its_events_only_while_a_connection_is_kept(tmp_path, keep_open):
    seen: list[bool] = []

    @dg.asset
    def apples(context: dg.AssetExecutionContext, event_log: EventLogConnection) -> None:
        context.log.info("an event")
        path = Path(context.instance.event_log_storage.path_for_shard(context.run.run_id))
        seen.append(path.with_name(path.name + "-wal").exists())

    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        result = dg.materialize(
            [apples], resources={"event_log": EventLogConnection(keep_open=keep_open)}, instance=instance
        )
        assert "an event" in [entry.user_message for entry in instance.all_logs(result.run_id)]
    assert result.success
    assert seen == [keep_open]
    assert not list(tmp_path.rglob("*.db-wal"))


def test_an_event_log_that_is_no_sqlite_is_left_alone():
    @dg.asset
    def apples(event_log: EventLogConnection) -> None:
        pass

    with dg.DagsterInstance.ephemeral() as instance:
        assert dg.materialize([apples], resources={"event_log": EventLogConnection()}, instance=instance).success


def test_a_database_that_cannot_be_opened_costs_speed_only(tmp_path, monkeypatch):
    @dg.asset
    def apples(event_log: EventLogConnection) -> None:
        pass

    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        # Its own way to its databases goes by another name.
        monkeypatch.setattr(instance.event_log_storage, "path_for_shard", lambda shard: str(tmp_path / "no" / shard))
        result = dg.materialize([apples], resources={"event_log": EventLogConnection()}, instance=instance)
    assert result.success
    assert not (tmp_path / "no").exists()
