"""Automation of the graph: sensors, conditions and a schedule, all stopped by default.

Put here what starts runs and upkeep, one subject per file; this file combines them. What a run does belongs to
`assets/` and `jobs.py`.
"""

from collections.abc import Sequence

import dagster as dg

from fruit_assets.automation.collection_sensor import raw_images_sensor
from fruit_assets.automation.conditions import HOURLY, when_changed
from fruit_assets.automation.freshness import FRESHNESS
from fruit_assets.automation.retention import build_retention_sensors
from fruit_assets.automation.triggers import build_refresh_schedule, build_refresh_sensor
from fruit_assets.settings import Settings

Asset = dg.AssetsDefinition | dg.SourceAsset

__all__ = ["HOURLY", "automated", "build_schedules", "build_sensors"]


def automated(assets: Sequence[Asset], budget: str = HOURLY) -> list[Asset]:
    """The assets with their automation conditions and freshness policies.

    Args:
        assets: the graph; external assets are returned unchanged.
        budget: cron schedule; the graph is requested at most once per tick of it.
    """
    made = [asset for asset in assets if isinstance(asset, dg.AssetsDefinition)]
    condition = when_changed(sorted(key for asset in made for key in asset.keys), budget)

    def with_policies(spec: dg.AssetSpec) -> dg.AssetSpec:
        freshness = FRESHNESS.get(spec.key.to_user_string())
        return spec.replace_attributes(automation_condition=condition, freshness_policy=freshness)

    return [*(asset for asset in assets if asset not in made), *dg.map_asset_specs(with_policies, made)]


def build_sensors(assets: Sequence[Asset], settings: Settings) -> list[dg.SensorDefinition]:
    """Every sensor, stopped until a user switches it on."""
    made = [key for asset in assets if isinstance(asset, dg.AssetsDefinition) for key in asset.keys]
    names = sorted(key.to_user_string() for key in made)
    return [raw_images_sensor, build_refresh_sensor(made), *build_retention_sensors(names), *_emr_sensors(settings)]


def _emr_sensors(settings: Settings) -> list[dg.SensorDefinition]:
    if not settings.runs_on_emr or settings.staging is None:
        return []
    from fruit_assets.emr.orphan_sensor import build_orphan_sensor
    from fruit_assets.resources import emr_launcher

    return [build_orphan_sensor(emr_launcher(settings))]


def build_schedules(job_name: str) -> list[dg.ScheduleDefinition]:
    """The alternative to refreshing on change: refresh on a schedule."""
    return [build_refresh_schedule(job_name)]
