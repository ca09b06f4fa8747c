"""Waiting for a step: EMR's silence is borne for a while, and not for ever."""

import pytest

from fruit_assets.emr.attempt import monitor as monitor_module
from fruit_assets.emr.attempt.monitor import StepMonitor
from fruit_assets.emr.attempt.status_cache import StepStatusCache
from fruit_assets.emr.compute import StepStatus
from fruit_assets.emr.ec2.compute import EmrOnEc2
from fruit_assets.emr.protocol.streams import EventReader, OutputReader
from fruit_assets.emr.staging import StagingStore
from fruit_assets.errors import TransientError


class SilentBoard(StepStatusCache):
    """EMR throttles every question but the last one."""

    def __init__(self, questions: int) -> None:
        self.left = questions

    def status(self, step_id: str) -> StepStatus | None:
        self.left -= 1
        if self.left > 0:
            raise TransientError("AWS throttled the call")
        return StepStatus(step_id, "CANCELLED", "cancelled")


def watch(staging: StagingStore, board: StepStatusCache) -> StepMonitor:
    outputs = [OutputReader(staging, name) for name in ("stdout", "stderr")]
    return StepMonitor(EmrOnEc2("j-1"), board, EventReader(staging, "run", "step"), *outputs, "s-1", None)


def test_a_step_survives_an_outage_of_emrs_api(staging: StagingStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(monitor_module, "LISTEN_SECONDS", 0.01)
    monkeypatch.setattr(monitor_module, "DRAIN_SECONDS", {"cancelled": 0.0})
    waiting = watch(staging, SilentBoard(5))
    assert list(waiting.events()) == []
    assert waiting.status == StepStatus("s-1", "CANCELLED", "cancelled")


def test_a_step_without_events_fails_when_emr_does_not_answer_either(
    staging: StagingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(monitor_module, "LISTEN_SECONDS", 0.01)
    monkeypatch.setattr(monitor_module, "UNANSWERED_SECONDS", 0.05)
    with pytest.raises(TransientError, match="throttled"):
        list(watch(staging, SilentBoard(10_000)).events())
