"""Small artifacts of a version: models, arrays, reports, as named files.

Put here how a handful of files is staged and fetched. They follow the same protocol as tables
(`versions.py`). No pickles: arrays are `.npy` without objects, everything else is the caller's bytes.
"""

import io
from pathlib import Path
from typing import TYPE_CHECKING

from fruit_assets.storage.tables import VersionWriter
from fruit_assets.storage.versions import DataFile, StagedVersion, Version

if TYPE_CHECKING:
    import numpy as np


def stage_files(files: dict[str, bytes], writing: VersionWriter) -> StagedVersion:
    """Write named files as a staged version."""
    writing.begin()
    listed = []
    for name, content in sorted(files.items()):
        key = f"{writing.prefix}/{name}"
        writing.folder.store.put(key, content)
        listed.append(DataFile(key, len(content)))
    return writing.folder.staged(writing.run_id, writing.attempt, tuple(listed))


def array_bytes(array: "np.ndarray") -> bytes:
    """An array in `.npy` format."""
    import numpy as np

    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def read_array(version: Version, name: str) -> "np.ndarray":
    """An array that `array_bytes` wrote; refuses pickled objects."""
    return array_from(version.read_file(name))


def array_from(content: bytes) -> "np.ndarray":
    """The array that `array_bytes` gave; refuses pickled objects."""
    import numpy as np

    array: np.ndarray = np.load(io.BytesIO(content), allow_pickle=False)
    return array


def fetch_files(version: Version, folder: Path) -> Path:
    """Copy all files of an artifact into a local folder, which must exist."""
    for file in version.manifest.files:
        name = file.path.rpartition("/")[2]
        (folder / name).write_bytes(version.store.get(file.path))
    return folder
