"""Jobs: what people run by name.

Put here selections of assets. When jobs run by themselves belongs in `automation.py`.
"""

import dagster as dg

# One process, and so one Spark session, for the whole run.
fruit_features_job = dg.define_asset_job(
    "fruit_features_job",
    selection=dg.AssetSelection.all(),
    description="The whole graph: sample the images, compute their features, reduce them, and see how well they serve.",
    executor_def=dg.in_process_executor,
)
