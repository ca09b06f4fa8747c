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

LOG = "_delta_log"


@dataclass(frozen=True)
class CommitInfo:
    """One commit.

    Attributes:
        number: the version that it made.
        time: when.
        operation: Delta's name of what was done, such as `WRITE` or `OPTIMIZE`.
        run_id: the Dagster run; empty when another program committed.
        code_version: of the asset that was published.
        facts: see `table_version.Version`.
        figures: see `table_version.Version`.
        published: see `table_version.Version`.
        ours: whether the commit holds facts; those of other programs do not.
    """

    number: int
    time: datetime
    operation: str
    run_id: str = ""
    code_version: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    figures: Mapping[str, Any] = field(default_factory=dict)
    published: int = 0
    ours: bool = True


def commit_metadata(
    run_id: str, code_version: str, facts: Mapping[str, Any], figures: Mapping[str, Any], published: int | None = None
) -> dict[str, Any]:
    """The metadata of a commit; `published` only where it publishes no new content."""
    named = {key: value for key, value in facts.items() if isinstance(value, str)}
    # As text: delta-rs writes some floats with another last digit, and then no run would find its facts published.
    texts = {"facts": json.dumps(dict(facts)), "figures": json.dumps(dict(figures))}
    metadata = {**named, "run_id": run_id, "code_version": code_version, **texts}
    return metadata if published is None else {**metadata, "published": published}


def read_commit(store: Store, number: int) -> CommitInfo | None:
    """What one commit says; None when the log does not reach back that far."""
    try:
        lines = store.get(f"{LOG}/{number:020}.json").splitlines()
    except KeyError:
        return None
    actions = (json.loads(line) for line in lines if b'"commitInfo"' in line)
    info: dict[str, Any] = next((action["commitInfo"] for action in actions if "commitInfo" in action), {})
    return CommitInfo(
        number=number,
        time=datetime.fromtimestamp(info.get("timestamp", 0) / 1000, UTC),
        operation=info.get("operation", "unknown"),
        run_id=info.get("run_id", ""),
        code_version=info.get("code_version") or "",
        facts=_object(info.get("facts", {})),
        figures=_object(info.get("figures", {})),
        published=info.get("published", number),
        ours="facts" in info,
    )


def _object(value: str | dict[str, Any]) -> dict[str, Any]:
    """Text as an object; logs of earlier releases hold the object itself."""
    return dict(json.loads(value)) if isinstance(value, str) else value


def read_commits(store: Store, newest: int) -> Iterator[CommitInfo]:
    """The commits from `newest` back to the oldest that the log still holds."""
    for number in range(newest, -1, -1):
        if (commit := read_commit(store, number)) is None:
            return
        yield commit
