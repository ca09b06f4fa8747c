"""The real photographs: a resumable download of the Fruits-360 archive, unpacked safely.

Put here what moves bytes from a web server into a folder of images. Collections that are already
in a folder or a bucket need none of this, and demo images are `demo_images`.
"""

import gzip
import hashlib
import http.client
import json
import lzma
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from fruit_assets.errors import FruitAssetsError, InputError, TransientError

ARCHIVE = "https://github.com/fruits-360/fruits-360-100x100/archive/{ref}.tar.gz"
"""Archive of the public repository of the 100 x 100 pixel edition; CC BY-SA 4.0."""

REF = "main"

_MANIFEST = "fetched_images.json"
_SPLITS = ("Training", "Test", "Validation")
_IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")
_KEPT_FILES = ("LICENSE", "README.md")
_UNPACKED_PER_PACKED = 1.6  # photographs hardly shrink, and small files fill whole blocks of the disk
_UNREADABLE = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, gzip.BadGzipFile, EOFError)
_CHUNK = 1 << 20
_TIMEOUT = 30
_WITHOUT_INTERNET = (
    "Without internet, render images with `fruit-assets demo-images`, or set FRUIT_ASSETS_IMAGES to a local copy."
)

Progress = Callable[[int, int | None], None]


@dataclass(frozen=True)
class Fetched:
    """A collection that was downloaded and unpacked.

    Attributes:
        root: the folder, laid out `{Training,Test}/<class>/<file>.jpg`.
        images: number of image files.
        classes: number of class folders, counted once per name.
        bytes: size of the archive.
        sha256: of the archive, to compare with other downloads of the same reference.
        url: where it came from.
    """

    root: Path
    images: int
    classes: int
    bytes: int
    sha256: str
    url: str


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
    done = _already_fetched(out, url)
    if done is not None:
        return done
    archive = out.with_name(f".{out.name}.archive")
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


def download(url: str, target: Path, *, attempts: int = 4, on_progress: Progress | None = None) -> None:
    """Download a file, continuing a partial one if it is still the same file on the server.

    A download that broke off is taken up again at once while it makes headway. The partial file lies beside the target as `<target>.part`, with what identifies the server's
    version (its ETag or modification date) in `<target>.part.json`.

    Raises:
        InputError: the server refuses, or the disk has too little space.
        TransientError: no connection, or it broke; call again to continue.
    """
    part = target.with_name(target.name + ".part")
    for attempt in range(attempts):
        before = part.stat().st_size if part.exists() else 0
        try:
            if not target.exists():
                _download_once(url, target, part, on_progress)
            return
        except TransientError:
            headway = part.exists() and part.stat().st_size > before
            if attempt + 1 == attempts or not headway:
                raise


def _download_once(url: str, target: Path, part: Path, on_progress: Progress | None) -> None:
    notes = part.with_name(part.name + ".json")
    try:
        with _open(url, part, notes) as response:
            start, total = _position(response)
            _check_space(target, (total or 0) - start, "the download")
            notes.write_text(json.dumps({"url": url, "validator": _validator(response)}))
            received = _receive(response, part, start, total, on_progress)
    except (http.client.HTTPException, TimeoutError, ConnectionError) as error:
        raise TransientError(
            f"The download of {url} broke off ({error or type(error).__name__}). "
            f"Run the command again: it continues where the server allows it. {_WITHOUT_INTERNET}"
        ) from error
    if total is not None and received < total:
        raise TransientError(
            f"The download of {url} broke off after {received:,} of {total:,} bytes. Run the command again to continue."
        )
    part.replace(target)
    notes.unlink(missing_ok=True)


def sha256_of(path: Path) -> str:
    """Checksum of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _open(url: str, part: Path, notes: Path) -> http.client.HTTPResponse:
    """Ask for the rest of a partial file, or for all of it."""
    headers = {"User-Agent": "fruit-assets", "Accept-Encoding": "identity"}
    size = part.stat().st_size if part.exists() else 0
    validator = _noted_validator(notes, url)
    if size and validator:
        headers |= {"Range": f"bytes={size}-", "If-Range": validator}
    try:
        response: http.client.HTTPResponse = urlopen(Request(url, headers=headers), timeout=_TIMEOUT)  # noqa: S310 (http and https only, checked by the caller)
    except HTTPError as error:
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and "Range" in headers:
            part.unlink()
            return _open(url, part, notes)
        raise _refused(url, error) from error
    except (URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
        reason = getattr(error, "reason", error)
        raise TransientError(f"{urlsplit(url).netloc} cannot be reached ({reason}). {_WITHOUT_INTERNET}") from error
    return response


def _refused(url: str, error: HTTPError) -> FruitAssetsError:
    message = f"{url} answered {error.code} {error.reason}."
    if error.code >= http.HTTPStatus.INTERNAL_SERVER_ERROR or error.code == http.HTTPStatus.TOO_MANY_REQUESTS:
        return TransientError(f"{message} Try again later. {_WITHOUT_INTERNET}")
    return InputError(f"{message} Check --url or --ref. {_WITHOUT_INTERNET}")


def _noted_validator(notes: Path, url: str) -> str | None:
    try:
        noted = json.loads(notes.read_text())
    except (OSError, ValueError):
        return None  # without a note the partial file cannot be trusted, and the download starts anew
    return str(noted["validator"]) if noted.get("url") == url and noted.get("validator") else None


def _validator(response: http.client.HTTPResponse) -> str | None:
    """What If-Range may be asked with: weak ETags are not allowed there (RFC 9110, 13.1.5)."""
    etag = response.headers.get("ETag")
    return etag if etag and not etag.startswith("W/") else response.headers.get("Last-Modified")


def _position(response: http.client.HTTPResponse) -> tuple[int, int | None]:
    """The first byte the server sends, and the size of the whole file if known."""
    length = response.headers.get("Content-Length")
    if response.status != http.HTTPStatus.PARTIAL_CONTENT:
        return 0, int(length) if length else None
    unit, _, rest = response.headers.get("Content-Range", "").partition(" ")
    first, _, total = rest.partition("/")
    if unit != "bytes" or not first.split("-")[0].isdigit():
        raise http.client.HTTPException(f"unreadable Content-Range {rest!r}")
    return int(first.split("-")[0]), int(total) if total.isdigit() else None


def _receive(
    response: http.client.HTTPResponse, part: Path, start: int, total: int | None, on_progress: Progress | None
) -> int:
    """Write the response behind the first `start` bytes; the size of the file then."""
    received = start
    with part.open("r+b" if start else "wb") as file:
        file.seek(start)
        file.truncate()
        while chunk := response.read1(_CHUNK):
            file.write(chunk)
            received += len(chunk)
            if on_progress is not None:
                on_progress(received, total)
    return received


def _check_space(place: Path, needed: int, purpose: str) -> None:
    free = shutil.disk_usage(place.parent).free
    if needed > free:
        raise InputError(
            f"{purpose.capitalize()} needs {needed / 1e9:,.1f} GB, and {place.parent} has {free / 1e9:,.1f} GB left. "
            "Choose a folder on another disk with --out."
        )


def _already_fetched(out: Path, url: str) -> Fetched | None:
    if not out.exists():
        return None
    try:
        facts = json.loads((out / _MANIFEST).read_text())
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
    _check_space(out, int(archive.stat().st_size * _UNPACKED_PER_PACKED), "unpacking")
    draft = out.with_name(f".{out.name}.unpacking")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir()
    images, classes = 0, set[str]()
    try:
        for path in _unpack(archive, draft):
            if path.suffix.lower() in _IMAGE_SUFFIXES:
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
            f"Run the command again, or check --url. {_WITHOUT_INTERNET}"
        ) from error
    fetched = Fetched(out, images, len(classes), archive.stat().st_size, sha256_of(archive), url)
    facts = {key: value for key, value in vars(fetched).items() if key != "root"}
    (draft / _MANIFEST).write_text(json.dumps(facts, indent=1) + "\n")
    if out.exists():
        out.rmdir()
    draft.replace(out)
    return fetched


def _unpack(archive: Path, folder: Path) -> Iterator[Path]:
    """Write the archive's images below `folder`; the paths written, one by one."""
    for name, content in _zip_members(archive) if zipfile.is_zipfile(archive) else _tar_members(archive, folder):
        kept = _kept_path(name)
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


def _kept_path(name: str) -> PurePosixPath | None:
    """Where a member belongs in the collection; None for what is no part of it."""
    parts = PurePosixPath(name).parts
    if len(parts) <= 2 and parts[-1] in _KEPT_FILES:
        return PurePosixPath(parts[-1])  # the licence travels with the images
    for position, part in enumerate(parts[:-1]):
        if part in _SPLITS and PurePosixPath(name).suffix.lower() in _IMAGE_SUFFIXES:
            return PurePosixPath(*parts[position:])
    return None
