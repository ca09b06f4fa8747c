"""What people are told about a step on EMR: links, cost, the ends of its logs.

Put here what is added to Dagster's events on their way through. Which events there are is decided
by the step itself.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, cast

import dagster as dg
from dagster._core.definitions.metadata import normalize_metadata
from dagster._core.events import DagsterEventType, StepMaterializationData
from dagster._core.events.log import EventLogEntry
from dagster._core.execution.plan.objects import StepFailureData, UserFailureData

from fruit_assets.emr.compute import Compute, StepStatus
from fruit_assets.emr.cost import Cost, RunningInstance, StepCost, cost_between, load_prices, spent_together
from fruit_assets.emr.monitor import Watch
from fruit_assets.emr.staging import StagingStore
from fruit_assets.emr.step_request import Attempt
from fruit_assets.errors import FruitAssetsError

_TAIL = 4000  # characters of a log shown in a failure


class StepReport:
    """Facts about one attempt, gathered while it runs.

    Args:
        compute: where it runs.
        step_id: EMR's id of the step.
        run_objects: objects of the whole run; every attempt leaves its cost there.
        prices: path of a price table that overrides ours.
    """

    def __init__(self, compute: Compute, step_id: str, run_objects: StagingStore, prices: str | None) -> None:
        self._compute = compute
        self._step_id = step_id
        self._run_objects = run_objects
        self._prices = prices
        self._began: datetime | None = None
        self._instances: list[RunningInstance] | None = None

    def place(self) -> dict[str, Any]:
        """Where the step is to be found, as metadata."""
        links = {
            f"emr/{title.replace(' ', '_')}": dg.MetadataValue.url(address) if address.startswith("http") else address
            for title, address in self._compute.links(self._step_id).items()
        }
        return {"emr/cluster": self._compute.target_id, "emr/step": self._step_id, **links}

    def with_metadata(self, entry: EventLogEntry, status: StepStatus | None) -> EventLogEntry:
        """The event with what only this side knows, where people look for it."""
        self._note_start(status)
        event = entry.dagster_event
        if event is None or event.event_type != DagsterEventType.ASSET_MATERIALIZATION:
            return entry
        data = cast("StepMaterializationData", event.event_specific_data)
        old = data.materialization.metadata
        extra = normalize_metadata(cast("Any", {**self.place(), **self._cost_metadata(old)}))
        materialization = data.materialization._replace(metadata={**extra, **old})
        return entry._replace(
            dagster_event=event._replace(event_specific_data=data._replace(materialization=materialization))
        )

    def failed(self, entry: EventLogEntry, watch: Watch) -> EventLogEntry:
        """The step's own failure event, with the place and the end of its stderr."""
        event = entry.dagster_event
        if event is None or not isinstance(event.event_specific_data, StepFailureData):
            return entry
        data = event.event_specific_data
        user = data.user_failure_data or UserFailureData._make(("emr-step", None, {}))
        metadata = normalize_metadata(cast("Any", {**self.place(), **_tails({"stderr": watch.stderr.tail})}))
        richer = user._replace(metadata={**metadata, **(user.metadata or {})})
        changed = data._replace(user_failure_data=richer)
        return entry._replace(dagster_event=event._replace(event_specific_data=changed))

    def failure_metadata(self, watch: Watch, tails: Mapping[str, str]) -> dict[str, Any]:
        """What is known about a step that could not speak for itself."""
        status = watch.status
        said: dict[str, Any] = {"emr/state": status.state} if status else {}
        if status and status.failure:
            said["emr/failure_details"] = status.failure
        if status and status.log_file:
            said["emr/log_file"] = status.log_file
        if status and status.applications:
            said["emr/applications"] = ", ".join(status.applications)
        streams = {"stdout": watch.stdout.tail, "stderr": watch.stderr.tail}
        return {**self.place(), **said, **_tails({**streams, **tails})}

    def cost(self) -> Cost | None:
        """What the cluster has cost since the step began; None where that cannot be known."""
        if self._began is None:
            return None
        try:
            if self._instances is None:
                self._instances = self._compute.instances()
            return cost_between(self._began, datetime.now(UTC), self._instances, load_prices(self._prices))
        except FruitAssetsError:
            return None  # an estimate is not worth a failed step: a role may lack ListInstances

    def record_cost(self, attempt: Attempt, status: StepStatus | None) -> dict[str, Any]:
        """Write this attempt's cost beside the others of the run; returns both, as metadata."""
        self._note_start(status)
        cost = self.cost()
        if cost is None or self._began is None:
            return {}
        spent = StepCost(self._compute.target_id, self._began.timestamp(), datetime.now(UTC).timestamp(), cost.usd)
        try:
            self._run_objects.put(f"costs/{attempt.label}.json", json.dumps(vars(spent)).encode())
            stored = [self._run_objects.get(name) for name in self._run_objects.names("costs/")]
            run = spent_together(StepCost(**json.loads(item.body)) for item in stored if item is not None)
        except (FruitAssetsError, ValueError, KeyError, TypeError):
            run = cost.usd
        return {**_cost_entries(cost), "emr/run_cost_usd": round(run, 4)}

    def _note_start(self, status: StepStatus | None) -> None:
        """EMR knows best when the step began; until it has said so, the first event tells."""
        if status is not None and status.started:
            self._began = datetime.fromisoformat(status.started)
        self._began = self._began or datetime.now(UTC)

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
        "emr/instance_hours": {kind: round(hours, 4) for kind, hours in sorted(cost.hours.items())},
        "emr/prices_of": cost.prices_of,
    }
    if cost.unpriced:
        entries["emr/unpriced"] = ", ".join(cost.unpriced)
    return entries


def _tails(texts: Mapping[str, str]) -> dict[str, Any]:
    return {
        f"emr/{name}": dg.MetadataValue.md(f"```\n{text[-_TAIL:]}\n```") for name, text in texts.items() if text.strip()
    }
