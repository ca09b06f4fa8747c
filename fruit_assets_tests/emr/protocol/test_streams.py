"""Numbered objects: read once, in order, healed when a read was torn, given up when an object is damaged."""

import time

import pytest
from dagster import EventLogEntry

from fruit_assets.emr.protocol import streams
from fruit_assets.emr.protocol.messages import CorruptMessageError, FinalMessage, encode_batch
from fruit_assets.emr.protocol.streams import EventReader, EventWriter, OutputReader, event_name, output_name
from fruit_assets.emr.staging import StagingStore
from fruit_assets_tests.emr.conftest import eventually
from fruit_assets_tests.emr_simulator import EmrSimulator


def event(number: int) -> EventLogEntry:
    return EventLogEntry(None, 20, f"event {number}", "run", float(number), "step", "job", None)


def test_what_is_written_is_read_once_and_in_order(
    emr: EmrSimulator, staging: StagingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "BATCH_SECONDS", 60.0)  # on a busy machine the burst takes seconds
    writer = EventWriter(staging)
    for number in range(50):
        writer.put(event(number))
        time.sleep(0.01)
    writer.close(FinalMessage("succeeded"))
    reader = EventReader(staging, "run", "step")
    assert [entry.user_message for entry in reader.poll()] == [f"event {number}" for number in range(50)]
    assert reader.end == FinalMessage("succeeded")
    reads = [call for call in emr.calls("GetObject") if staging.uri.rpartition("/")[2] in str(call.params)]
    assert len(reads) == len(list(staging.list_keys("events/"))), "each object once"
    assert len(reads) < 10, "a burst is a few objects, not fifty"


def test_a_single_event_does_not_wait_for_more(staging: StagingStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "BATCH_SECONDS", 3600.0)
    writer = EventWriter(staging)
    writer.put(event(1))
    eventually(lambda: list(staging.list_keys("events/")))  # with no other event to come, and the writer open
    assert [entry.user_message for entry in EventReader(staging, "run", "step").poll()] == ["event 1"]
    writer.close(FinalMessage("succeeded"))


def test_a_broken_read_is_repeated(emr: EmrSimulator, staging: StagingStore) -> None:
    staging.put(event_name(1), encode_batch(1, [event(1)], FinalMessage("succeeded")))
    emr.faults.truncate_object(event_name(1))
    reader = EventReader(staging, "run", "step")
    assert list(reader.poll()) == []
    assert len(list(reader.poll())) == 1


def test_an_object_that_stays_damaged_is_named_in_an_error(
    staging: StagingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "REREAD_SECONDS", 0.0)
    staging.put(event_name(1), encode_batch(1, [event(1)])[:-20])
    with pytest.raises(CorruptMessageError, match=r"events/000001.json is damaged"):
        list(EventReader(staging, "run", "step").poll())


def test_a_missing_number_is_waited_for(staging: StagingStore) -> None:
    staging.put(event_name(2), encode_batch(2, [event(2)]))
    reader = EventReader(staging, "run", "step")
    assert list(reader.poll()) == []
    staging.put(event_name(1), encode_batch(1, [event(1)]))
    assert [entry.user_message for entry in reader.poll()] == ["event 1", "event 2"]


def test_output_is_read_once_and_its_tail_kept(staging: StagingStore) -> None:
    reader = OutputReader(staging, "stdout", kept=8)
    staging.put(output_name("stdout", 1), "één ".encode())
    assert reader.poll() == "één "
    assert reader.poll() == ""
    staging.put(output_name("stdout", 2), b"twee drie")
    assert reader.poll() == "twee drie"
    assert reader.tail == "wee drie"
