"""Which images there are: paths, labels, sizes and a version of the whole collection.

Put here what can be known from a listing alone, of a folder or an `s3://` prefix. No image byte is
read here; choosing among the images belongs in `sampling.py`.
"""

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

from fruit_assets.errors import InputError
from fruit_assets.storage.stores import open_store

if TYPE_CHECKING:
    import pyarrow as pa

_FILES_AT_A_TIME = 8192
# Part of what the digest is: with another number every larger collection would count as changed.
_FILES_OF_A_DIGEST_AT_A_TIME = 65536
IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp"})


class ListedFile(NamedTuple):
    """A file as listed: path below the root with '/', size in bytes, and what changes when it changes."""

    path: str
    size: int
    stamp: str


@dataclass(frozen=True)
class ImageListing:
    """The images of a collection, by path.

    Attributes:
        root: the collection's folder or `s3://` URI.
        table: `path, label: string, size: int64, stamp: string`, sorted by path.
        ignored: files that are no images by their suffix, hidden, or named by bytes that are no UTF-8.
        unlabelled: images that lie in the root itself, in no class folder; they are left out.
    """

    root: str
    table: "pa.Table"
    ignored: int
    unlabelled: int

    @property
    def count(self) -> int:
        return int(self.table.num_rows)

    @property
    def total_bytes(self) -> int:
        import pyarrow.compute as pc

        return int(pc.sum(self.table["size"]).as_py() or 0)

    def class_counts(self) -> dict[str, int]:
        """Images per label, by label."""
        counted = self.table["label"].value_counts().to_pylist()
        return {item["values"]: item["counts"] for item in sorted(counted, key=lambda item: item["values"])}

    def data_version(self) -> str:
        """A digest that changes when an image is added, removed, renamed or rewritten."""
        return digest_of(self.table)


def digest_of(files: "pa.Table") -> str:
    """A digest of `path, size, stamp` of some listed files, however their rows lie in chunks."""
    digest = hashlib.sha256()
    whole = files.select(["path", "size", "stamp"]).combine_chunks()
    for batch in whole.to_batches(max_chunksize=_FILES_OF_A_DIGEST_AT_A_TIME):
        columns = (batch.column(index).to_pylist() for index in range(3))
        digest.update(
            "\n".join(f"{path}\0{size}\0{stamp}" for path, size, stamp in zip(*columns, strict=True)).encode()
        )
    return digest.hexdigest()[:32]


def list_images(root: str) -> ImageListing:
    """List the images below `root`, a folder or an `s3://` prefix laid out `<anything>/<label>/<file>`.

    Raises:
        InputError: the collection is missing, cannot be listed, or holds no labelled image.
    """
    import pyarrow as pa

    files = _list_s3(root) if root.startswith("s3://") else _list_folder(Path(root))
    tables, others, unlabelled = [_listing_schema().empty_table()], 0, 0
    # A million images are hundreds of megabytes of Python's objects, and few of columns.
    while some := list(islice(files, _FILES_AT_A_TIME)):
        images = [file for file in some if _is_image(file.path)]
        labelled = [file for file in images if "/" in file.path]
        others += len(some) - len(images)
        unlabelled += len(images) - len(labelled)
        tables.append(_table_of(labelled))
    table = pa.concat_tables(tables)
    if not table.num_rows:
        raise InputError(
            f"No images in {root} ({others} other files, {unlabelled} images outside class folders). "
            "Expected <anything>/<label>/<file>.jpg. Point FRUIT_ASSETS_IMAGES at a collection, or make one: "
            "fruit-assets demo-images --out data/demo_images."
        )
    return ImageListing(root, table.sort_by("path"), others, unlabelled)


def _table_of(files: Sequence[ListedFile]) -> "pa.Table":
    import pyarrow as pa

    labels = [file.path.split("/")[-2] for file in files]
    columns = [file.path for file in files], labels, [file.size for file in files], [file.stamp for file in files]
    return pa.table(list(columns), schema=_listing_schema())


def _listing_schema() -> "pa.Schema":
    import pyarrow as pa

    return pa.schema([("path", pa.string()), ("label", pa.string()), ("size", pa.int64()), ("stamp", pa.string())])


def _is_image(path: str) -> bool:
    hidden = path.startswith(".") or "/." in path
    return not hidden and PurePosixPath(path).suffix.lower() in IMAGE_SUFFIXES and _is_text(path)


def _is_text(path: str) -> bool:
    """Whether tables can name this file: a folder may hold names that are no UTF-8."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def _list_s3(root: str) -> Iterator[ListedFile]:
    for item in open_store(root).list():
        yield ListedFile(item.key, item.size, item.stamp)


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
    try:
        status = folder.stat()
        entries = list(os.scandir(folder))
    except OSError as error:
        raise InputError(f"Cannot list the image folder {folder}: {error.strerror}. Check its permissions.") from error
    identity = (status.st_dev, status.st_ino)
    if identity in above:  # a link back to a folder we are in
        return
    for entry in entries:
        path = f"{prefix}{entry.name}"
        if _is_folder(entry):
            yield from _walk(Path(entry.path), f"{path}/", above | {identity})
        else:
            yield _listed(entry, path)


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
