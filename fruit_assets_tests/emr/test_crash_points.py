"""Where the orchestrator can be struck, and by what: afterwards nothing runs, and a new run succeeds."""

import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from fruit_assets.emr.staging import StagingStore
from fruit_assets_tests.emr.conftest import BUCKET, TinyLocation, eventually, tiny_location_on
from fruit_assets_tests.emr_simulator import EmrSimulator

pytestmark = pytest.mark.long(130)

Point = Callable[[TinyLocation], bool]


def asked_to_submit(tiny: TinyLocation) -> bool:
    calls = tiny.emr.calls(tiny.target.submits)
    return any(tiny.target.id in (call.params.get("JobFlowId"), call.params.get("applicationId")) for call in calls)


def submitted(tiny: TinyLocation) -> bool:
    return len(tiny.step_ids) == 1


def running(tiny: TinyLocation) -> bool:
    return (tiny.folder / "starts").exists()


def published(tiny: TinyLocation) -> bool:
    return (tiny.folder / "published").exists()


@pytest.fixture
def pair(
    kind: str, emr: EmrSimulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[dict[signal.Signals, TinyLocation]]:
    """Two locations, one for each signal, that are struck at the same time."""
    with ExitStack() as stack:
        places = {}
        for how in (signal.SIGTERM, signal.SIGKILL):
            folder = tmp_path / how.name
            folder.mkdir()
            staging = StagingStore(f"s3://{BUCKET}/{request.node.name}/{how.name}")
            places[how] = stack.enter_context(tiny_location_on(emr, staging, folder, monkeypatch, kind))
        yield places


@pytest.mark.parametrize(
    ("point", "does"),
    [(asked_to_submit, "succeed"), (submitted, "sleep"), (running, "sleep"), (published, "wait-after-publish")],
    ids=["before-submit", "after-submit", "mid-run", "after-publish-before-success"],
)
def test_after_a_crash_nothing_is_left_running_and_a_new_run_succeeds(
    pair: dict[signal.Signals, TinyLocation], point: Point, does: str
) -> None:
    if point is asked_to_submit:
        pair[signal.SIGTERM].emr.faults.throttle(pair[signal.SIGTERM].target.submits, times=1000)
    processes: dict[signal.Signals, subprocess.Popen[bytes]] = {}
    for how, tiny in pair.items():
        tiny.configure(heartbeat_seconds=1.0)
        processes[how] = tiny.start(does)
    for how, tiny in pair.items():
        eventually(lambda tiny=tiny: point(tiny))
        processes[how].send_signal(how)
    for how, tiny in pair.items():
        assert processes[how].wait() != 0
        eventually(lambda tiny=tiny: not {"PENDING", "RUNNING", "CANCEL_PENDING"} & set(tiny.states))
    pair[signal.SIGTERM].emr.faults._orders.clear()
    for tiny in pair.values():
        (tiny.folder / "starts").unlink(missing_ok=True)
        outcome = tiny.run()
        assert outcome.success
        assert outcome.count("ASSET_MATERIALIZATION") == 1
        assert (tiny.folder / "published").read_text() == "complete"
        assert list(tiny.folder.glob("*.part")) == []
        assert len((tiny.folder / "starts").read_text().splitlines()) == 1
