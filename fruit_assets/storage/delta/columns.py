"""Columns of a table, as Spark's DDL names them; delta-rs converts them to and from Arrow.

Put here names, types and comments. Only flat columns and arrays of them occur.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa
    from deltalake import Schema

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


def to_delta(columns: Columns) -> "Schema":
    """The schema of a Delta table."""
    from deltalake import Schema

    fields = [
        {
            "name": column.name,
            "type": _delta_type(column.type),
            "nullable": True,
            "metadata": {"comment": column.comment} if column.comment else {},
        }
        for column in columns
    ]
    return Schema.from_json(json.dumps({"type": "struct", "fields": fields}))


def from_delta(schema: "Schema") -> Columns:
    """The columns of a Delta table."""
    return tuple(
        Column(field["name"], _ddl_type(field["type"]), field["metadata"].get("comment", ""))
        for field in json.loads(schema.to_json())["fields"]
    )


def to_arrow(columns: Columns) -> "pa.Schema":
    """The Arrow schema of the columns."""
    import pyarrow as pa

    return pa.schema(to_delta(columns).to_arrow())


def _delta_type(ddl: str) -> Any:
    if ddl.startswith(_ARRAY):
        return {"type": "array", "elementType": _delta_type(ddl[len(_ARRAY) : -1]), "containsNull": True}
    return {"bigint": "long"}.get(ddl, ddl)


def _ddl_type(delta: Any) -> str:
    if isinstance(delta, str):
        return {"long": "bigint"}.get(delta, delta)
    return f"{_ARRAY}{_ddl_type(delta['elementType'])}>" if delta["type"] == "array" else json.dumps(delta)
