"""Waiting for a step: EMR's silence is borne for a while, and not for ever."""

import pytest

from fruit_assets.emr import monitor as watching
from fruit_assets.emr.compute import StepStatus
from fruit_assets.emr.ec2 import EmrOnEc2
from fruit_assets.emr.monitor import Watch
from fruit_assets.emr.staging import StagingStore
from fruit_assets.emr.status_cache import StepStatusCache
from fruit_assets.emr.streams import EventReader, OutputReader
from fruit_assets.errors import TransientError


class SilentBoard(StepStatusCache):
    """EMR throttles every question but the last one."""

    def __init__(self, questions: int) -> None:
        self.left = questions

    def status(self, step_id: str) -> StepStatus | None:
        self.left -= 1
        if self.left > 0:
            raise TransientError("AWS throttled the call")
        return StepStatus(step_id, "CANCELLED")


def watch(staging: StagingStore, board: StepStatusCache) -> Watch:
    outputs = [OutputReader(staging, name) for name in ("stdout", "stderr")]
    return Watch(EmrOnEc2("j-1"), board, EventReader(staging, "run", "step"), *outputs, "s-1", None)


def test_a_step_outlives_a_time_in_which_emr_answers_nothing(
    staging: StagingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "LISTEN_SECONDS", 0.01)
    monkeypatch.setattr(watching, "DRAIN_SECONDS", {"CANCELLED": 0.0})
    waiting = watch(staging, SilentBoard(5))
    assert list(waiting.events()) == []
    assert waiting.status == StepStatus("s-1", "CANCELLED")


def test_a_step_that_says_nothing_is_given_up_when_emr_stays_silent_too(
    staging: StagingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "LISTEN_SECONDS", 0.01)
    monkeypatch.setattr(watching, "UNANSWERED_SECONDS", 0.05)
    with pytest.raises(TransientError, match="throttled"):
        list(watch(staging, SilentBoard(10_000)).events())
