"""Small tables for tests: Arrow rows staged from this process, and artifacts as a dictionary."""

import pyarrow as pa
from deltalake import Schema

from fruit_assets.storage.delta.columns import from_delta
from fruit_assets.storage.delta.staged_commit import StagedCommit
from fruit_assets.storage.delta.version import Version
from fruit_assets.storage.staging import VersionWriter, write_file


def stage_table(table: pa.Table, writing: VersionWriter, key: str = "path") -> StagedCommit:
    """Write an Arrow table as one file, and stage it as all that the table shall hold."""
    files = [write_file(table, writing, key)] if table.num_rows else []
    return writing.stage(files, from_delta(Schema.from_arrow(table.schema)))


def read_all(version: Version) -> dict[str, bytes]:
    """All named files of an artifact."""
    return {row["name"]: row["content"] for row in version.read_table().to_pylist()}
