"""Small artifacts: models, arrays, reports, as rows `name, content` of a Delta table.

Put here how a handful of named files is staged and read. No pickles: arrays are `.npy` without objects, everything else
is the caller's bytes.
"""

import io
from typing import TYPE_CHECKING

from fruit_assets.errors import StorageError
from fruit_assets.storage.delta.columns import columns_of
from fruit_assets.storage.delta.staged_commit import StagedCommit
from fruit_assets.storage.delta.version import Version
from fruit_assets.storage.parquet_files import read_tables
from fruit_assets.storage.staging import VersionWriter, write_file

if TYPE_CHECKING:
    import numpy as np

ARTIFACT_COLUMNS = columns_of("name string, content binary")


def stage_files(files: dict[str, bytes], writing: VersionWriter) -> StagedCommit:
    """Write named files, each as a row in a Parquet file of its own, so that one can be read without the others."""
    import pyarrow as pa

    rows = [
        pa.table({"name": [name], "content": pa.array([content], pa.binary())})
        for name, content in sorted(files.items())
    ]
    writing.require_writable()
    listed = [write_file(row, writing, "name") for row in rows]
    return writing.stage(listed, ARTIFACT_COLUMNS)


def read_file(version: Version, name: str) -> bytes:
    """The bytes of one named file; raises StorageError when there is no such."""
    files = [file for file in version.files if file.least.get("name", "") <= name <= file.greatest.get("name", name)]
    for table in read_tables(version.store, files, None):
        for row in table.to_pylist():
            if row["name"] == name:
                content: bytes = row["content"]
                return content
    raise StorageError(f"{version} holds no {name}.")


def array_bytes(array: "np.ndarray") -> bytes:
    """An array in `.npy` format."""
    import numpy as np

    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def read_array(version: Version, name: str) -> "np.ndarray":
    """An array that `array_bytes` wrote; see `array_from`."""
    return array_from(read_file(version, name))


def array_from(content: bytes) -> "np.ndarray":
    """The array that `array_bytes` gave; refuses pickled objects."""
    import numpy as np

    array: np.ndarray = np.load(io.BytesIO(content), allow_pickle=False)
    return array
