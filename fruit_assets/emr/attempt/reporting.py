"""What people see of a remote step: links, cost, log tails.

Put here what is added to Dagster's events when they are relayed. Relaying them is `step_attempt.py`.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, cast

import dagster as dg

from fruit_assets.emr.attempt.monitor import StepMonitor
from fruit_assets.emr.compute import Compute, StepStatus
from fruit_assets.emr.cost import Cost, StepCost, load_prices, total_usd
from fruit_assets.emr.dagster_internals import (
    StepFailureData,
    StepMaterializationData,
    UserFailureData,
    normalize_metadata,
)
from fruit_assets.emr.errors import ActionableError
from fruit_assets.emr.protocol.attempt import Attempt
from fruit_assets.emr.staging import StagingStore

_TAIL = 4000  # characters of a log shown in a failure


class StepReport:
    """Metadata about one attempt, collected while it runs.

    Args:
        compute: where it runs.
        step_id: EMR's id of the step.
        run_objects: objects of the whole run, where every attempt stores its cost.
        prices: path of a price table that overrides the package's.
    """

    def __init__(self, compute: Compute, step_id: str, run_objects: StagingStore, prices: str | None) -> None:
        self._compute = compute
        self._step_id = step_id
        self._run_objects = run_objects
        self._prices = prices
        self._started: datetime | None = None

    @property
    def target_key(self) -> str:
        """Metadata key of the target: `emr/cluster` or `emr/application`."""
        return f"emr/{self._compute.kind}"

    def place(self) -> dict[str, Any]:
        """Where the step runs, as metadata."""
        links = {
            f"emr/{title.replace(' ', '_')}": dg.MetadataValue.url(address) if address.startswith("http") else address
            for title, address in self._compute.links(self._step_id).items()
        }
        return {self.target_key: self._compute.target_id, "emr/step": self._step_id, **links}

    def with_metadata(self, entry: dg.EventLogEntry, status: StepStatus | None) -> dg.EventLogEntry:
        """A materialization with the step's links and cost added; any other event unchanged."""
        self._note_start(status)
        event = entry.dagster_event
        if event is None or event.event_type != dg.DagsterEventType.ASSET_MATERIALIZATION:
            return entry
        data = cast("StepMaterializationData", event.event_specific_data)
        old = data.materialization.metadata
        extra = normalize_metadata(cast("Any", {**self.place(), **self._cost_metadata(old)}))
        materialization = data.materialization._replace(metadata={**extra, **old})
        return entry._replace(
            dagster_event=event._replace(event_specific_data=data._replace(materialization=materialization))
        )

    def with_failure_metadata(self, entry: dg.EventLogEntry, monitor: StepMonitor) -> dg.EventLogEntry:
        """The step's own failure event, with the step's links and the tail of its stderr."""
        event = entry.dagster_event
        if event is None or not isinstance(event.event_specific_data, StepFailureData):
            return entry
        data = event.event_specific_data
        user = data.user_failure_data or UserFailureData._make(("emr-step", None, {}))
        metadata = normalize_metadata(cast("Any", {**self.place(), **_tails({"stderr": monitor.stderr.tail})}))
        richer = user._replace(metadata={**metadata, **(user.metadata or {})})
        changed = data._replace(user_failure_data=richer)
        return entry._replace(dagster_event=event._replace(event_specific_data=changed))

    def failure_metadata(self, monitor: StepMonitor, tails: Mapping[str, str]) -> dict[str, Any]:
        """EMR's state, details and log tails of a step that sent no failure event."""
        status = monitor.status
        details: dict[str, Any] = {"emr/state": status.state} if status else {}
        if status and status.failure:
            details["emr/failure_details"] = status.failure
        if status and status.log_file:
            details["emr/log_file"] = status.log_file
        if status and status.applications:
            details["emr/applications"] = ", ".join(status.applications)
        streams = {"stdout": monitor.stdout.tail, "stderr": monitor.stderr.tail}
        return {**self.place(), **details, **_tails({**streams, **tails})}

    def cost(self, *, has_ended: bool = False) -> Cost | None:
        """The step's cost since it started; None when it is unknown."""
        if self._started is None:
            return None
        try:
            return self._compute.cost(
                self._step_id, self._started, datetime.now(UTC), load_prices(self._prices), has_ended=has_ended
            )
        except ActionableError:
            return None  # a missing estimate must not fail the step: a role may lack ListInstances

    def record_cost(self, attempt: Attempt, status: StepStatus | None) -> dict[str, Any]:
        """Store this attempt's cost; returns it and the run's total, as metadata."""
        self._note_start(status)
        cost = self.cost(has_ended=True)
        if cost is None or self._started is None:
            return {}
        step_cost = StepCost(cost.payer, self._started.timestamp(), datetime.now(UTC).timestamp(), cost.usd)
        try:
            self._run_objects.put(f"costs/{attempt.label}.json", json.dumps(vars(step_cost)).encode())
            stored = [self._run_objects.get(name) for name in self._run_objects.list_keys("costs/")]
            run = total_usd(StepCost(**json.loads(item.body)) for item in stored if item is not None)
        except (ActionableError, ValueError, KeyError, TypeError):
            run = cost.usd
        return {**_cost_entries(cost), "emr/run_cost_usd": round(run, 4)}

    def _note_start(self, status: StepStatus | None) -> None:
        """Note the start that EMR reports, or until then the time of the first event."""
        if status is not None and status.started:
            self._started = datetime.fromisoformat(status.started)
        self._started = self._started or datetime.now(UTC)

    def _cost_metadata(self, metadata: Mapping[str, Any]) -> dict[str, Any]:
        cost = self.cost()
        if cost is None:
            return {}
        entries = _cost_entries(cost)
        rows = getattr(metadata.get("dagster/row_count"), "value", None)
        if isinstance(rows, int) and cost.usd >= 0.0001:
            entries["emr/rows_per_usd"] = round(rows / cost.usd)
        return entries


def _cost_entries(cost: Cost) -> dict[str, Any]:
    entries: dict[str, Any] = {
        "emr/cost_usd": round(cost.usd, 4),
        f"emr/{cost.unit}": {name: round(quantity, 4) for name, quantity in sorted(cost.usage.items())},
        "emr/prices_of": cost.prices_of,
    }
    if cost.unpriced:
        entries["emr/unpriced"] = ", ".join(cost.unpriced)
    return entries


def _tails(texts: Mapping[str, str]) -> dict[str, Any]:
    return {
        f"emr/{name}": dg.MetadataValue.md(f"```\n{text[-_TAIL:]}\n```") for name, text in texts.items() if text.strip()
    }
