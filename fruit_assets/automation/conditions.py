"""The automation condition of the graph: something changed, the budget allows a run, and no run is in progress.

Put here the condition, composed of Dagster's conditions so that the daemon can evaluate it. The sensor that evaluates
it belongs in `triggers.py`.
"""

from collections.abc import Sequence
from functools import reduce
from operator import and_
from typing import Any

import dagster as dg

HOURLY = "0 * * * *"

Condition = dg.AutomationCondition[dg.AssetKey]


def when_changed(graph: Sequence[dg.AssetKey], budget: str) -> Condition:
    """The condition of every asset of the graph.

    An asset refreshes when a dependency was updated, when its code changed, or when it was never materialized;
    together with all assets downstream, in one run. A failed run is not repeated before the next change, because
    its cause would still exist.

    Args:
        graph: all assets that share the budget.
        budget: cron schedule (UTC). Changes wait for its next tick; the graph is requested once for all of them.
    """
    c = dg.AutomationCondition
    handled = c.newly_requested() | c.newly_updated()
    # Unlike Dagster's eager(), also true for assets that were missing when the sensor was started.
    changed = (c.any_deps_updated() | c.code_version_changed() | c.newly_missing()).since(handled)
    return (
        changed.with_label("changed since it was last made")
        & _within_budget(graph, budget)
        & _idle(graph)
        & ~c.any_deps_missing().with_label("any dependency missing")
    )


def _within_budget(graph: Sequence[dg.AssetKey], budget: str) -> Condition:
    """A tick of the budget has passed since an asset of the graph was last requested."""
    c = dg.AutomationCondition
    ticked = c.cron_tick_passed(budget).since(c.newly_requested())
    return _all([c.asset_matches(key, ticked) for key in graph], f"within the budget of {budget}")


def _idle(graph: Sequence[dg.AssetKey]) -> Condition:
    """No asset of the graph is being materialized."""
    c = dg.AutomationCondition
    return _all([~c.asset_matches(key, c.in_progress()) for key in graph], "nothing is running")


def _all(conditions: Sequence[Condition], label: str) -> Condition:
    combined: Any = reduce(and_, conditions)
    labelled: Condition = combined.with_label(label)
    return labelled
