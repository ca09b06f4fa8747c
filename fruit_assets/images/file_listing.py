"""All files below a folder or an `s3://` prefix, as they come: path, size, and what changes when a file changes.

Put here how places are listed. Which of the files are images belongs in `file_kinds.py`, their order in
`listing.py`.
"""

import os
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from fruit_assets.errors import InputError
from fruit_assets.images.s3_listing import list_in_parallel
from fruit_assets.object_store.s3_store import S3Store
from fruit_assets.object_store.stores import open_store

if TYPE_CHECKING:
    import pyarrow as pa

_FILES_AT_A_TIME = 8192


class ListedFile(NamedTuple):
    """A file as listed: path below the root with '/', size in bytes, and what changes when it changes."""

    path: str
    size: int
    stamp: str


def list_files(root: str) -> "pa.RecordBatchReader":
    """Stream `path: string, size: int64, stamp: string` of every file below `root`, in no order.

    The stamp is null where the name is no UTF-8: such a file can be counted, but not named in a table.

    Raises:
        InputError: the folder is missing or cannot be listed.
        StorageError: S3 cannot be listed.
    """
    store = open_store(root)
    return files_stream(
        (ListedFile(item.key, item.size, item.stamp) for item in list_in_parallel(store))
        if isinstance(store, S3Store)
        else _list_folder(Path(root))
    )


def files_stream(files: Iterable[ListedFile]) -> "pa.RecordBatchReader":
    """Listed files as a stream of columns, a few thousand at a time."""
    import pyarrow as pa

    return pa.RecordBatchReader.from_batches(files_schema(), _batches(iter(files)))


def files_schema() -> "pa.Schema":
    """Columns of a stream of files."""
    import pyarrow as pa

    return pa.schema([("path", pa.string()), ("size", pa.int64()), ("stamp", pa.string())])


def _batches(files: Iterator[ListedFile]) -> "Iterator[pa.RecordBatch]":
    import pyarrow as pa

    while some := list(islice(files, _FILES_AT_A_TIME)):
        try:
            columns = [pa.array(column) for column in zip(*some, strict=True)]
        except UnicodeEncodeError:
            columns = [pa.array(column) for column in zip(*map(_as_text, some), strict=True)]
        yield pa.RecordBatch.from_arrays(columns, schema=files_schema())


def _as_text(file: ListedFile) -> tuple[str, int, str | None]:
    text = os.fsencode(file.path).decode(errors="replace")
    return (text, file.size, file.stamp if text == file.path else None)


def _list_folder(root: Path) -> Iterator[ListedFile]:
    if not root.exists():
        raise InputError(
            f"The image folder {root} does not exist. Set FRUIT_ASSETS_IMAGES to a collection laid out "
            "<anything>/<label>/<file>.jpg, or make one: fruit-assets demo-images --out data/demo_images."
        )
    if not root.is_dir():
        raise InputError(
            f"FRUIT_ASSETS_IMAGES is {root}, which is a file. Name the folder that holds the class folders."
        )
    yield from _walk(root, "", frozenset())


def _walk(folder: Path, prefix: str, above: frozenset[tuple[int, int]]) -> Iterator[ListedFile]:
    folders = []
    try:
        status = folder.stat()
        identity = (status.st_dev, status.st_ino)
        if identity in above:  # a link back to a folder we are in
            return
        with os.scandir(folder) as entries:
            for entry in entries:
                if _is_folder(entry):
                    folders.append(entry.name)
                else:
                    yield _listed(entry, f"{prefix}{entry.name}")
    except OSError as error:
        raise InputError(f"Cannot list the image folder {folder}: {error.strerror}. Check its permissions.") from error
    for name in folders:
        yield from _walk(folder / name, f"{prefix}{name}/", above | {identity})


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _listed(entry: "os.DirEntry[str]", path: str) -> ListedFile:
    try:
        status = entry.stat()
    except OSError:  # a dangling link or a file just removed: reading it will say so, by name
        return ListedFile(path, 0, "")
    return ListedFile(path, status.st_size, str(status.st_mtime_ns))
