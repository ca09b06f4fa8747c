"""The run config of all assets, checked when a run begins.

Put here how wrong values are found and listed. The values themselves, their limits and descriptions, are declared
beside each asset; places and credentials are settings (`settings.py`).
"""

from typing import Any, cast

import dagster as dg
from pydantic import ValidationError

from fruit_assets.assets.graph import CONFIGS
from fruit_assets.errors import InputError


class RunConfigCheck(dg.ConfigurableResource[Any]):
    """Checks the run config of all assets when a run begins, so that all problems are listed at once."""

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        """Raise with every wrong value of the run config, before any work."""
        if context.run is not None:
            try:
                check_run_config(cast("dict[str, Any]", context.run.run_config.get("ops") or {}))
            except InputError as error:
                raise dg.Failure(description=str(error), allow_retries=False) from error


def check_run_config(ops: dict[str, Any]) -> None:
    """Check the values of all ops at once, before the first of them starts.

    Args:
        ops: the `ops` section of the run config.

    Raises:
        InputError: lists every wrong value.
    """
    problems = []
    for name, config in CONFIGS.items():
        try:
            config(**(ops.get(name) or {}).get("config", {}))
        except ValidationError as error:
            problems += [f"ops.{name}.config{_where(item['loc'])}: {_message(item)}" for item in error.errors()]
    if problems:
        listed = "\n".join(f"  - {problem}" for problem in problems)
        raise InputError(f"{len(problems)} value(s) of the run config need attention:\n{listed}")


def _where(location: tuple[int | str, ...]) -> str:
    return "".join(f".{part}" for part in location)


def _message(item: Any) -> str:
    message = str(item["msg"]).removeprefix("Value error, ")
    return message if item["type"] == "value_error" else f"{message} (it is {item['input']!r})"
