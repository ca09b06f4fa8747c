"""Settings of one step: the launcher's, with additions and overrides from the asset's op tags.

Put here how op tags are read. Settings of every step belong to `../launcher_settings.py`.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import dagster as dg

from fruit_assets.emr.errors import PermanentError
from fruit_assets.emr.launcher_settings import LauncherSettings

SPARK_CONF_TAG = "emr/spark_conf"
EXECUTION_ROLE_TAG = "emr/execution_role_arn"


@dataclass(frozen=True)
class StepSettings:
    """What one step is submitted with.

    Attributes:
        spark_conf: Spark settings as Spark spells them.
        execution_role_arn: IAM role of the step; None leaves it to the cluster or application.
        tags: cost allocation tags.
    """

    spark_conf: Mapping[str, str]
    execution_role_arn: str | None
    tags: Mapping[str, str]


def step_settings(launcher: LauncherSettings, context: dg.StepExecutionContext) -> StepSettings:
    """The settings of the step of `context`.

    Raises:
        PermanentError: the tag `emr/spark_conf` is not a JSON object, or a Spark setting is not a plain value.
    """
    tags = context.step.tags
    conf = {**launcher.spark_conf, **_tagged_conf(tags.get(SPARK_CONF_TAG), context.step.key)}
    wrong = sorted(name for name, value in conf.items() if not isinstance(value, str | int | float | bool))
    if wrong:
        raise PermanentError(f"Spark settings of {context.step.key} must be plain values: {', '.join(wrong)}.")
    assets = sorted(key.to_user_string() for key in context.get_output_asset_keys())
    return StepSettings(
        spark_conf={name: _spark_text(value) for name, value in conf.items()},
        execution_role_arn=tags.get(EXECUTION_ROLE_TAG, launcher.execution_role_arn),
        tags={
            "dagster/run_id": context.run_id,
            "dagster/step": tag_value(context.step.key),
            **({"dagster/asset": tag_value(" ".join(assets))} if assets else {}),
        },
    )


def tag_value(text: str) -> str:
    """The text with what AWS accepts in a tag: at most 256 letters, digits, blanks and `_.:/=+@-`."""
    return re.sub(r"[^A-Za-z0-9 _.:/=+@-]", "_", text)[:256]


def _tagged_conf(tag: str | None, step_key: str) -> dict[str, Any]:
    if tag is None:
        return {}
    try:
        conf = json.loads(tag)
    except ValueError:
        conf = None
    if not isinstance(conf, dict):
        raise PermanentError(
            f"The op tag {SPARK_CONF_TAG} of {step_key} is {tag!r}: use an object such as "
            '{"spark.executor.memory": "8g", "spark.sql.shuffle.partitions": 64}.'
        )
    return conf


def _spark_text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
