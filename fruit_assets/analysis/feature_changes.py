"""Which files of the features came and went since the version that a result was computed from.

Put here the comparison of two versions of `image_features` by their files, which are never changed. What is computed of
the difference belongs in `moments_increment.py` and `projection.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from fruit_assets.errors import StorageError
from fruit_assets.storage.delta.commit_log import read_commits
from fruit_assets.storage.delta.table import Table
from fruit_assets.storage.delta.version import Version

# Fact of a result: the version of the features that it covers.
COVERS = "covers"


@dataclass(frozen=True)
class FeatureChanges:
    """What differs between the features that a result covers and those there are now.

    Attributes:
        before: the version that the result covers.
        added: the version now, of its files those that are new.
        removed: the version before, of its files those that are no longer listed.
    """

    before: Version
    added: Version
    removed: Version


def covered(features: Version) -> dict[str, Any]:
    """The value of `COVERS` for a result of this version."""
    return {"version": features.number, "table": features.table_id}


def changes_since(result: Version, features: Version) -> FeatureChanges | None:
    """The difference between what `result` covers and `features`; None when it is not known (any more)."""
    covers: Mapping[str, Any] = result.facts.get(COVERS) or {}
    if covers.get("table") != features.table_id:
        return None
    try:
        before = _latest_of_same_content(features, covers["version"])
    except StorageError:  # Delta's log does not reach back that far
        return None
    held, listed = ({file.path for file in version.files} for version in (before, features))
    added = replace(features, files=tuple(file for file in features.files if file.path not in held))
    removed = replace(before, files=tuple(file for file in before.files if file.path not in listed))
    return FeatureChanges(before, added, removed)


def _latest_of_same_content(features: Version, number: int) -> Version:
    """The version with this number, or the version that upkeep compacted it into: the same rows in fewer files."""
    table = Table(features.store)
    version = table.at(number)
    for commit in read_commits(features.store, features.number):
        if commit.number <= number:
            break
        if commit.ours and commit.published == version.published:
            return table.at(commit.number)
    return version
