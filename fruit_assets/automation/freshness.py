"""How old the published assets may become before the UI warns.

Put here expectations only: a freshness policy starts nothing.
"""

from datetime import timedelta

import dagster as dg

# The two that people take away. What they are made from may well be older: unchanged input is no delay.
FRESHNESS = {
    "pca_components": dg.FreshnessPolicy.time_window(warn_window=timedelta(days=7), fail_window=timedelta(days=30)),
    "fruit_recognition": dg.FreshnessPolicy.time_window(warn_window=timedelta(days=7), fail_window=timedelta(days=30)),
}
