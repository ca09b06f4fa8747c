"""Triggers of automatic refreshes: a sensor for changes, and a schedule.

Put here the sensor, the schedule and the tags of their runs. The conditions are in `conditions.py`, the run config
that such a run inherits in `assets/config_inheritance.py`.
"""

from collections.abc import Sequence

import dagster as dg

from fruit_assets.assets.config_inheritance import INHERIT_CONFIG_TAG

NIGHTLY = "0 3 * * *"


def build_refresh_sensor(
    keys: Sequence[dg.AssetKey],
) -> dg.AutomationConditionSensorDefinition:
    """The sensor that evaluates the automation conditions."""
    return dg.AutomationConditionSensorDefinition(
        name="refresh_on_change",
        target=keys,
        description="Materializes outdated assets, in one run, when the collection, an upstream asset or the code "
        "changed: at most once per tick of the budget, and never during another run. The runs use the run "
        "config of the run that published last. Changes of the collection are detected by watch_raw_images.",
        default_status=dg.DefaultSensorStatus.STOPPED,
        minimum_interval_seconds=60,
        run_tags={INHERIT_CONFIG_TAG: "true"},
    )


def build_refresh_schedule(job_name: str) -> dg.ScheduleDefinition:
    """The schedule, for collections that change all the time or are expensive to list."""
    return dg.ScheduleDefinition(
        name="refresh_every_night",
        job_name=job_name,
        cron_schedule=NIGHTLY,
        description="Runs the whole graph at 3:00 UTC, with the run config of the run that published last. Features "
        "of unchanged images are not computed again.",
        default_status=dg.DefaultScheduleStatus.STOPPED,
        tags={INHERIT_CONFIG_TAG: "true"},
    )
