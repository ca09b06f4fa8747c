"""The code location: the graph with the resources of one deployment.

Put here what is part of the graph, and nothing of what any of it does.
"""

import warnings
from typing import Any

import click
import dagster as dg

from fruit_assets.assets.graph import ASSETS
from fruit_assets.automation import automated, build_schedules, build_sensors
from fruit_assets.errors import SettingsError
from fruit_assets.jobs import fruit_features_job
from fruit_assets.resources import resources_for
from fruit_assets.settings import Settings, load_settings
from fruit_assets.spark.fast_start.freeze_gc import freeze_gc


def build_defs(settings: Settings | None = None, resources: dict[str, Any] | None = None) -> dg.Definitions:
    """The graph for one deployment.

    Args:
        settings: where things are; read from the environment when None.
        resources: replacements by name, for tests and for programs that embed the graph.

    Raises:
        SettingsError: a setting is wrong; lists all that are.
    """
    settings = settings or load_settings()
    with warnings.catch_warnings():
        # Code references are marked beta; the UI's links to the source are worth it.
        warnings.simplefilter("ignore", dg.BetaWarning)
        assets = dg.with_source_code_references(automated(ASSETS, settings.refresh_budget))
    return dg.Definitions(
        assets=assets,
        jobs=[fruit_features_job],
        sensors=build_sensors(ASSETS, settings),
        schedules=build_schedules(fruit_features_job.name),
        resources={**resources_for(settings), **(resources or {})},
        # One process per run for any selection: every process would start a JVM of its own.
        executor=dg.in_process_executor,
    )


class WrongSettingsError(SettingsError, click.ClickException):
    """Settings are wrong; `dagster` and `dg` say so in the words of the message, without a traceback."""


def _load_settings() -> Settings:
    try:
        return load_settings()
    except SettingsError as error:
        raise WrongSettingsError(error.problems) from None


_settings = _load_settings()
defs = build_defs(_settings)
if "freeze_gc" in _settings.fast_start:
    freeze_gc()
