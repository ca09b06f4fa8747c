"""What delta-rs does to a table: files as actions of its log, commits of them, and its errors as ours.

Put here the way from `DataFile` to the log, and back. What is to be committed is decided in `table.py`.
"""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import timedelta
from math import ceil
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from fruit_assets.errors import FruitAssetsError, StorageError
from fruit_assets.object_store.s3_store import S3_ADVICE
from fruit_assets.object_store.stores import Store
from fruit_assets.storage.delta.columns import to_delta
from fruit_assets.storage.delta.version import Version
from fruit_assets.storage.parquet_files import DataFile, open_parquet

if TYPE_CHECKING:
    from deltalake import CommitProperties, DeltaTable
    from deltalake.transaction import AddAction

# Readers read the commits after the last checkpoint one by one.
_COMMITS_PER_CHECKPOINT = 10


def create(version: Version, properties: "CommitProperties", description: str, retention_days: int) -> bool:
    """Make a new table of a version; False when there is one by now. Raises StorageError."""
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError, TableNotFoundError
    from deltalake.transaction import create_table_with_add_actions

    uri, options = version.store.delta()
    with explained(version.store, "create"):
        try:
            create_table_with_add_actions(
                uri,
                to_delta(version.columns),
                [_add_action(file) for file in version.files],
                name=version.name,
                description=description or None,
                configuration={
                    "delta.checkpointInterval": str(_COMMITS_PER_CHECKPOINT),
                    "delta.deletedFileRetentionDuration": f"interval {retention_days} days",
                    "delta.logRetentionDuration": f"interval {max(30, retention_days)} days",
                },
                storage_options=options,
                commit_properties=properties,
            )
        except DeltaError:
            # Not `is_deltatable`: it keeps all other threads of the process waiting.
            with suppress(TableNotFoundError):
                DeltaTable(uri, storage_options=options)
                return False
            raise
    return True


def replace_files(table: "DeltaTable", current: Version, wanted: Version, properties: "CommitProperties") -> bool:
    """Commit the difference to the version that was compared; False when it is not the newest. Raises StorageError."""
    from deltalake.exceptions import CommitFailedError
    from deltalake.transaction import RemoveAction

    held, listed = {file.path for file in current.files}, {file.path for file in wanted.files}
    actions: list[Any] = [_add_action(file) for file in wanted.files if file.path not in held]
    # An overwrite takes the schema and the comments over, but cannot keep a file.
    mode = "append" if held & listed or held == listed else "overwrite"
    if mode == "append":
        removed = [file for file in current.files if file.path not in listed]
        actions += [RemoveAction(file.path, True, _milliseconds(), file.bytes, {}) for file in removed]
    with explained(wanted.store, "commit to"):
        try:
            table.create_write_transaction(actions, mode, to_delta(wanted.columns), commit_properties=properties)
        except CommitFailedError:
            return False
    return True


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
    actions = table.get_add_actions(flatten=True)
    columns = (actions[name].to_pylist() for name in actions.column_names)
    files = (dict(zip(actions.column_names, values, strict=True)) for values in zip(*columns, strict=True))
    return tuple(sorted((_data_file(file, store) for file in files), key=lambda file: file.path))


def vacuum(
    table: "DeltaTable", store: Store, retention: timedelta, *, full: bool, delete: "CommitProperties | None" = None
) -> list[str]:
    """Files that were removed from a table longer ago than the retention; with `delete` they go from storage as well.

    With `full` storage is listed, for files that no version mentions; else the log decides alone.
    """
    hours = ceil(retention.total_seconds() / 3600)
    options: dict[str, Any] = {"enforce_retention_duration": False, "full": full, "commit_properties": delete}
    with explained(store, "vacuum"):
        return table.vacuum(hours, dry_run=delete is None, **options)


@contextmanager
def explained(store: Store, verb: str) -> Iterator[None]:
    """Name the table that delta-rs failed with, and what to do; raises StorageError."""
    from deltalake.exceptions import DeltaError

    try:
        yield
    except FruitAssetsError:
        raise
    except (DeltaError, OSError, ValueError) as error:
        advice = next((text for code, text in S3_ADVICE.items() if code in str(error)), str(error))
        raise StorageError(f"Cannot {verb} the table {store.uri}: {advice}") from error


def _add_action(file: DataFile) -> "AddAction":
    from deltalake.transaction import AddAction

    stats = {"numRecords": file.rows, "minValues": dict(file.least), "maxValues": dict(file.greatest)}
    return AddAction(file.path, file.bytes, {}, _milliseconds(), True, json.dumps(stats))


def _data_file(action: Mapping[str, Any], store: Store) -> DataFile:
    # The log holds paths percent-encoded.
    path, size, rows = unquote(action["path"]), action["size_bytes"], action.get("num_records")
    if rows is None:  # the protocol does not require statistics of other programs
        with open_parquet(store, path) as parquet:
            rows = parquet.metadata.num_rows
    return DataFile(path, size, rows, _texts(action, "min."), _texts(action, "max."))


def _texts(statistics: Mapping[str, Any], prefix: str) -> dict[str, str]:
    """The extremes that are text, by column; delta-rs calls them `min.path` and so on."""
    return {
        name.removeprefix(prefix): value
        for name, value in statistics.items()
        if name.startswith(prefix) and isinstance(value, str)
    }


def _milliseconds() -> int:
    return int(time.time() * 1000)
