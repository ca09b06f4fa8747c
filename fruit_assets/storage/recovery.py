"""Complete files of earlier runs that no commit lists: work that a new run need not repeat.

A worker marks its files with a fingerprint of everything that decides their content. Files never change, so any run may
list a file, even while the run that wrote it is still active.

Put here how these files are found. Which of their rows a run needs is decided where increments are planned.
"""

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from fruit_assets.object_store.stores import Store
from fruit_assets.storage.parquet_files import FILES_AT_A_TIME, DataFile
from fruit_assets.storage.staging import DATA

if TYPE_CHECKING:
    from fruit_assets.object_store.s3_store import ListedObject
    from fruit_assets.storage.delta.table import Table

# Keys of a Parquet file's own metadata.
FINGERPRINT, NOTES = b"fruit_assets.fingerprint", b"fruit_assets.notes"
# A file this close to the end of the retention could be removed before the run that takes it over commits.
_LONGEST_RUN = timedelta(days=1)


@dataclass(frozen=True)
class RecoveredFile:
    """A complete file that no version lists, and what its task noted of it."""

    file: DataFile
    notes: Mapping[str, Any]


def marks(fingerprint: str, notes: Mapping[str, Any]) -> dict[bytes, bytes]:
    """The metadata of a Parquet file that a later run may take over; none without a fingerprint."""
    return {FINGERPRINT: fingerprint.encode(), NOTES: json.dumps(dict(notes)).encode()} if fingerprint else {}


def find_recoverable(table: "Table", fingerprint: str) -> list[RecoveredFile]:
    """The complete files below a table's folder with this fingerprint that no version within the retention lists.

    They are sorted by path. The same row may be in several: a task that failed at its end leaves files, and is
    tried again. `row_keys(table.store, [each.file for each in ...], columns, database)` reads their keys.

    Args:
        table: the asset's.
        fingerprint: as given to `WriteTarget.of`.

    Raises:
        StorageError: storage cannot be listed or read.
    """
    oldest = datetime.now(UTC) - table.retention + min(_LONGEST_RUN, table.retention / 2)
    written = [item for item in table.store.list(f"{DATA}/") if _is_complete(item.key) and item.modified > oldest]
    if not written:
        return []
    listed = table.listed_paths()
    unlisted = sorted((item for item in written if item.key not in listed), key=lambda item: item.key)
    with ThreadPoolExecutor(FILES_AT_A_TIME) as pool:
        found = pool.map(lambda item: _recovered(table.store, item, fingerprint), unlisted)
        return [file for file in found if file is not None]


def _is_complete(key: str) -> bool:
    """A file that is still being written has a hidden name, on a disk; on S3 it is not there."""
    name = key.rpartition("/")[2]
    return name.endswith(".parquet") and not name.startswith(".")


def _recovered(store: Store, item: "ListedObject", fingerprint: str) -> RecoveredFile | None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with store.open(item.key) as source:
            footer = pq.ParquetFile(source).metadata
    except (pa.ArrowException, OSError):  # cut short, damaged, or removed meanwhile: its rows are computed again
        return None
    noted = footer.metadata or {}
    if noted.get(FINGERPRINT) != fingerprint.encode():
        return None
    return RecoveredFile(DataFile.of(item.key, item.size, footer), json.loads(noted.get(NOTES, b"{}")))
