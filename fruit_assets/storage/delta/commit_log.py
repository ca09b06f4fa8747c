"""What the commits of a Delta table say about themselves.

Put here how our metadata gets into a commit and out of it. The log is read as Delta's protocol defines it, one small
JSON file per commit: delta-rs' own `history` finds nothing below a folder with '#' in its name.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from fruit_assets.object_store.stores import Store
from fruit_assets.storage.delta.version import STAGED, Version

# Operations of other programs that leave the rows as they are.
_MAINTENANCE = frozenset({"OPTIMIZE", "VACUUM START", "VACUUM END", "SET TBLPROPERTIES", "CHANGE COLUMN"})


@dataclass(frozen=True)
class CommitInfo:
    """One commit.

    Attributes:
        number: the version that it made.
        time: when.
        operation: Delta's name of what was done, such as `WRITE` or `OPTIMIZE`.
        run_id: the Dagster run; empty when another program committed.
        facts: see `Version`, as for `figures` and `published`.
        ours: whether the commit holds facts; those of other programs do not.
    """

    number: int
    time: datetime
    operation: str
    run_id: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    figures: Mapping[str, Any] = field(default_factory=dict)
    published: int = 0
    ours: bool = True


def commit_metadata(version: Version, code_version: str = "") -> dict[str, Any]:
    """The metadata of a commit of this version; it names what was `published` only where that is not the commit."""
    named = {key: value for key, value in version.facts.items() if isinstance(value, str)}
    # As text: delta-rs writes some floats with another last digit, and then no run would find its facts published.
    texts = {"facts": json.dumps(dict(version.facts)), "figures": json.dumps(dict(version.figures))}
    published = {} if version.published == STAGED else {"published": version.published}
    return {**named, "run_id": version.run_id, "code_version": code_version, **texts, **published}


def read_commits(store: Store, newest: int) -> Iterator[CommitInfo]:
    """The commits from `newest` back to the oldest that the log still holds."""
    for number in range(newest, -1, -1):
        try:
            yield _commit(number, store.get(f"_delta_log/{number:020}.json"))
        except KeyError:
            return


def content_commit(store: Store, number: int) -> CommitInfo:
    """The commit whose facts hold for version `number`; without any when another program changed the rows."""
    newest = CommitInfo(number, datetime.now(UTC), "unknown", published=number, ours=False)
    for commit in read_commits(store, number):
        newest = commit if commit.number == number else newest
        if commit.ours:
            return commit
        if commit.operation not in _MAINTENANCE:
            break
    return newest


def _commit(number: int, text: bytes) -> CommitInfo:
    actions = (json.loads(line) for line in text.splitlines() if b'"commitInfo"' in line)
    info: dict[str, Any] = next((action["commitInfo"] for action in actions if "commitInfo" in action), {})
    return CommitInfo(
        number=number,
        time=datetime.fromtimestamp(info.get("timestamp", 0) / 1000, UTC),
        operation=info.get("operation", "unknown"),
        run_id=info.get("run_id", ""),
        facts=_object(info.get("facts", {})),
        figures=_object(info.get("figures", {})),
        published=info.get("published", number),
        ours="facts" in info,
    )


def _object(value: str | dict[str, Any]) -> dict[str, Any]:
    """Text as an object; logs of earlier releases hold the object itself."""
    return dict(json.loads(value)) if isinstance(value, str) else value
