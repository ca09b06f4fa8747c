"""Retention: upkeep of the tables after each run, whether it succeeded, failed or was cancelled.

Put here the sensors of ended runs. Which files may be removed is decided in `storage/upkeep.py`.
"""

from collections.abc import Collection, Iterable
from datetime import UTC, datetime, timedelta

import dagster as dg

from fruit_assets.keys.key_files import remove_unused_keys
from fruit_assets.storage.io_managers import AssetStorage
from fruit_assets.storage.upkeep import clean_up, forget_runs

_DESCRIPTION = (
    "Upkeep of every asset's table: removes files that were replaced, or written and never published, longer ago than "
    "the retention (FRUIT_ASSETS_RETENTION_DAYS) and before the oldest run in progress began; merges small files."
)
_ALIVE = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def clean_up_all(storage: AssetStorage, assets: Iterable[str], running_since: datetime | None) -> str:
    """Do the upkeep of these assets' tables; returns a sentence about it."""
    tables = {asset: storage.table(asset) for asset in assets}
    done = {asset: clean_up(table, running_since) for asset, table in tables.items()}
    for table in tables.values():
        remove_unused_keys(table)
    forget_runs(storage.store, timedelta(days=storage.retention_days), running_since)
    parts = [f"removed {upkeep.removed} files of {asset}" for asset, upkeep in done.items() if upkeep.removed]
    parts += [f"merged {upkeep.compacted} files of {asset}" for asset, upkeep in done.items() if upkeep.compacted]
    return f"Upkeep: {', '.join(parts)}." if parts else "Nothing to remove."


def oldest_run_in_progress(instance: dg.DagsterInstance) -> datetime | None:
    """Creation time of the oldest run in progress; None when there is none."""
    alive = instance.get_run_records(dg.RunsFilter(statuses=_ALIVE), limit=1, ascending=True)
    return alive[0].create_timestamp.astimezone(UTC) if alive else None


def _sensor_after(name: str, status: dg.DagsterRunStatus, assets: Collection[str]) -> dg.SensorDefinition:
    @dg.run_status_sensor(
        run_status=status,
        name=name,
        description=_DESCRIPTION,
        default_status=dg.DefaultSensorStatus.STOPPED,
        minimum_interval_seconds=60,
    )
    def after(context: dg.RunStatusSensorContext, storage: dg.ResourceParam[AssetStorage]) -> dg.SkipReason:
        report = clean_up_all(storage, assets, oldest_run_in_progress(context.instance))
        context.log.info(f"After run {context.dagster_run.run_id}: {report}")
        return dg.SkipReason(report)

    return after


def build_retention_sensors(assets: Collection[str]) -> list[dg.SensorDefinition]:
    """One sensor for each status in which a run can end."""
    endings = {
        "clean_up_after_success": dg.DagsterRunStatus.SUCCESS,
        "clean_up_after_failure": dg.DagsterRunStatus.FAILURE,
        "clean_up_after_cancellation": dg.DagsterRunStatus.CANCELED,
    }
    return [_sensor_after(name, status, assets) for name, status in endings.items()]
