"""EMR Serverless's wire format: paths and JSON bodies, checked against botocore's service model.

Put here what the model can decide. Limits that only the service knows belong to the operations.
"""

import datetime
import functools
import json
import re
from typing import Any
from urllib.parse import parse_qs, unquote

from botocore.model import ListShape, MapShape, OperationModel, ServiceModel, Shape, StructureShape
from botocore.session import Session
from botocore.validate import ParamValidator

from fruit_assets_tests.emr_simulator.serialisation import EmrError, validation_error

SERVICE = "emr-serverless"


@functools.lru_cache(maxsize=1)
def service_model() -> ServiceModel:
    return Session().get_service_model(SERVICE)


def route(environ: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The operation that a request's method and path name, and the parameters in its path and query."""
    path = environ["PATH_INFO"].encode("latin-1").decode()
    for pattern, operation in _routes(environ["REQUEST_METHOD"]):
        if found := pattern.fullmatch(path):
            raw = {name: unquote(value) for name, value in found.groupdict().items()}
            return operation.name, raw | _query(operation, environ.get("QUERY_STRING", ""))
    return "", {}


def parse(operation: str, params: dict[str, Any], body: bytes) -> dict[str, Any]:
    """All parameters of a request, checked.

    Raises:
        EmrError: the operation or a parameter is not EMR Serverless's.
    """
    if not operation:
        raise EmrError("UnknownOperationException", "There is no such path.", 404)
    shape = service_model().operation_model(operation).input_shape
    try:
        params = {**params, **json.loads(body or b"{}")}
    except ValueError as error:
        raise EmrError("SerializationException", f"The request is not JSON: {error}.") from error
    if shape is None:
        return params
    report = ParamValidator().validate(params, shape)
    problems = [report.generate_report()] if report.has_errors() else _wrong_values(shape, params, "")
    if problems:
        raise validation_error("; ".join(problems))
    return params


def serialise(operation: str, answer: dict[str, Any]) -> bytes:
    """The JSON of an answer; a shape that is not EMR Serverless's is an error of this simulator."""
    shape = service_model().operation_model(operation).output_shape
    if shape is None:
        return b""
    report = ParamValidator().validate(answer, shape)
    if report.has_errors():
        raise AssertionError(f"The answer to {operation} is not EMR Serverless's: {report.generate_report()}")
    return json.dumps(answer, default=lambda value: value.timestamp()).encode()


@functools.lru_cache(maxsize=8)
def _routes(method: str) -> list[tuple[re.Pattern[str], OperationModel]]:
    models = [service_model().operation_model(name) for name in service_model().operation_names]
    return [
        (re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", model.http["requestUri"])), model)
        for model in models
        if model.http["method"] == method
    ]


def _query(operation: OperationModel, query: str) -> dict[str, Any]:
    given = parse_qs(query)
    members = operation.input_shape.members if operation.input_shape is not None else {}
    return {
        name: _typed(shape, given[shape.serialization["name"]])
        for name, shape in members.items()
        if shape.serialization.get("location") == "querystring" and shape.serialization["name"] in given
    }


def _typed(shape: Shape, values: list[str]) -> Any:
    if shape.type_name == "list":
        return values
    if shape.type_name in ("integer", "long"):
        return int(values[0])
    if shape.type_name == "timestamp":
        return datetime.datetime.fromisoformat(values[0])
    return values[0]


def _wrong_values(shape: Shape, value: Any, path: str) -> list[str]:
    """Enumerations, lengths, ranges and patterns, which botocore leaves to the service."""
    if isinstance(shape, StructureShape):
        return _each([(shape.members[name], item, f"{path}.{name}".lstrip(".")) for name, item in value.items()])
    if isinstance(shape, MapShape):
        keys = [(shape.key, name, f"{path} (key)") for name in value]
        return _each([*keys, *((shape.value, item, f"{path}.{name}") for name, item in value.items())])
    if isinstance(shape, ListShape):
        return _each([(shape.member, item, f"{path}.{number}") for number, item in enumerate(value, 1)])
    known = shape.metadata
    size = len(value) if isinstance(value, str) else value
    if known.get("enum") and value not in known["enum"]:
        return [f"Value '{value}' at '{path}' must satisfy enum value set: {known['enum']}"]
    if shape.type_name in ("string", "integer", "long") and not known.get("min", size) <= size <= known.get(
        "max", size
    ):
        return [f"Value at '{path}' is out of range: {known.get('min')} to {known.get('max')}"]
    if isinstance(value, str) and "pattern" in known and not _matches(known["pattern"], value):
        return [f"Value '{value}' at '{path}' must satisfy regular expression pattern: {known['pattern']}"]
    return []


def _each(values: list[tuple[Shape, Any, str]]) -> list[str]:
    return [problem for shape, value, path in values for problem in _wrong_values(shape, value, path)]


def _matches(pattern: str, value: str) -> bool:
    try:
        return re.fullmatch(pattern, value, re.DOTALL) is not None
    except re.error:
        return True  # a range that only Java's regular expressions know
