"""Batch image features at scale, with lineage: the Dagster code location.

`defs` is built when it is asked for: Spark's workers import this package for the pipeline, and want
neither Dagster nor the settings of a deployment.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fruit_assets.definitions import defs

__all__ = ["defs"]


def __getattr__(name: str) -> Any:
    if name == "defs":
        from fruit_assets.definitions import defs

        return defs
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), "defs"]
