"""Automatic refreshes: when something changed, or on a schedule.

Put here the switches and what the runs they start have in common. When a change counts belongs in
`conditions.py`, what a repeated run takes over in `assets/config_inheritance.py`.
"""

from collections.abc import Sequence

import dagster as dg

from fruit_assets.assets.config_inheritance import INHERIT_CONFIG_TAG

NIGHTLY = "0 3 * * *"


def build_refresh_sensor(
    keys: Sequence[dg.AssetKey],
) -> dg.AutomationConditionSensorDefinition:
    """The switch of the automation conditions."""
    return dg.AutomationConditionSensorDefinition(
        name="refresh_on_change",
        target=keys,
        description="Makes what is outdated again, in one run, when the collection, an asset above or the code "
        "changed: at most once per tick of its budget, and never beside a run in progress. The runs repeat the run "
        "config of the run that published last. Changes of the collection are seen by watch_raw_images.",
        default_status=dg.DefaultSensorStatus.STOPPED,
        minimum_interval_seconds=60,
        run_tags={INHERIT_CONFIG_TAG: "true"},
    )


def build_refresh_schedule(job_name: str) -> dg.ScheduleDefinition:
    """The schedule, for places where change is constant or listing is dear."""
    return dg.ScheduleDefinition(
        name="refresh_every_night",
        job_name=job_name,
        cron_schedule=NIGHTLY,
        description="Runs the whole graph at 3:00 UTC, with the run config of the run that published last. Images "
        "that are known already cost no inference.",
        default_status=dg.DefaultScheduleStatus.STOPPED,
        tags={INHERIT_CONFIG_TAG: "true"},
    )
