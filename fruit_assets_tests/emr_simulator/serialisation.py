"""EMR's wire format: JSON requests checked against botocore's service model, JSON answers made from it.

Put here what botocore's model can decide (shapes, required members, lengths, enumerations). Limits
that only EMR knows belong to the operations.
"""

import datetime
import functools
import json
from typing import Any

from botocore.model import ListShape, ServiceModel, Shape, StructureShape
from botocore.session import Session
from botocore.validate import ParamValidator

TARGET_PREFIX = "ElasticMapReduce."


class EmrError(Exception):
    """An error that EMR answers, such as `ValidationException`.

    Args:
        code: exception name, the `__type` of the answer.
        message: EMR's wording.
    """

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status

    def body(self) -> bytes:
        return json.dumps({"__type": self.code, "message": self.message}).encode()


def validation_error(message: str) -> EmrError:
    return EmrError("ValidationException", message)


def invalid_request(message: str) -> EmrError:
    return EmrError("InvalidRequestException", message)


@functools.lru_cache(maxsize=1)
def service_model() -> ServiceModel:
    """Botocore's model of EMR, also for assertions of tests."""
    return Session().get_service_model("emr")


def parse_request(operation: str, body: bytes) -> dict[str, Any]:
    """The parameters of a request, checked.

    Raises:
        EmrError: the operation or a parameter is not EMR's.
    """
    if operation not in service_model().operation_names:
        raise EmrError("UnknownOperationException", f"The operation {operation!r} is unknown.")
    shape = service_model().operation_model(operation).input_shape
    try:
        params = json.loads(body or b"{}")
    except ValueError as error:
        raise EmrError("SerializationException", f"The request is not JSON: {error}.") from error
    if shape is None:
        return dict(params)
    _refuse(shape, params)
    return dict(_with_times(shape, params))


def serialise(operation: str, answer: dict[str, Any]) -> bytes:
    """The JSON of an answer; a shape that is not EMR's is an error of this simulator."""
    shape = service_model().operation_model(operation).output_shape
    if shape is None:
        return b""
    report = ParamValidator().validate(answer, shape)
    if report.has_errors():
        raise AssertionError(f"The simulator's answer to {operation} is not EMR's: {report.generate_report()}")
    return json.dumps(answer, default=_epoch_seconds).encode()


def _refuse(shape: Shape, params: dict[str, Any]) -> None:
    report = ParamValidator().validate(params, shape)
    problems = [report.generate_report()] if report.has_errors() else list(_wrong_values(shape, params, ""))
    if problems:
        count = f"{len(problems)} validation error{'s'[: len(problems) > 1]} detected"
        raise validation_error(f"{count}: {'; '.join(problems)}")


def _wrong_values(shape: Shape, value: Any, path: str) -> list[str]:
    """Enumerations and lengths, which botocore leaves to the service."""
    if isinstance(shape, StructureShape):
        members = [(shape.members[name], item, f"{path}.{_lower(name)}") for name, item in value.items()]
        return [problem for member, item, at in members for problem in _wrong_values(member, item, at.lstrip("."))]
    if isinstance(shape, ListShape):
        items = enumerate(value, 1)
        return [
            problem
            for number, item in items
            for problem in _wrong_values(shape.member, item, f"{path}.{number}.member")
        ]
    allowed = shape.metadata.get("enum")
    if allowed and value not in allowed:
        return [
            f"Value '{value}' at '{path}' failed to satisfy constraint: Member must satisfy enum value set: {allowed}"
        ]
    longest = shape.metadata.get("max")
    if longest is not None and isinstance(value, str) and len(value) > longest:
        return [
            f"Value at '{path}' failed to satisfy constraint: Member must have length less than or equal to {longest}"
        ]
    return []


def _with_times(shape: Shape, value: Any) -> Any:
    if isinstance(shape, StructureShape):
        return {name: _with_times(shape.members[name], item) for name, item in value.items()}
    if isinstance(shape, ListShape):
        return [_with_times(shape.member, item) for item in value]
    if shape.type_name == "timestamp":
        return datetime.datetime.fromtimestamp(value, datetime.UTC)
    return value


def _epoch_seconds(value: Any) -> float:
    if isinstance(value, datetime.datetime):
        return value.timestamp()
    raise TypeError(f"{type(value).__name__} has no place in an answer of EMR")


def _lower(name: str) -> str:
    return name[:1].lower() + name[1:]
