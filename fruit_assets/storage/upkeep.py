"""Upkeep of tables: what is removed from storage and when, fewer and larger files, a short log.

Put here what changes no row. What a version within the retention needs stays, and so does what a run that is alive
wrote.
"""

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from fruit_assets.object_store.stores import Store
from fruit_assets.storage.delta.actions import explained, vacuum
from fruit_assets.storage.delta.commit_log import commit_metadata
from fruit_assets.storage.delta.table import Table
from fruit_assets.storage.delta.version import Version
from fruit_assets.storage.parquet_files import ROW_GROUP_ROWS
from fruit_assets.storage.staging import DATA, RUNS

if TYPE_CHECKING:
    from deltalake import CommitProperties

SMALL_FILE_BYTES = 8 * 2**20
# As many small files as this are worth rewriting.
SMALL_FILES = 32
_TARGET_BYTES = 32 * 2**20


@dataclass(frozen=True)
class Upkeep:
    """What was done to one table: files removed, small files merged."""

    removed: int = 0
    compacted: int = 0


def remove_replaced(table: Table) -> int:
    """Remove files that were replaced longer ago than the retention; lists nothing. Returns how many."""
    # What was replaced so long ago is in the log as it was when the run opened the table, too.
    if table.seen is not None and not vacuum(table.seen.delta, table.store, table.retention, full=False):
        return 0
    return _vacuum(table, table.retention, full=False)


def clean_up(table: Table, running_since: datetime | None = None) -> Upkeep:
    """Everything that a table needs now and then.

    Args:
        table: the asset's.
        running_since: when the oldest run that is alive began; nothing that was written or replaced since then goes.
    """
    retention = _at_least_since(table.retention, running_since)
    if table.current_or_none() is None:
        return Upkeep(_remove_older(table.store, DATA, retention))
    compacted = _compact(table)
    removed = _vacuum(table, retention, full=True)
    _remove_older(table.store, RUNS, retention)
    # Of processes that were killed while they wrote; vacuum ignores hidden files.
    _remove_older(table.store, DATA, retention, hidden=True)
    return Upkeep(removed, compacted)


def forget_runs(storage: Store, retention: timedelta, running_since: datetime | None = None) -> int:
    """Remove the pins of runs that ended long ago; returns how many."""
    return _remove_older(storage, RUNS, _at_least_since(retention, running_since))


def _at_least_since(retention: timedelta, running_since: datetime | None) -> timedelta:
    age = datetime.now(UTC) - running_since if running_since else timedelta()
    return max(retention, age + timedelta(hours=1))


def _vacuum(table: Table, retention: timedelta, *, full: bool) -> int:
    opened = table.open()
    if opened is None:
        return 0
    removed = set(vacuum(opened.delta, table.store, retention, full=full))
    if removed:  # a vacuum of nothing would be two commits as well
        vacuum(opened.delta, table.store, retention, full=full, delete=_properties(opened.version))
    return len(removed)


def _compact(table: Table) -> int:
    """Make larger files of many small ones, in the same order and with the same row groups; returns how many."""
    from deltalake import WriterProperties
    from deltalake.exceptions import CommitFailedError

    opened = table.open()
    if opened is None or sum(file.bytes < SMALL_FILE_BYTES for file in opened.version.files) < SMALL_FILES:
        return 0
    group = opened.version.facts.get(ROW_GROUP_ROWS)
    with explained(table.store, "compact"), suppress(CommitFailedError):  # a run published meanwhile: the next time
        done = opened.delta.optimize.compact(
            target_size=_TARGET_BYTES,
            max_concurrent_tasks=1,
            writer_properties=WriterProperties(compression="ZSTD", max_row_group_size=group),
            commit_properties=_properties(opened.version),
        )
        return int(done["numFilesRemoved"])
    return 0


def _properties(version: Version) -> "CommitProperties":
    """The same content under a new number: facts, figures and run are those of the version it is made of."""
    from deltalake import CommitProperties

    return CommitProperties(commit_metadata(version))


def _remove_older(store: Store, prefix: str, age: timedelta, *, hidden: bool = False) -> int:
    oldest = datetime.now(UTC) - age
    old = [item.key for item in store.list(f"{prefix}/") if item.modified < oldest and (not hidden or "/." in item.key)]
    store.delete(old)
    return len(old)
