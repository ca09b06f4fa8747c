"""Cleaning up when a run has ended, however it ended.

Put here the sensors that look at ended runs. What may be removed is decided in `storage/versions.py`,
never here: nothing that a reader or another run may still need.
"""

from collections.abc import Collection, Iterable

import dagster as dg

from fruit_assets.storage.io_managers import AssetStorage

_WHAT = (
    "Removes, from the storage of every asset, old versions beyond the number kept and files of runs that died a day "
    "ago or earlier without publishing."
)


def clean_up(storage: AssetStorage, assets: Iterable[str]) -> str:
    """Remove what nobody needs any more of these assets; returns a sentence about it."""
    removed = {asset: len(storage.folder(asset).remove_old()) for asset in assets}
    told = ", ".join(f"{count} of {asset}" for asset, count in removed.items() if count)
    return f"Removed files: {told}." if told else "Nothing to remove."


def _sensor_after(name: str, status: dg.DagsterRunStatus, assets: Collection[str]) -> dg.SensorDefinition:
    @dg.run_status_sensor(
        run_status=status,
        name=name,
        description=_WHAT,
        default_status=dg.DefaultSensorStatus.STOPPED,
        minimum_interval_seconds=60,
    )
    def after(context: dg.RunStatusSensorContext, storage: dg.ResourceParam[AssetStorage]) -> dg.SkipReason:
        said = clean_up(storage, assets)
        context.log.info(f"After run {context.dagster_run.run_id}: {said}")
        return dg.SkipReason(said)

    return after


def build_cleaning_sensors(assets: Collection[str]) -> list[dg.SensorDefinition]:
    """One switch for each way in which a run can end."""
    endings = {
        "clean_up_after_success": dg.DagsterRunStatus.SUCCESS,
        "clean_up_after_failure": dg.DagsterRunStatus.FAILURE,
        "clean_up_after_cancellation": dg.DagsterRunStatus.CANCELED,
    }
    return [_sensor_after(name, status, assets) for name, status in endings.items()]
