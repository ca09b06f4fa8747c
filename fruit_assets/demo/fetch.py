"""The real photographs: the Fruits-360 archive, downloaded and safely unpacked into a folder.

Put here what makes a collection out of an archive. How bytes come over the net is `download`;
rendered images come from `collection.py`.
"""

import gzip
import hashlib
import json
import lzma
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO
from urllib.parse import urlsplit

from fruit_assets.demo.download import WITHOUT_INTERNET, Progress, check_space, download, sha256_of
from fruit_assets.errors import InputError

ARCHIVE = "https://github.com/fruits-360/fruits-360-100x100/archive/{ref}.tar.gz"
"""Archive of the public repository of the 100 x 100 pixel edition."""

REF = "2f981c83e352a9d4c15fb8c886034c817052c80b"
"""Its version of 2024-08-04: 94,110 images of 141 classes. Pinned, so that everybody gets the same images."""

MANIFEST = "fetched_images.json"
_SPLITS = ("Training", "Test", "Validation")
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")
_KEPT_FILES = ("LICENSE", "README.md")
_UNPACKED_PER_PACKED = 1.6  # photographs hardly shrink, and small files fill whole blocks of the disk
_UNREADABLE = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, gzip.BadGzipFile, EOFError)


@dataclass(frozen=True)
class Fetched:
    """A collection that was downloaded and unpacked.

    Attributes:
        root: the folder, laid out `{Training,Test}/<class>/<file>.jpg`.
        images: number of image files.
        classes: number of class folders, counted once per name.
        bytes: size of the archive, or of the images that came from a repository.
        checksum: sha256 of the archive, or the commit in a repository, to compare with other downloads.
        url: where it came from.
    """

    root: Path
    images: int
    classes: int
    bytes: int
    checksum: str
    url: str

    def publish(self, draft: Path) -> None:
        """Put a finished folder in place at once, with a note of what it holds."""
        facts = {key: value for key, value in vars(self).items() if key != "root"}
        (draft / MANIFEST).write_text(json.dumps(facts, indent=1) + "\n")
        if self.root.exists():
            self.root.rmdir()
        draft.replace(self.root)


def fetch_images(
    out: Path,
    url: str,
    *,
    on_download: Progress | None = None,
    on_unpack: Progress | None = None,
    keep_archive: bool = False,
) -> Fetched:
    """Download an archive of images and unpack its `Training`, `Test` and `Validation` folders.

    An interrupted download is continued where the server allows it and the file did not change
    meanwhile, and otherwise starts anew. Images appear in `out` when all are unpacked.

    Args:
        out: an empty or new folder, or one that an earlier call filled from the same URL.
        url: of a `.tar`, `.tar.gz`, `.tar.xz`, `.tar.bz2` or `.zip` file.
        on_download: called with bytes received and expected; None expected where the server does not say.
        on_unpack: called with images unpacked and None.
        keep_archive: keep the archive beside `out`.

    Raises:
        InputError: wrong URL, refused, not an archive of images, no space, unsuitable folder.
        TransientError: no connection, or it broke; the next call continues.
    """
    if urlsplit(url).scheme not in ("http", "https"):
        raise InputError(f"{url!r} is not a web address: use http:// or https://.")
    done = already_fetched(out, url)
    if done is not None:
        return done
    address = hashlib.sha256(url.encode()).hexdigest()[:12]
    archive = out.with_name(f".{out.name}.{address}.archive")  # never continued with bytes of another address
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        download(url, archive, on_progress=on_download)
        fetched = _unpack_into(out, archive, url, on_unpack)
        if keep_archive:
            archive.replace(out.with_name(Path(urlsplit(url).path).name or "archive"))
        archive.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"{out} cannot be written: {error}. Choose a folder on a disk with space for it.") from error
    return fetched


def already_fetched(out: Path, url: str) -> Fetched | None:
    """What the folder holds from this address; None when it is new or empty, an error when it holds something else."""
    if not out.exists():
        return None
    try:
        facts = json.loads((out / MANIFEST).read_text())
    except NotADirectoryError as error:
        raise InputError(f"{out} is a file. Choose a folder with --out.") from error
    except (OSError, ValueError):
        if any(out.iterdir()):
            raise InputError(f"{out} is not empty and was not fetched. Choose an empty or a new folder.") from None
        return None
    if facts["url"] != url:
        raise InputError(f"{out} holds images from {facts['url']}. Choose another folder, or delete this one first.")
    return Fetched(root=out, **facts)


def _unpack_into(out: Path, archive: Path, url: str, on_unpack: Progress | None) -> Fetched:
    """Unpack beside `out`, then put the folder in place at once."""
    check_space(out, int(archive.stat().st_size * _UNPACKED_PER_PACKED), "unpacking")
    draft = out.with_name(f".{out.name}.unpacking")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir()
    images, classes = 0, set[str]()
    try:
        for path in _unpack(archive, draft):
            if path.suffix.lower() in IMAGE_SUFFIXES:
                images += 1
                classes.add(path.parent.name)
                if on_unpack is not None and images % 200 == 0:
                    on_unpack(images, None)
        if not images:
            raise InputError(f"{url} holds no images under {', '.join(_SPLITS)}. Check --url.")
    except _UNREADABLE as error:
        archive.unlink()
        raise InputError(
            f"{url} did not give a readable archive ({error or type(error).__name__}); it was removed. "
            f"Run the command again, or check --url. {WITHOUT_INTERNET}"
        ) from error
    fetched = Fetched(out, images, len(classes), archive.stat().st_size, f"sha256 {sha256_of(archive)}", url)
    fetched.publish(draft)
    return fetched


def _unpack(archive: Path, folder: Path) -> Iterator[Path]:
    """Write the archive's images below `folder`; the paths written, one by one."""
    for name, content in _zip_members(archive) if zipfile.is_zipfile(archive) else _tar_members(archive, folder):
        kept = kept_path(name)
        if kept is not None:
            path = folder / kept
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as file:
                shutil.copyfileobj(content, file)
            yield path


def _tar_members(archive: Path, folder: Path) -> Iterator[tuple[str, IO[bytes]]]:
    with tarfile.open(archive, "r|*") as tar:
        for member in tar:
            if not member.isfile():
                continue
            tarfile.data_filter(member, str(folder))  # raises for names that leave the folder
            content = tar.extractfile(member)
            if content is not None:
                yield member.name, content


def _zip_members(archive: Path) -> Iterator[tuple[str, IO[bytes]]]:
    with zipfile.ZipFile(archive) as packed:
        for member in packed.infolist():
            if member.is_dir():
                continue
            if PurePosixPath(member.filename).is_absolute() or ".." in PurePosixPath(member.filename).parts:
                raise zipfile.BadZipFile(f"{member.filename!r} would be written outside the folder")
            with packed.open(member) as content:
                yield member.filename, content


def kept_path(name: str) -> PurePosixPath | None:
    """Where a member belongs in the collection; None for what is no part of it."""
    parts = PurePosixPath(name).parts
    if len(parts) <= 2 and parts[-1] in _KEPT_FILES:
        return PurePosixPath(parts[-1])  # the licence travels with the images
    for position, part in enumerate(parts[:-1]):
        if part in _SPLITS and PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES:
            return PurePosixPath(*parts[position:])
    return None
