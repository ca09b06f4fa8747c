"""Which files are images: by suffix where it is an image's, by the first bytes where it is not.

Put here suffixes, and the look at a few files of an unknown kind. Signatures belong in `content_kind.py`.
"""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import NamedTuple

from fruit_assets.errors import StorageError
from fruit_assets.images.content_kind import HEAD_BYTES, content_kind
from fruit_assets.object_store.stores import open_store

# Of the formats that `decoding.py` reads.
IMAGE_SUFFIXES = frozenset({
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".bmp", ".dib", ".gif", ".tif", ".tiff", ".webp", ".avif",
    ".avifs",
})  # fmt: skip
# What commonly lies beside images. Files of any other suffix, or of none, are looked into.
OTHER_SUFFIXES = frozenset({
    ".txt", ".md", ".rst", ".csv", ".tsv", ".json", ".jsonl", ".xml", ".html", ".htm", ".yaml", ".yml", ".toml", ".ini",
    ".cfg", ".log", ".pdf", ".doc", ".docx", ".xls", ".xlsx", ".py", ".ipynb", ".sh", ".js", ".css", ".zip", ".tar",
    ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar", ".parquet", ".npy", ".npz", ".pt", ".pth", ".h5", ".hdf5", ".pkl",
    ".db", ".sqlite", ".md5", ".sha1", ".sha256", ".mp4", ".mov", ".avi", ".mkv", ".mp3", ".wav", ".lock", ".bak",
    ".tmp", ".part",
})  # fmt: skip
# Files looked into of one suffix in one folder. Where there are no more, each is judged by itself.
PEEKED_FILES = 8
_PEEKERS = 16


class UnknownFiles(NamedTuple):
    """Files of one folder whose suffix does not say what they are: how many, and the first few paths."""

    folder: str
    suffix: str
    files: int
    first: list[str]


def images_among(root: str, unknown: Iterable[UnknownFiles]) -> tuple[list[tuple[str, str]], list[str]]:
    """Look into a few files of every unknown kind, at most 8 of one suffix in one folder.

    Of a kind of few files each is judged by itself. Of a kind of many all are images when any of the first is: the
    workers reject by name what is none.

    Args:
        root: the collection's folder or `s3://` URI.
        unknown: in groups.

    Returns:
        The groups (folder, suffix) that are images as a whole, and the paths of other images.
    """
    groups, paths = [], []
    with ThreadPoolExecutor(_PEEKERS) as pool:
        for kind, found in pool.map(lambda kind: (kind, list(_images_of(root, kind.first))), unknown):
            if kind.files > len(kind.first):
                groups += [(kind.folder, kind.suffix)] if found else []
            else:
                paths += found
    return groups, paths


def _images_of(root: str, paths: list[str]) -> Iterator[str]:
    store = open_store(root)
    for path in paths:
        # What has vanished or is not permitted stays ignored, by name.
        with suppress(KeyError, StorageError):
            if content_kind(store.head(path, HEAD_BYTES)).decoded:
                yield path
