"""Times and figures of a finished run, from the event log of its DAGSTER_HOME.

Put here reading from Dagster. Running the job belongs in `whole_job.py`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_PHASE = "seconds/"


@dataclass(frozen=True)
class Step:
    """One step of a run; times in seconds since the epoch."""

    key: str
    started: float
    ended: float

    @property
    def seconds(self) -> float:
        return self.ended - self.started


@dataclass(frozen=True)
class RunLog:
    """A finished run.

    Attributes:
        started: when its first step could begin, seconds since the epoch.
        ended: when it succeeded.
        steps: in the order they began.
        metadata: asset -> plain values of its materialization's metadata.
    """

    started: float
    ended: float
    steps: Sequence[Step]
    metadata: Mapping[str, Mapping[str, Any]]

    def phases(self, asset: str) -> dict[str, float]:
        """Seconds of the named parts of an asset's step."""
        values = self.metadata.get(asset, {}).items()
        return {key.removeprefix(_PHASE): float(value) for key, value in values if key.startswith(_PHASE)}


def read_run_log(home: Path) -> RunLog:
    """The newest run of a DAGSTER_HOME."""
    import dagster as dg

    with dg.DagsterInstance.from_config(str(home)) as instance:
        run = instance.get_runs(limit=1)[0]
        entries = [entry for entry in instance.all_logs(run.run_id) if entry.dagster_event is not None]
    times: dict[str, dict[str, float]] = {}
    metadata: dict[str, dict[str, Any]] = {}
    run_times: dict[str, float] = {}
    for entry in entries:
        event = entry.get_dagster_event()
        kind = event.event_type_value
        if entry.step_key and kind in ("STEP_START", "STEP_SUCCESS"):
            times.setdefault(entry.step_key, {})[kind] = entry.timestamp
        elif kind == "ASSET_MATERIALIZATION":
            seen = event.step_materialization_data.materialization
            metadata[seen.asset_key.to_user_string()] = {key: item.value for key, item in seen.metadata.items()}
        elif kind in ("RUN_START", "PIPELINE_START", "RUN_SUCCESS", "PIPELINE_SUCCESS"):
            run_times[kind.rpartition("_")[2]] = entry.timestamp
    steps = [Step(key, seen["STEP_START"], seen["STEP_SUCCESS"]) for key, seen in times.items()]
    return RunLog(run_times["START"], run_times["SUCCESS"], sorted(steps, key=lambda step: step.started), metadata)
