"""Runs without configuration: they repeat that of the published version.

Put here how a run that starts by itself comes to its run config. Without this, a nightly run would fall
back to the defaults, and a sample of the whole collection would shrink to a hundredth overnight.
"""

from typing import TypeVar

import dagster as dg
from pydantic import ValidationError

from fruit_assets.errors import InputError
from fruit_assets.storage.delta.version import Version

INHERIT_CONFIG_TAG = "fruit_assets/repeats_config"
# Key of the run config among the facts of a version.
RUN_CONFIG = "run_config"

ConfigT = TypeVar("ConfigT", bound=dg.Config)


def config_of_run(context: dg.AssetExecutionContext, given: ConfigT, current: Version | None) -> ConfigT:
    """`given`, or in a run tagged `INHERIT_CONFIG_TAG` the config that the published version was made with.

    Raises:
        InputError: the published version's config is not valid any more.
    """
    if context.run.tags.get(INHERIT_CONFIG_TAG) != "true":
        return given
    published = current.facts.get(RUN_CONFIG) if current else None
    if not published:
        return given
    context.log.info(f"Repeating the run config of the published version: {published}")
    try:
        return type(given)(**published)
    except ValidationError as error:
        raise InputError(
            f"The run config {published} of the published version is not valid any more: {error}. "
            "Materialise the asset once by hand with a config of your choice."
        ) from error
