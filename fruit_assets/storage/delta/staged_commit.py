"""What is to be committed, and whether it may be: nothing twice, and nothing over newer work.

Put here the staged content of a table and how it compares with what the table holds. Committing is in `table.py`.
"""

from dataclasses import dataclass, replace
from typing import Any

from fruit_assets.errors import NewerVersionError, StorageError
from fruit_assets.storage.delta.version import Version

# Fact: for each asset that a version was made from, which of its versions.
INPUTS = "inputs"
# Fact: the ids of these tables; a table that was deleted and created again counts its versions from 0.
INPUT_TABLES = "input_tables"


@dataclass(frozen=True)
class StagedCommit:
    """What a table shall hold, complete on storage and seen by no reader until `Table.commit`.

    Attributes:
        base: the version that the table had when the work began; None when it had none.
        version: the table as readers would see it.
    """

    base: Version | None
    version: Version

    def with_facts(self, **facts: Any) -> "StagedCommit":
        """Add what identifies the content; a commit is made when facts differ, even if files do not."""
        return replace(self, version=replace(self.version, facts={**self.version.facts, **facts}))

    def with_figures(self, **figures: Any) -> "StagedCommit":
        """Add what this run measured; figures alone are no reason for a commit."""
        return replace(self, version=replace(self.version, figures={**self.version.figures, **figures}))

    def made_from(self, *inputs: Version) -> "StagedCommit":
        """Name the versions that it was made from: it will not replace what was made from newer ones."""
        numbers = {version.name: version.published for version in inputs}
        return self.with_facts(
            **{INPUTS: numbers, INPUT_TABLES: {version.name: version.table_id for version in inputs}}
        )


def is_published(current: Version, staged: StagedCommit) -> bool:
    """Whether nothing is left to publish: the same files and facts, or another run's result with the same facts."""
    wanted = staged.version
    if current.facts != wanted.facts or _types(current) != _types(wanted):
        return False
    overtaken = staged.base is None or current.published != staged.base.published
    same_files = {file.path for file in current.files} == {file.path for file in wanted.files}
    return same_files or (overtaken and current.row_count == wanted.row_count)


def _types(version: Version) -> list[tuple[str, str]]:
    return [(column.name, column.type) for column in version.columns]


def require_files(staged: StagedCommit) -> None:
    """Files of earlier versions that come back may have been removed from storage since they were listed."""
    held = {file.path for file in staged.base.files} if staged.base is not None else set()
    new = tuple(file for file in staged.version.files if file.path not in held)
    if not replace(staged.version, files=new).is_intact():
        raise StorageError(
            f"Files that were to be published at {staged.version.store.uri} no longer exist. Run it again."
        )


def require_newest(current: Version, staged: StagedCommit) -> None:
    """Refuse to replace what others published meanwhile, unless it was made from older inputs than ours."""
    tables, their_tables = staged.version.facts.get(INPUT_TABLES, {}), current.facts.get(INPUT_TABLES, {})
    mine, theirs = staged.version.facts.get(INPUTS, {}), current.facts.get(INPUTS, {})
    common = [name for name in theirs if name in mine and tables.get(name) == their_tables.get(name)]
    if name := next((name for name in common if mine[name] < theirs[name]), None):
        raise NewerVersionError(
            f"Version {current.number} of {current.name}, by run {current.run_id}, was made from version "
            f"{theirs[name]} of {name}; this run read version {mine[name]}. Nothing was published. Run it again."
        )
    base = staged.base.published if staged.base is not None else None
    if current.published != base and not any(mine[name] > theirs[name] for name in common):
        started = "before there was any version" if base is None else f"from version {base}"
        raise NewerVersionError(
            f"Run {current.run_id or 'of another program'} published version {current.published} of {current.name} "
            f"while this run worked {started}. Nothing was published. Run it again to build on the newer version."
        )
