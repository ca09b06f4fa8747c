"""The known rows of the sample: those of the version before, and those that runs completed without a commit.

Put here where rows come from that need not be fetched. Which of them are kept is decided in `sample_increment.py`.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from fruit_assets.images.fetching import SAMPLE_SCHEMA
from fruit_assets.images.sample_increment import KEYS
from fruit_assets.storage.delta.columns import columns_of
from fruit_assets.storage.delta.version import STAGED, Version
from fruit_assets.storage.parquet_files import ROW_GROUP_ROWS
from fruit_assets.storage.recovery import RecoveredFile, find_recoverable

if TYPE_CHECKING:
    from fruit_assets.storage.delta.table import Table


@dataclass(frozen=True)
class KnownRows:
    """Files of the sample, as one version.

    Attributes:
        version: the version before, and after its files those that no commit lists.
        listed: files of the version before.
    """

    version: Version
    listed: int


def known_rows(table: "Table", root: str, before: Version | None) -> KnownRows:
    """What need not be fetched of a collection, if it has not changed.

    Args:
        table: of the sample.
        root: the collection's folder or `s3://` URI.
        before: the newest version, if its rows can be compared with the collection's listing.

    Raises:
        StorageError: storage cannot be listed or read.
    """
    base = before or Version(table.store, STAGED, (), columns_of(SAMPLE_SCHEMA))
    found = find_recoverable(table, fingerprint_of(root))
    # Files of one version have equally large row groups.
    group = base.facts.get(ROW_GROUP_ROWS) or _commonest_group(found)
    files = [each.file for each in found if each.notes[ROW_GROUP_ROWS] == group]
    facts = {**base.facts, ROW_GROUP_ROWS: group}
    return KnownRows(replace(base, files=(*base.files, *files), facts=facts), len(base.files))


def fingerprint_of(root: str) -> str:
    """What decides the content of a row of given path, size and stamp."""
    return f"sampled_images 2 {root}"


def _commonest_group(found: Sequence[RecoveredFile]) -> int | None:
    rows: Counter[int] = Counter()
    for each in found:
        rows[each.notes[ROW_GROUP_ROWS]] += each.file.rows
    return rows.most_common(1)[0][0] if rows else None


def has_keys(version: Version) -> bool:
    """Whether rows of a version can be compared with a listing: earlier releases wrote no size and stamp."""
    return set(KEYS) <= {column.name for column in version.columns}


def why_not_comparable(version: Version, root: str) -> str:
    """What stands in the way of keeping rows of a version of the sample, for a sentence; empty when nothing does."""
    if not has_keys(version):
        return "was made by an earlier release, without the columns size and stamp"
    if version.facts.get("root") != root:
        return f"was taken from {version.facts.get('root', 'an unknown place')}, not from {root}"
    return "" if version.is_intact() else f"lacks files that have been removed from {version.store.uri}"
