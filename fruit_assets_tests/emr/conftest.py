"""Fixtures of the step launcher's tests: a light EMR, a cluster on it, and the tiny code location."""

import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from fruit_assets.emr.dagster_internals import ReconstructableJob
from fruit_assets.emr.staging import StagingStore
from fruit_assets_tests.emr.targets import BUCKET, TARGETS, Target, is_final, start_cluster
from fruit_assets_tests.emr_simulator import EmrSimulator

__all__ = ["BUCKET", "start_cluster"]

HERE = Path(__file__).parent
# Seconds that a subject goes on for when no test ends it.
PATIENT = 600.0

# Dagster copies what a run prints through a `tail` that it ends with the run: the last lines can be lost.
_INSTANCE = """
telemetry:
  enabled: false
compute_logs:
  module: dagster._core.storage.noop_compute_log_manager
  class: NoOpComputeLogManager
"""


@pytest.fixture(scope="session")
def light_emr(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmrSimulator]:
    """One EMR with plain Python steps for many tests; each makes its own cluster and staging prefix."""
    with EmrSimulator(tmp_path_factory.mktemp("light_emr"), runner="python") as simulator:
        simulator.create_bucket(BUCKET)
        yield simulator


@pytest.fixture
def emr(light_emr: EmrSimulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[EmrSimulator]:
    """The light EMR, with this process's environment pointing to it."""
    for name, value in light_emr.environment().items():
        monkeypatch.setenv(name, value)
    yield light_emr
    light_emr.faults._orders.clear()  # what one test ordered and did not use must not hit the next


@pytest.fixture
def staging(emr: EmrSimulator) -> StagingStore:
    """A staging prefix of its own."""
    return StagingStore(f"s3://{BUCKET}/{uuid.uuid4().hex}")


@pytest.fixture(scope="session", params=list(TARGETS))
def kind(request: pytest.FixtureRequest) -> str:
    """What the launcher runs steps on; every test that asks for it, or for `tiny`, runs on both."""
    return str(request.param)


@dataclass
class Outcome:
    """A finished run as its instance remembers it."""

    success: bool
    run: dg.DagsterRun
    entries: list[Any]

    def events(self, kind: str, step: str = "subject") -> list[Any]:
        found = [entry.dagster_event for entry in self.entries if entry.dagster_event]
        return [event for event in found if event.event_type_value == kind and event.step_key == step]

    def count(self, kind: str) -> int:
        return len(self.events(kind))

    @property
    def messages(self) -> str:
        """Messages of context.log, one a line."""
        return "\n".join(entry.user_message or "" for entry in self.entries if not entry.dagster_event)

    @property
    def failure(self) -> Any:
        """The step's failure: `error`, `user_failure_data`."""
        (event,) = self.events("STEP_FAILURE")
        return event.event_specific_data

    @property
    def failure_text(self) -> str:
        return f"{self.failure.error.to_string()}\n{self.failure.user_failure_data}"

    @property
    def materialization(self) -> dict[str, Any]:
        (event,) = self.events("ASSET_MATERIALIZATION")
        return {key: value.value for key, value in event.event_specific_data.materialization.metadata.items()}


@dataclass
class TinyLocation:
    """The tiny code location on a simulated EMR."""

    emr: EmrSimulator
    staging: StagingStore
    folder: Path
    instance: dg.DagsterInstance
    monkeypatch: pytest.MonkeyPatch
    target: Target
    launcher: dict[str, Any] = field(default_factory=dict)

    def configure(self, retries: int = 0, **launcher: Any) -> None:
        """Launcher settings and the asset's retry policy, for this process and those it starts."""
        seen = {"TINY_FOLDER": str(self.folder), "TINY_WORD": "the cluster", "TINY_RETRIES": str(retries)}
        settings = {
            "staging": self.staging.uri,
            "packages": ["tiny_location"],
            **self.target.launcher,
            "environment": seen,
            "poll_seconds": 2.0,
            "heartbeat_seconds": 5.0,
            # Limits of waiting: only what never comes takes so long.
            "cancel_seconds": 60.0,
            "log_wait_seconds": 60.0,
            **launcher,
        }
        self.launcher = settings
        variables = {**seen, "TINY_LAUNCHER": json.dumps(settings), "TINY_WORD": "the orchestrator"}
        for name, value in variables.items():
            self.monkeypatch.setenv(name, value)
        # Dagster keeps the last job it loaded; this one depends on the variables above.
        for function in (ReconstructableJob.get_definition, ReconstructableJob.get_repository_definition):
            function.cache_clear()

    def run(self, does: str = "succeed", seconds: float = PATIENT, job: str = "alone", **settings: Any) -> Outcome:
        """Run a job in this process."""
        import tiny_location

        self.configure(**settings)
        result = dg.execute_job(
            dg.reconstructable(getattr(tiny_location, job)),
            instance=self.instance,
            run_config=self.run_config(does, seconds),
            raise_on_error=False,
        )
        run = self.instance.get_run_by_id(result.run_id)
        assert run is not None
        return Outcome(result.success, run, list(self.instance.all_logs(result.run_id)))

    def start(self, does: str = "succeed", seconds: float = PATIENT) -> "subprocess.Popen[bytes]":
        """Run the job in a process of its own, as `dagster job execute` does."""
        config = self.folder / "run.yaml"
        config.write_text(json.dumps(self.run_config(does, seconds)))
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        (home / "dagster.yaml").write_text(_INSTANCE)
        environment = {
            **os.environ,
            "DAGSTER_HOME": str(home),
            "PYTHONPATH": os.pathsep.join(map(str, [HERE, HERE.parents[1]])),
        }
        command = [
            sys.executable,
            "-m",
            "dagster",
            "job",
            "execute",
            "-m",
            "tiny_location",
            "-a",
            "alone",
            "-c",
            str(config),
        ]
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    @property
    def step_ids(self) -> list[str]:
        return self.target.step_ids

    @property
    def states(self) -> list[str]:
        """In EMR on EC2's words."""
        return self.target.states

    def state(self, step_id: str) -> str:
        return self.states[self.step_ids.index(step_id)]

    def wait_for_end(self, step_id: str) -> str:
        """Wait until a step has ended; its state."""
        self.emr.wait_for(lambda: is_final(self.state(step_id)))
        return self.state(step_id)

    def wait_until_running(self, starts: int = 1) -> str:
        """Wait until the subject runs on the cluster; the step's id."""
        path = self.folder / "starts"
        self.emr.wait_for(lambda: path.exists() and len(path.read_text().splitlines()) >= starts)
        return self.step_ids[-1]

    def is_enough(self) -> None:
        """Let a subject that sleeps go on to its end."""
        (self.folder / "enough").touch()

    def meanwhile(self, act: Callable[[str], None]) -> "Meanwhile":
        """Act on the step once it runs, from another thread."""
        return Meanwhile(self, act)

    @staticmethod
    def run_config(does: str, seconds: float) -> dict[str, Any]:
        return {"ops": {"subject": {"config": {"does": does, "seconds": seconds}}}}


class Meanwhile:
    """A thread that acts once the subject runs; joined, and its error raised, at the end of the block."""

    def __init__(self, tiny: TinyLocation, act: Callable[[str], None]) -> None:
        from concurrent.futures import ThreadPoolExecutor

        self._pool = ThreadPoolExecutor(1)
        self._future = self._pool.submit(lambda: act(tiny.wait_until_running()))

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        self._future.result(600)
        self._pool.shutdown()


@contextmanager
def tiny_location_on(
    emr: EmrSimulator, staging: StagingStore, folder: Path, monkeypatch: pytest.MonkeyPatch, kind: str = "cluster"
) -> Iterator[TinyLocation]:
    """The tiny code location, a target of its own, and an instance to run it on."""
    monkeypatch.syspath_prepend(str(HERE))
    target = TARGETS[kind](emr, staging.bucket)
    with dg.DagsterInstance.ephemeral() as instance:
        location = TinyLocation(emr, staging, folder, instance, monkeypatch, target)
        location.configure()
        yield location
    target.end()


@pytest.fixture
def tiny(
    kind: str, emr: EmrSimulator, staging: StagingStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[TinyLocation]:
    """The tiny code location for one test, on each kind of target."""
    with tiny_location_on(emr, staging, tmp_path, monkeypatch, kind) as location:
        yield location


@pytest.fixture
def cluster_tiny(
    emr: EmrSimulator, staging: StagingStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[TinyLocation]:
    """The tiny code location on a cluster, for what only clusters do."""
    with tiny_location_on(emr, staging, tmp_path, monkeypatch, "cluster") as location:
        yield location


def eventually(condition: Callable[[], object], seconds: float = 300) -> None:
    """Fail the test when the condition stays false."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.05)


def objects_below(place: StagingStore) -> list[tuple[str, bytes]]:
    """Every object under a place, with its content."""
    found = ((name, place.get(name)) for name in place.list_keys())
    return [(name, stored.body) for name, stored in found if stored is not None]
