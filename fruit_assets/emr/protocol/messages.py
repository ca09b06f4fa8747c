"""Messages between orchestrator and node: JSON with a checksum, of known classes only.

Put here how requests and events become bytes and back, and what is refused. Nothing here is ever
unpickled: write access to the staging bucket must not allow code to run in the orchestrator.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, cast, get_args

import dagster as dg

from fruit_assets.emr.dagster_internals import pack_value, unpack_value
from fruit_assets.emr.errors import PermanentError, TransientError

FORMAT = 1
T = TypeVar("T")

_VALUE_CLASSES = {
    "AssetCheckSeverity", "AssetKey", "AssetLineageInfo", "BoolMetadataEntryData", "CodeReferencesMetadataValue",
    "DagsterAssetMetadataEntryData", "DagsterJobMetadataValue", "DagsterPipelineRunMetadataEntryData", "ErrorSource",
    "EventMetadataEntry", "FloatMetadataEntryData", "IntMetadataEntryData", "JsonMetadataEntryData",
    "LocalFileCodeReference", "MarkdownMetadataEntryData", "NotebookMetadataEntryData", "NullMetadataEntryData",
    "ObjectMetadataValue", "PathMetadataEntryData", "PoolMetadataValue", "PythonArtifactMetadataEntryData",
    "ResolvedFromDynamicStepHandle", "SerializableErrorInfo", "SolidHandle", "StepHandle", "StepOutputHandle",
    "TableColumn", "TableColumnConstraints", "TableColumnDep", "TableColumnLineage", "TableColumnLineageMetadataValue",
    "TableConstraints", "TableMetadataEntryData", "TableRecord", "TableSchema", "TableSchemaMetadataEntryData",
    "TextMetadataEntryData", "TimestampMetadataValue", "UrlCodeReference", "UrlMetadataEntryData",
}  # fmt: skip
EVENT_CLASSES = frozenset(_VALUE_CLASSES) | {
    "AssetCheckEvaluation", "AssetCheckEvaluationPlanned", "AssetCheckEvaluationTargetMaterializationData",
    "AssetFailedToMaterializeData", "AssetMaterialization", "AssetMaterializationFailure",
    "AssetMaterializationFailureReason", "AssetMaterializationFailureType", "AssetObservation", "AssetObservationData",
    "ComputeLogsCaptureData", "DagsterEvent", "EngineEventData", "EventLogEntry", "ExpectationResult",
    "HandledOutputData", "LoadedInputData", "Materialization", "ObjectStoreOperationResultData",
    "StepExpectationResultData", "StepFailureData", "StepInputData", "StepMaterializationData", "StepOutputData",
    "StepOutputProperties", "StepRetryData", "StepSuccessData", "TypeCheckData", "UserFailureData",
}  # fmt: skip
REQUEST_CLASSES = EVENT_CLASSES | {
    "AssetCheckHandle", "AssetCheckKey", "AssetsDefinitionCacheableData", "AutoloadDefsModuleCodePointer",
    "DagsterRunStatus", "DefsKeyStateInfo", "DefsStateInfo", "DefsStateManagementType",
    "ExternalDynamicPartitionsDefinitionData", "ExternalMultiPartitionsDefinitionData",
    "ExternalPartitionDimensionDefinition", "ExternalStaticPartitionsDefinitionData",
    "ExternalTimeWindowPartitionsDefinitionData", "KeyRangesPartitionsSubset",
    "KnownExecutionState", "ModuleCodePointer", "PackageCodePointer", "PartitionKeyRange", "PastExecutionState",
    "PipelineRun", "PipelineRunStatus", "ReconstructablePipeline", "ReconstructableRepository", "RepositoryLoadData",
    "RetryMode", "RunOpConcurrency", "SerializableTimeDelta", "TimeWindow", "TimeWindowPartitionsDefinition",
    "TimeWindowPartitionsSubset", "TimestampWithTimezone",
}  # fmt: skip

# Run-level events belong to the orchestrator: a step that could send them could end or rewrite the run.
_FORBIDDEN_EVENTS = ("RUN_", "PIPELINE_", "ALERT_", "ASSET_WIPED", "CODE_LOCATION", "FRESHNESS", "ASSET_HEALTH")

Outcome = Literal["succeeded", "failed", "retry", "refused", "stopped", "crashed"]


class InvalidMessageError(PermanentError):
    """A message holds something that the launcher never sends; the message was not used."""


class CorruptMessageError(TransientError):
    """A message is truncated or altered: its checksum does not match."""


@dataclass(frozen=True)
class FinalMessage:
    """The last message of a remote step: how it ended.

    Attributes:
        outcome: `refused`: not started; `stopped`: cancelled; `crashed`: failed outside the step's own code.
        message: what happened, for a person.
        permanent: a retry cannot help.
    """

    outcome: Outcome
    message: str = ""
    permanent: bool = False


@dataclass(frozen=True)
class Batch:
    """One numbered object of events; `end` is set on the last one."""

    events: tuple[dg.EventLogEntry, ...]
    end: FinalMessage | None = None


def encode_batch(sequence: int, events: list[dg.EventLogEntry], end: FinalMessage | None = None) -> bytes:
    """One numbered object: the events since the previous one, and in the last object the final message."""
    body = {"format": FORMAT, "sequence": sequence, "events": [pack_value(event) for event in events]}
    return encode({**body, "end": None if end is None else vars(end)})


def decode_batch(raw: bytes, sequence: int, *, run_id: str, step_key: str) -> Batch:
    """The events of one object, checked to belong to this run and step.

    Raises:
        CorruptMessageError: truncated, altered, or of another number.
        InvalidMessageError: classes or events that the launcher's steps never send.
    """
    body = decode(raw)
    if body.get("format") != FORMAT:
        raise PermanentError(f"Events of format {body.get('format')!r}: this side reads format {FORMAT}.")
    if body.get("sequence") != sequence:
        raise CorruptMessageError(f"Events object {sequence} carries the number {body.get('sequence')!r}.")
    packed, last = body.get("events"), body.get("end")
    if not isinstance(packed, list):
        raise InvalidMessageError(f"Events object {sequence} holds no list of events.")
    events = tuple(_checked_event(unpack(item, dg.EventLogEntry, EVENT_CLASSES), run_id, step_key) for item in packed)
    return Batch(events, None if last is None else _final_message(last))


def unpack(packed: object, as_type: type[T], allowed: frozenset[str]) -> T:
    """Dagster's own unpacking, once every class named anywhere inside was found in `allowed`."""
    unknown = sorted(set(_named_classes(packed)) - allowed)
    if unknown:
        raise InvalidMessageError(f"A message names classes that do not belong in it: {', '.join(unknown)[:300]}.")
    try:
        value = unpack_value(cast("Any", packed), as_type=cast("Any", as_type))
    except Exception as error:  # dagster's checks raise many types
        raise InvalidMessageError(f"A message does not hold a {as_type.__name__}: {error}") from error
    return cast("T", value)


def encode(body: Mapping[str, Any]) -> bytes:
    """JSON of `body` and its checksum."""
    content = json.dumps(body, sort_keys=True, separators=(",", ":"))
    return f'{{"sha256":"{hashlib.sha256(content.encode()).hexdigest()}","body":{content}}}'.encode()


def decode(raw: bytes) -> dict[str, Any]:
    """The body of a message, verified by its checksum.

    Raises:
        CorruptMessageError: not JSON, or the checksum does not match.
    """
    try:
        message = json.loads(raw)
        body, checksum = message["body"], message["sha256"]
        content = json.dumps(body, sort_keys=True, separators=(",", ":"))
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise CorruptMessageError(f"A message of {len(raw)} bytes is not readable JSON: {error}") from error
    if hashlib.sha256(content.encode()).hexdigest() != checksum or not isinstance(body, dict):
        raise CorruptMessageError(f"A message of {len(raw)} bytes does not match its checksum.")
    return body


def _checked_event(event: dg.EventLogEntry, run_id: str, step_key: str) -> dg.EventLogEntry:
    inner = event.dagster_event
    keys = {event.step_key, inner.step_key if inner else None} - {None, step_key}
    if event.run_id != run_id or keys:
        raise InvalidMessageError(
            f"Step {step_key!r} sent an event of run {event.run_id}, step {event.step_key!r}, which is not its own."
        )
    if inner and (inner.event_type_value.startswith(_FORBIDDEN_EVENTS) or inner.is_job_event):
        raise InvalidMessageError(f"A step sent {inner.event_type_value}, which only the orchestrator may send.")
    return event


def _final_message(last: object) -> FinalMessage:
    if not isinstance(last, dict) or last.get("outcome") not in get_args(Outcome):
        raise InvalidMessageError("The step's final message has no known outcome.")
    return FinalMessage(last["outcome"], str(last.get("message", ""))[:100_000], last.get("permanent") is True)


def _named_classes(value: object) -> Iterator[str]:
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            if "__class__" in item:
                yield str(item["__class__"])
            if "__enum__" in item:
                yield str(item["__enum__"]).split(".")[0]
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)
