"""Which assets a run makes, for assets that prepare what later ones need.

Put here questions about the selection of a run. What is prepared belongs to each asset.
"""

import dagster as dg

# The asset whose tasks need Spark, however few images are new.
FEATURES = "image_features"


def makes(context: dg.AssetExecutionContext, asset: str) -> bool:
    """Whether an asset is among those that this run materialises."""
    return dg.AssetKey(asset) in context.job_def.asset_layer.executable_asset_keys
