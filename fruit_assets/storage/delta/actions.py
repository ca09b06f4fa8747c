"""Files of a table as delta-rs has them, and its errors as ours.

Put here the way from `DataFile` to actions of the log, and back.
"""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from fruit_assets.errors import FruitAssetsError, StorageError
from fruit_assets.object_store.s3_store import S3_ADVICE
from fruit_assets.object_store.stores import Store
from fruit_assets.storage.parquet_files import DataFile

if TYPE_CHECKING:
    from deltalake import DeltaTable
    from deltalake.transaction import AddAction, RemoveAction


def add_action(file: DataFile) -> "AddAction":
    """The action that adds a file to the table."""
    from deltalake.transaction import AddAction

    stats = {"numRecords": file.rows, "minValues": dict(file.least), "maxValues": dict(file.greatest)}
    return AddAction(file.path, file.bytes, {}, _milliseconds(), True, json.dumps(stats))


def remove_action(file: DataFile) -> "RemoveAction":
    """The action that removes a file from the table; its bytes stay for the retention."""
    from deltalake.transaction import RemoveAction

    return RemoveAction(file.path, True, _milliseconds(), file.bytes, {})


def files_of(table: "DeltaTable", store: Store) -> tuple[DataFile, ...]:
    """The files of a table, in the order in which its rows are numbered.

    Raises:
        StorageError: another program has made the table one that cannot be read file by file.
    """
    if unread := set(table.protocol().reader_features or []):
        raise StorageError(
            f"{store.uri} uses {', '.join(sorted(unread))}, which this project does not read. Restore a version from "
            "before, or delete the table and materialise it again."
        )
    actions = table.get_add_actions()
    columns = {name: _values(actions[name]) for name in actions.column_names}
    empty = [None] * actions.num_rows
    files = zip(
        columns["path"],
        columns["size_bytes"],
        columns["num_records"],
        columns.get("min", empty),
        columns.get("max", empty),
        strict=True,
    )
    # The log holds paths percent-encoded.
    listed = (
        DataFile(unquote(path), size, rows or 0, _texts(least), _texts(most)) for path, size, rows, least, most in files
    )
    return tuple(sorted(listed, key=lambda file: file.path))


@contextmanager
def explained(store: Store, verb: str) -> Iterator[None]:
    """Say which table delta-rs failed with, and what to do; raises StorageError."""
    from deltalake.exceptions import DeltaError

    try:
        yield
    except FruitAssetsError:
        raise
    except (DeltaError, OSError, ValueError) as error:
        advice = next((text for code, text in S3_ADVICE.items() if code in str(error)), str(error))
        raise StorageError(f"Cannot {verb} the table {store.uri}: {advice}") from error


def _values(column: Any) -> list[Any]:
    return [value.as_py() for value in column]


def _texts(values: Mapping[str, Any] | None) -> dict[str, str]:
    return {name: value for name, value in (values or {}).items() if isinstance(value, str)}


def _milliseconds() -> int:
    return int(time.time() * 1000)
