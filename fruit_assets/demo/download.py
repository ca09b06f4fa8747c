"""One file over HTTP, continued where an earlier attempt stopped.

Put here what knows HTTP. What the file holds belongs in `fetch.py`.
"""

import hashlib
import http.client
import json
import shutil
import ssl
from collections.abc import Callable
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from fruit_assets.errors import FruitAssetsError, InputError, TransientError

Progress = Callable[[int, int | None], None]

WITHOUT_INTERNET = (
    "Without internet, render images with `fruit-assets demo-images`, or set FRUIT_ASSETS_IMAGES to a local copy."
)

_CHUNK = 1 << 20
_TIMEOUT = 30


def download(url: str, target: Path, *, attempts: int = 4, on_progress: Progress | None = None) -> None:
    """Download a file, continuing a partial one if it is still the same file on the server.

    A download that broke off is taken up again at once while it makes headway. The partial file
    lies beside the target as `<target>.part`, with what identifies the server's version (its ETag
    or modification date) in `<target>.part.json`.

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
            check_space(target, (total or 0) - start, "the download")
            if start == 0:
                part.write_bytes(b"")  # first, so that the note never describes bytes of an older file
            notes.write_text(json.dumps({"url": url, "validator": _validator(response)}))
            received = _receive(response, part, start, total, on_progress)
    except (http.client.HTTPException, TimeoutError, ConnectionError, ssl.SSLError) as error:
        raise TransientError(
            f"The download of {url} broke off ({error or type(error).__name__}). "
            f"Run the command again: it continues where the server allows it. {WITHOUT_INTERNET}"
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
        raise TransientError(f"{urlsplit(url).netloc} cannot be reached ({reason}). {WITHOUT_INTERNET}") from error
    return response


def _refused(url: str, error: HTTPError) -> FruitAssetsError:
    message = f"{url} answered {error.code} {error.reason}."
    if error.code >= http.HTTPStatus.INTERNAL_SERVER_ERROR or error.code == http.HTTPStatus.TOO_MANY_REQUESTS:
        return TransientError(f"{message} Try again later. {WITHOUT_INTERNET}")
    return InputError(f"{message} Check --url or --ref. {WITHOUT_INTERNET}")


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


def check_space(place: Path, needed: int, purpose: str) -> None:
    """Refuse to start what the disk of `place` has no room for; `needed` is in bytes."""
    free = shutil.disk_usage(place.parent).free
    if needed > free:
        raise InputError(
            f"{purpose.capitalize()} needs {needed / 1e9:,.1f} GB, and {place.parent} has {free / 1e9:,.1f} GB left. "
            "Choose a folder on another disk with --out."
        )
