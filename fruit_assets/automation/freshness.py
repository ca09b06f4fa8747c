"""Freshness policies: the age of published assets from which the UI warns.

Put here policies only; they start no runs.
"""

from datetime import timedelta

import dagster as dg

# Only the two results. Assets upstream may be older, because an unchanged input is not materialized again.
FRESHNESS = {
    "pca_components": dg.FreshnessPolicy.time_window(warn_window=timedelta(days=7), fail_window=timedelta(days=30)),
    "fruit_recognition": dg.FreshnessPolicy.time_window(warn_window=timedelta(days=7), fail_window=timedelta(days=30)),
}
