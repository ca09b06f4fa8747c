"""Images out of an archive on a web server, safely unpacked.

Put here what knows tar and zip. HTTP belongs in `download.py`, what becomes of the images in `fetch.py`.
"""

import gzip
import hashlib
import lzma
import shutil
import tarfile
import zipfile
import zlib
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from fruit_assets.demo.download import download
from fruit_assets.demo.fetch import WITHOUT_INTERNET, Progress, check_space, is_image, kept_path
from fruit_assets.errors import InputError

ARCHIVE = "https://github.com/fruits-360/fruits-360-100x100/archive/{ref}.tar.gz"
"""Archive of the public repository of the 100 x 100 pixel edition."""

_UNPACKED_PER_PACKED = 1.6  # photographs hardly shrink, and small files fill whole blocks of the disk
_UNREADABLE = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, gzip.BadGzipFile, EOFError)


@dataclass(frozen=True)
class Archive:
    """A `.tar`, `.tar.gz`, `.tar.xz`, `.tar.bz2` or `.zip` file on a web server.

    An interrupted download is continued where the server allows it and the file is unchanged, and
    otherwise starts again.

    Attributes:
        url: `http://` or `https://`.
        keep_in: folder that keeps the archive; None removes it.
    """

    url: str
    keep_in: Path | None = None

    def fill(self, draft: Path, on_progress: Progress) -> tuple[int, str]:
        """Download the archive and unpack its images; its size and checksum."""
        if urlsplit(self.url).scheme not in ("http", "https"):
            raise InputError(f"{self.url!r} is not a web address: use http:// or https://.")
        archive = draft.with_name("archive")
        download(self.url, archive, on_progress=partial(on_progress, "bytes"))
        size = archive.stat().st_size
        check_space(draft.parent, int(size * _UNPACKED_PER_PACKED), "unpacking")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir()
        try:
            _unpack(archive, draft, on_progress)
        except _UNREADABLE as error:
            archive.unlink()
            shutil.rmtree(draft)
            raise InputError(
                f"{self.url} did not give a readable archive ({error or type(error).__name__}); it was removed. "
                f"Run the command again, or check --url. {WITHOUT_INTERNET}"
            ) from error
        with archive.open("rb") as file:
            checksum = hashlib.file_digest(file, "sha256").hexdigest()
        if self.keep_in is not None:
            archive.replace(self.keep_in / (PurePosixPath(urlsplit(self.url).path).name or "archive"))
        archive.unlink(missing_ok=True)
        return size, f"sha256 {checksum}"


def _unpack(archive: Path, draft: Path, on_progress: Progress) -> None:
    """Write the files of the collection below `draft`; refuse names that would leave it."""
    images = 0

    def kept_name(name: str) -> str | None:
        nonlocal images
        kept = kept_path(name)
        images += kept is not None and is_image(name)
        if images and images % 200 == 0:
            on_progress("images", images, None)
        return None if kept is None else str(kept)

    def kept_member(member: tarfile.TarInfo, folder: str) -> tarfile.TarInfo | None:
        safe = tarfile.data_filter(member, folder)
        name = kept_name(safe.name) if safe.isfile() else None
        return None if name is None else safe.replace(name=name, deep=False)

    if not zipfile.is_zipfile(archive):
        with tarfile.open(archive, "r|*") as tar:
            tar.extractall(draft, filter=kept_member)  # noqa: S202 (the filter checks the names)
        return
    with zipfile.ZipFile(archive) as packed:
        for entry in packed.infolist():
            path = PurePosixPath(entry.filename)
            if path.is_absolute() or ".." in path.parts:
                raise zipfile.BadZipFile(f"{entry.filename!r} would be written outside the folder")
            name = None if entry.is_dir() else kept_name(entry.filename)
            if name is not None:
                entry.filename = name
                packed.extract(entry, draft)
