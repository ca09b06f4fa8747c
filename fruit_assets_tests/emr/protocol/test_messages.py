"""Messages: everything that a step can send arrives unchanged, and everything else is refused."""

import contextlib
import json
import pickle
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster import EventLogEntry
from hypothesis import given
from hypothesis import strategies as st

from fruit_assets.emr.dagster_internals import ModuleCodePointer, ReconstructableRepository, pack_value
from fruit_assets.emr.protocol.messages import (
    EVENT_CLASSES,
    REQUEST_CLASSES,
    CorruptMessageError,
    FinalMessage,
    InvalidMessageError,
    decode,
    decode_batch,
    encode,
    encode_batch,
    unpack,
)


@dg.asset(
    metadata={"dagster/column_schema": dg.TableSchema(columns=[dg.TableColumn("path", "string")])},
    check_specs=[dg.AssetCheckSpec("ripe", asset="every_event")],
    retry_policy=dg.RetryPolicy(max_retries=0),
)
def every_event(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    """Emits events and metadata of every kind."""
    context.log.warning("a warning")
    context.log_event(dg.AssetObservation("elsewhere", metadata={"n": 1}))
    lineage = dg.TableColumnLineage({"path": [dg.TableColumnDep(dg.AssetKey("up"), "key")]})
    metadata: dict[str, Any] = {
        "dagster/row_count": 3,
        "dagster/column_lineage": lineage,
        "share": 0.5,
        "yes": True,
        "nothing": None,
        "words": "text",
        "picture": dg.MetadataValue.md("![x](data:image/svg+xml;base64,xx)"),
        "where": dg.MetadataValue.path("/tmp/x"),
        "link": dg.MetadataValue.url("https://example.com"),
        "facts": {"a": [1, None, {"b": "ü"}]},
        "when": dg.MetadataValue.timestamp(1.0),
        "table": dg.MetadataValue.table([dg.TableRecord({"a": 1})]),
        "asset": dg.MetadataValue.asset(dg.AssetKey("x")),
        "run": dg.MetadataValue.dagster_run("x"),
        "job": dg.MetadataValue.job("x", "y"),
        "notebook": dg.MetadataValue.notebook("x.ipynb"),
    }
    check = dg.AssetCheckResult(passed=False, severity=dg.AssetCheckSeverity.WARN, metadata={"seen": 2})
    return dg.MaterializeResult(metadata=metadata, check_results=[check], data_version=dg.DataVersion("7"))


@dg.asset(deps=[every_event])
def failing() -> None:
    try:
        raise ValueError("inner")
    except ValueError as error:
        raise dg.Failure("outer", metadata={"n": 1}) from error


@pytest.fixture(scope="module")
def recorded() -> list[EventLogEntry]:
    """All events of the two steps, as an instance stores them."""
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize([every_event, failing], instance=instance, raise_on_error=False)
        return [entry for entry in instance.all_logs(result.run_id) if entry.step_key is not None]


def batch_of(entries: list[EventLogEntry], step: str) -> list[EventLogEntry]:
    planned = ("ASSET_MATERIALIZATION_PLANNED", "ASSET_CHECK_EVALUATION_PLANNED")
    return [
        entry
        for entry in entries
        if entry.step_key == step
        and (entry.dagster_event is None or entry.dagster_event.event_type_value not in planned)
    ]


@pytest.mark.parametrize("step", ["every_event", "failing"])
def test_every_event_of_a_step_arrives_unchanged(recorded: list[EventLogEntry], step: str) -> None:
    sent = batch_of(recorded, step)
    received = decode_batch(encode_batch(4, sent), 4, run_id=sent[0].run_id, step_key=step)
    assert list(received.events) == sent
    assert len(sent) >= 2


def test_the_final_message_arrives() -> None:
    end = FinalMessage("refused", "Version skew: ü", permanent=True)
    assert decode_batch(encode_batch(1, [], end), 1, run_id="r", step_key="s").end == end


class Bomb:
    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> Any:
        return (Path.touch, (self._path,))


def test_a_malicious_pickle_is_not_executed(tmp_path: Path) -> None:
    bomb = pickle.dumps(Bomb(tmp_path / "exploded"))
    with pytest.raises(CorruptMessageError):
        decode_batch(bomb, 1, run_id="r", step_key="s")
    assert not (tmp_path / "exploded").exists()
    pickle.loads(bomb)
    assert (tmp_path / "exploded").exists(), "the bomb is a real one"


def forged(packed: object, sequence: int = 1) -> bytes:
    return encode({"format": 1, "sequence": sequence, "events": [packed], "end": None})


def test_a_serdes_payload_that_points_to_code_is_refused_before_it_is_built(recorded: list[EventLogEntry]) -> None:
    pointer = pack_value(ReconstructableRepository(ModuleCodePointer("os", "getcwd", None)))
    entry = dict(pack_value(batch_of(recorded, "every_event")[0]))
    for payload in (pointer, {**entry, "error_info": pointer}, {**entry, "user_message": {"a": [pointer]}}):
        with pytest.raises(InvalidMessageError, match=r"ModuleCodePointer|ReconstructableRepository"):
            decode_batch(forged(payload), 1, run_id=entry["run_id"], step_key="every_event")


def test_classes_that_load_code_are_in_no_list_of_events() -> None:
    assert not [name for name in EVENT_CLASSES if "Pointer" in name or "Reconstructable" in name or "Origin" in name]
    assert not [
        name for name in REQUEST_CLASSES if name in ("CustomPointer", "FileCodePointer", "ConfigurableClassData")
    ]


@pytest.mark.parametrize(
    "payload", [None, 7, "x", [], {}, {"__class__": "EventLogEntry"}, {"__class__": "AssetKey", "path": 3}]
)
def test_other_shapes_are_refused(payload: object) -> None:
    with pytest.raises(InvalidMessageError):
        decode_batch(forged(payload), 1, run_id="r", step_key="s")


def test_a_step_cannot_end_the_run_or_send_events_of_another_step(recorded: list[EventLogEntry]) -> None:
    entry = batch_of(recorded, "every_event")[-1]
    assert entry.dagster_event is not None
    run_failure = entry._replace(dagster_event=entry.dagster_event._replace(event_type_value="PIPELINE_FAILURE"))
    with pytest.raises(InvalidMessageError, match="only the orchestrator may"):
        decode_batch(encode_batch(1, [run_failure]), 1, run_id=entry.run_id, step_key="every_event")
    with pytest.raises(InvalidMessageError, match="Step 'failing' sent an event of run"):
        decode_batch(encode_batch(1, [entry]), 1, run_id=entry.run_id, step_key="failing")
    with pytest.raises(InvalidMessageError, match="sent an event of run"):
        decode_batch(encode_batch(1, [entry]), 1, run_id="another", step_key="every_event")


def test_every_truncation_is_detected(recorded: list[EventLogEntry]) -> None:
    sent = batch_of(recorded, "every_event")
    raw = encode_batch(1, sent)
    for length in range(0, len(raw), max(1, len(raw) // 200)):
        with pytest.raises(CorruptMessageError):
            decode_batch(raw[:length], 1, run_id=sent[0].run_id, step_key="every_event")


def test_an_object_under_another_number_is_refused() -> None:
    with pytest.raises(CorruptMessageError, match="carries the number 2"):
        decode_batch(encode_batch(2, []), 3, run_id="r", step_key="s")


@given(position=st.integers(0, 10_000), byte=st.integers(0, 255))
def test_no_flipped_byte_changes_what_is_read(position: int, byte: int) -> None:
    body = {"format": 1, "text": "é" * 20, "number": 1.5}
    raw = bytearray(encode(body))
    raw[position % len(raw)] = byte
    with contextlib.suppress(CorruptMessageError):
        assert decode(bytes(raw)) == body


@given(st.binary(max_size=300))
def test_arbitrary_bytes_raise_no_unexpected_error(raw: bytes) -> None:
    with pytest.raises((CorruptMessageError, InvalidMessageError)):
        decode_batch(raw, 1, run_id="r", step_key="s")


def test_deep_nesting_is_reported_as_a_corrupt_message() -> None:
    deep = b'{"sha256":"","body":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    with pytest.raises(CorruptMessageError):
        decode(deep)


def test_a_value_of_another_class_is_refused() -> None:
    with pytest.raises(InvalidMessageError, match="does not hold a EventLogEntry"):
        unpack(pack_value(dg.AssetKey("x")), EventLogEntry, EVENT_CLASSES)


def test_messages_are_plain_json() -> None:
    assert json.loads(encode_batch(1, []))["body"]["events"] == []
