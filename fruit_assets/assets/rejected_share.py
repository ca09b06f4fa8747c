"""`max_rejected_share`: one limit for images that cannot be fetched and images that cannot be decoded.

Put here how `sampled_images` and `image_features` come to the same value, whichever of them it is set for. What is
counted belongs to each asset.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from fruit_assets.assets.config_inheritance import RUN_CONFIG
from fruit_assets.storage.delta.version import Version

DEFAULT = 0.5
_NAME = "max_rejected_share"


def share_field(default_from: str) -> Any:
    """The field of a run config; `default_from` is the asset whose value counts where none is given."""
    text = "Share of the sampled images that cannot be used; beyond it nothing is published."
    return Field(default=None, ge=0, le=1, description=f"{text} By default that of {default_from}, or else {DEFAULT}.")


def share_while_sampling(given: float | None, run_config: Mapping[str, Any]) -> float:
    """The limit for `sampled_images`: its own, or that of `image_features` in the same run."""
    features = (run_config.get("ops") or {}).get("image_features") or {}
    return _first(given, (features.get("config") or {}).get(_NAME))


def share_for_features(given: float | None, sample: Version) -> float:
    """The limit for `image_features`: its own, or that with which the sample was made."""
    return _first(given, (sample.facts.get(RUN_CONFIG) or {}).get(_NAME))


def _first(*shares: float | None) -> float:
    return next((share for share in shares if share is not None), DEFAULT)
