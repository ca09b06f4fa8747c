"""Columns of a table, in the three notations that need them: Spark's DDL, Delta's JSON, Arrow.

Put here names, types and comments. Only flat columns and arrays of them occur.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

_ARRAY = "array<"


@dataclass(frozen=True)
class Column:
    """A column: its name, its type as in Spark's DDL (`string`, `array<float>`), and what it means."""

    name: str
    type: str
    comment: str = ""


Columns = tuple[Column, ...]


def columns_of(ddl: str) -> Columns:
    """The columns of a flat schema, such as `path string, features array<float>`."""
    return tuple(Column(*column.split(" ", 1)) for column in ddl.split(", "))


def with_comments(columns: Columns, comments: Mapping[str, str]) -> Columns:
    """The same columns; those that are in `comments` get theirs."""
    return tuple(replace(column, comment=comments.get(column.name, column.comment)) for column in columns)


def to_delta(columns: Columns) -> str:
    """Delta's JSON of the schema."""
    fields = [
        {
            "name": column.name,
            "type": _delta_type(column.type),
            "nullable": True,
            "metadata": {"comment": column.comment} if column.comment else {},
        }
        for column in columns
    ]
    return json.dumps({"type": "struct", "fields": fields})


def from_delta(text: str) -> Columns:
    """The columns of a table, from Delta's JSON of its schema."""
    return tuple(
        Column(field["name"], _ddl_type(field["type"]), field["metadata"].get("comment", ""))
        for field in json.loads(text)["fields"]
    )


def from_arrow(schema: "pa.Schema") -> Columns:
    """The columns of an Arrow table."""
    return tuple(Column(item.name, _ddl_of_arrow(item.type)) for item in schema)


def to_arrow(columns: Sequence[Column]) -> "pa.Schema":
    """The Arrow schema of the columns."""
    import pyarrow as pa

    return pa.schema([(column.name, _arrow_type(column.type)) for column in columns])


def _delta_type(ddl: str) -> Any:
    if ddl.startswith(_ARRAY):
        return {"type": "array", "elementType": _delta_type(ddl[len(_ARRAY) : -1]), "containsNull": True}
    return {"bigint": "long"}.get(ddl, ddl)


def _ddl_type(delta: Any) -> str:
    if isinstance(delta, str):
        return {"long": "bigint"}.get(delta, delta)
    return f"{_ARRAY}{_ddl_type(delta['elementType'])}>" if delta["type"] == "array" else json.dumps(delta)


def _arrow_type(ddl: str) -> "pa.DataType":
    import pyarrow as pa

    if ddl.startswith(_ARRAY):
        return pa.list_(_arrow_type(ddl[len(_ARRAY) : -1]))
    names = {"bigint": pa.int64(), "float": pa.float32(), "double": pa.float64(), "binary": pa.binary()}
    return names.get(ddl, pa.string())


def _ddl_of_arrow(arrow: "pa.DataType") -> str:
    import pyarrow as pa

    if pa.types.is_list(arrow) or pa.types.is_large_list(arrow):
        return f"{_ARRAY}{_ddl_of_arrow(arrow.value_type)}>"
    names = {"string": "string", "binary": "binary", "float": "float", "double": "double", "int64": "bigint"}
    return names[str(arrow)]
