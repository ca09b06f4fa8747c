"""Delta tables: one per asset, at `<storage>/<asset>`. Workers write Parquet files, the driver commits them.

    table = Table(store)                                   # a folder or an S3 prefix; nothing is contacted yet
    before = table.current_or_none()                       # Version: number, files, columns, facts, read_table()
    staged = table.stage(files, columns, run_id, before)   # the files that the table shall hold, old ones included
    version = table.commit(staged.with_facts(data_version="...").made_from(sample))

`commit` compares the staged files with those that the table holds, and makes one commit of the difference: files that
stay are not touched, an append removes none, and where neither files nor facts differ there is no commit. So an
increment stages `[*kept, *new]`. Files are never changed, and are readable for the retention after their removal.

Put here opening and committing. What may be removed is in `upkeep.py`, what a run reads in `pins.py`.
"""

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import unquote

from fruit_assets.errors import NotPublishedError, StorageError
from fruit_assets.object_store.stores import Store
from fruit_assets.storage.delta.actions import create, explained, replace_files, vacuum
from fruit_assets.storage.delta.columns import Columns, with_comments
from fruit_assets.storage.delta.commit_log import CommitInfo, commit_metadata, read_commits
from fruit_assets.storage.delta.opened import OpenedTable
from fruit_assets.storage.delta.staged_commit import StagedCommit, is_published, require_files, require_newest
from fruit_assets.storage.delta.version import STAGED, Version
from fruit_assets.storage.parquet_files import DataFile

# What the first layout of this project left in an asset's folder.
_OLD_LAYOUT = "CURRENT"
# Commits in which an earlier version with the same facts is looked for.
_LOOK_BACK = 30
# Other writers may be first this often before a commit gives up.
_COMMIT_ATTEMPTS = 20


class Table:
    """The Delta table of one asset.

    Attributes:
        store: the table's folder.
        retention: how long files stay after their removal from the table.
        seen: the newest version when it was last asked for, opened again only where another one has followed.
    """

    def __init__(self, store: Store, retention: timedelta = timedelta(days=7)) -> None:
        self.store = store
        self.retention = retention
        self.seen: OpenedTable | None = None
        self._versions: dict[int, Version] = {}

    @property
    def name(self) -> str:
        return self.store.uri.rstrip("/").rpartition("/")[2]

    def current(self) -> Version:
        """The newest version; raises NotPublishedError when there is none."""
        return self.at(None)

    def current_or_none(self) -> Version | None:
        """The newest version, as storage has it now; None when there is none. Two GETs where nothing has changed."""
        opened = self._newest()
        return None if opened is None else opened.version

    def at(self, number: int | None) -> Version:
        """One version by its number, the newest for None; one that was read or committed before is not read again.

        Raises:
            NotPublishedError: there is no table.
            StorageError: there is no such version.
        """
        if number is not None and (known := self._versions.get(number)) is not None:
            return known
        if (opened := self._newest() if number is None else self.open(number)) is None:
            raise NotPublishedError(
                f"{self.name} has not been published at {self.store.uri} yet: materialise {self.name} first."
            )
        return opened.version

    def history(self) -> Iterator[CommitInfo]:
        """The commits, newest first, as far back as the log reaches."""
        newest = self.current_or_none()
        return iter(()) if newest is None else read_commits(self.store, newest.number)

    def find_latest(self, **facts: Any) -> Version | None:
        """The newest version that states all these facts and whose files are all there, or None."""
        return self.find_up_to(self.current_or_none(), facts)

    def find_up_to(self, newest: Version | None, facts: Mapping[str, Any]) -> Version | None:
        """Like `find_latest`, among a version and those before it."""

        def fits(facts_of: Mapping[str, Any]) -> bool:
            return all(facts_of.get(name) == value for name, value in facts.items())

        if newest is None or (fits(newest.facts) and newest.is_intact()):
            return newest
        earlier = zip(range(_LOOK_BACK), read_commits(self.store, newest.number - 1), strict=False)
        fitting = (self.at(commit.number) for _, commit in earlier if commit.ours and fits(commit.facts))
        return next(filter(Version.is_intact, fitting), None)

    def listed_paths(self) -> set[str]:
        """Paths of the files that the newest version lists, and of those that were removed within the retention."""
        if (opened := self._newest()) is None:
            return set()
        listed = {file.path for file in opened.version.files}
        return listed | {unquote(path) for path in vacuum(opened.delta, self.store, timedelta(), full=False)}

    def stage(
        self,
        files: Iterable[DataFile],
        columns: Columns,
        run_id: str,
        base: Version | None,
        facts: Mapping[str, Any] | None = None,
    ) -> StagedCommit:
        """Describe what the table shall hold: exactly these files, which are written already.

        Args:
            files: new ones, and those of earlier versions that stay or come back.
            columns: of all of them.
            run_id: the Dagster run.
            base: the version that the table had when the work began.
            facts: see `Version`.
        """
        listed = tuple(sorted(files, key=lambda file: file.path))
        return StagedCommit(base, Version(self.store, STAGED, listed, columns, facts or {}, run_id=run_id))

    def commit(
        self, staged: StagedCommit, *, comments: Mapping[str, str] | None = None, text: str = "", code_version: str = ""
    ) -> Version:
        """Make a staged commit the newest version, unless nothing differs from the one there is.

        Args:
            staged: from `stage`.
            comments: of columns, for the table's schema.
            text: the table's description.
            code_version: of the asset.

        Raises:
            NewerVersionError: another run published meanwhile, or published what was made from newer inputs.
            StorageError: storage cannot be written.
        """
        from deltalake import CommitProperties

        # As the log will have them: lists for tuples.
        staged = staged.with_facts(**json.loads(json.dumps(dict(staged.version.facts))))
        require_files(staged)
        wanted = replace(staged.version, columns=with_comments(staged.version.columns, comments or {}))
        properties = CommitProperties(commit_metadata(wanted, code_version), max_commit_retries=0)
        for _ in range(_COMMIT_ATTEMPTS):
            if (opened := self._newest()) is None:
                if create(wanted, properties, text, self.retention.days):
                    return self.at(0)
                continue
            current = opened.version
            if is_published(current, staged):
                return current
            require_newest(current, staged)
            if replace_files(opened.delta, current, wanted, properties):
                number = current.number + 1
                version = replace(wanted, number=number, published=number, table_id=current.table_id)
                self._versions[number] = version
                return version
            time.sleep(0.05)
        raise StorageError(f"{self.store.uri} is being written by too many runs at once: nothing was published.")

    def open(self, number: int | None = None) -> OpenedTable | None:
        """The table at one version, the newest for None; None when there is no table."""
        from deltalake import DeltaTable
        from deltalake.exceptions import TableNotFoundError

        with explained(self.store, "open"), suppress(TableNotFoundError):
            uri, options = self.store.delta()
            opened = OpenedTable.of(self.store, DeltaTable(uri, version=number, storage_options=options), options)
            self._versions[opened.version.number] = opened.version
            return opened
        self._require_no_old_layout()
        return None

    def _newest(self) -> OpenedTable | None:
        """The table at its newest version; opened again only when that is another one, or credentials were renewed."""
        seen = self.seen  # other threads may open the table, too
        if seen is None or not seen.is_newest(self.store.delta()[1]):
            self._versions = {}
            seen = self.seen = self.open()
        return seen

    def _require_no_old_layout(self) -> None:
        with suppress(KeyError):
            self.store.get(_OLD_LAYOUT)
            raise StorageError(
                f"{self.store.uri} was published by a release before Delta tables (it holds {_OLD_LAYOUT} and "
                "versions/), which this one does not read. Delete that folder, or name another FRUIT_ASSETS_STORAGE, "
                f"and materialise {self.name} again."
            )
