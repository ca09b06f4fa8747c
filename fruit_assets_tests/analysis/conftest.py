"""A small table of features that grows and shrinks as `image_features` does."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from fruit_assets.object_store.stores import LocalStore
from fruit_assets.storage.delta.columns import columns_of
from fruit_assets.storage.delta.table import Table
from fruit_assets.storage.delta.version import Version
from fruit_assets.storage.parquet_files import DataFile
from fruit_assets.storage.staging import VersionWriter, write_file

COLUMNS = columns_of("path string, label string, sha256 string, features array<float>")


class FeatureTable:
    """Versions of `image_features`; rows are named by whole numbers, and one file holds the rows of one call."""

    def __init__(self, folder: Path) -> None:
        self.table = Table(LocalStore(folder / "image_features"))
        self.rows: dict[int, np.ndarray] = {}
        self._names_in: dict[str, list[int]] = {}

    def change(self, added: np.ndarray | None = None, removed: Sequence[int] = ()) -> Version:
        """Publish a version with some more rows, in a file of their own, and without some others.

        Files that hold rows to remove are written again without these.
        """
        before = self.table.current_or_none()
        writing = VersionWriter(self.table, f"run-{0 if before is None else before.number + 1}")
        files = [file for file in (before.files if before else ()) if not self._holds(file, removed)]
        copied = [name for name in self.rows if name not in removed and not self._is_in(name, files)]
        for name in removed:
            del self.rows[name]
        if copied:
            files.append(self._write(copied, writing))
        if added is not None:
            first = 1 + max([-1, *self.rows, *removed])
            self.rows |= {first + number: row for number, row in enumerate(added)}
            files.append(self._write(list(range(first, first + len(added))), writing))
        version = f"v{writing.run_id}"
        staged = writing.stage(files, COLUMNS, {"data_version": version, "features_fingerprint": "network-f32"})
        return self.table.commit(staged)

    def matrix(self) -> np.ndarray:
        """The rows that the newest version holds."""
        return np.array(list(self.rows.values()))

    def _holds(self, file: DataFile, names: Sequence[int]) -> bool:
        return not set(names).isdisjoint(self._names_in[file.path])

    def _is_in(self, name: int, files: Sequence[DataFile]) -> bool:
        return any(name in self._names_in[file.path] for file in files)

    def _write(self, names: Sequence[int], writing: VersionWriter) -> DataFile:
        rows = pa.table(
            {
                "path": [f"a/{name:05}.jpg" for name in names],
                "label": ["a"] * len(names),
                "sha256": [f"{name:064}" for name in names],
                "features": pa.array([self.rows[name] for name in names], pa.list_(pa.float32())),
            }
        )
        file = write_file(rows, writing, "path")
        self._names_in[file.path] = list(names)
        return file


@pytest.fixture
def features(tmp_path: Path) -> FeatureTable:
    return FeatureTable(tmp_path)


def random_rows(count: int, width: int, seed: int = 0, offset: float = 0.0) -> np.ndarray:
    """float32 rows with spreads over two orders, and columns that are correlated the same way whatever the seed."""
    mixing = np.random.default_rng(99).normal(size=(width, width)) * np.logspace(-1, 1, width)
    return (np.random.default_rng(seed).normal(size=(count, width)) @ mixing + offset).astype(np.float32)
