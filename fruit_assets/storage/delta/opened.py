"""A table as it was opened, so that it is opened once where nothing has changed since.

Put here what is kept of it, and how to see whether it is still the newest. Opening is in `table.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fruit_assets.object_store.stores import Store
from fruit_assets.storage.delta.actions import files_of
from fruit_assets.storage.delta.columns import from_delta
from fruit_assets.storage.delta.commit_log import CommitInfo, content_commit, read_commits
from fruit_assets.storage.delta.version import Version

if TYPE_CHECKING:
    from deltalake import DeltaTable


@dataclass(frozen=True)
class OpenedTable:
    """A table at the version that it had when it was opened; a commit by `delta` does not change it.

    Attributes:
        delta: delta-rs' view of it.
        options: delta-rs' storage options; others when credentials are renewed.
        commit: the one whose facts hold for the version.
        version: what it holds.
    """

    delta: "DeltaTable"
    options: Mapping[str, str]
    commit: CommitInfo
    version: Version

    @staticmethod
    def of(store: Store, delta: "DeltaTable", options: Mapping[str, str]) -> "OpenedTable":
        """Read what an opened table holds; raises StorageError when that cannot be read file by file."""
        number, table_id = delta.version(), str(delta.metadata().id)
        commit, files, columns = content_commit(store, number), files_of(delta, store), from_delta(delta.schema())
        of_commit = (commit.facts, commit.figures, commit.run_id, commit.published)
        version = Version(store, number, files, columns, *of_commit, table_id)
        return OpenedTable(delta, options, commit, version)

    def is_newest(self, options: Mapping[str, str]) -> bool:
        """Whether no commit has followed, and these are the storage options it was opened with: two small GETs.

        The first shows that the table was not deleted and made anew, because a commit never changes.
        """
        store, last = self.version.store, self.version.number
        same = self.options == options and next(read_commits(store, self.commit.number), None) == self.commit
        return same and next(read_commits(store, last + 1), None) is None
