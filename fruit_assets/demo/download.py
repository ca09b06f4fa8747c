"""One file over HTTP, continued where an earlier attempt stopped.

Put here what knows HTTP. What the file holds belongs in `archive_source.py`.
"""

import http.client
import ssl
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from fruit_assets.demo.fetch import WITHOUT_INTERNET, check_space
from fruit_assets.errors import FruitAssetsError, InputError, TransientError

_Progress = Callable[[int, int | None], None]
_CHUNK = 1 << 20
_TIMEOUT = 30
_BROKEN = (http.client.HTTPException, TimeoutError, ConnectionError, ssl.SSLError)


def download(url: str, target: Path, *, attempts: int = 4, on_progress: _Progress = lambda *_: None) -> None:
    """Download a file; one that exists is complete, a partial one is continued if the server still has that version.

    A download that broke off is taken up again at once while it makes headway. The partial file lies beside
    the target as `<target>.part`, and its ETag or modification date as `<target>.part.version`.

    Raises:
        InputError: the server refuses, or the disk has too little space.
        TransientError: no connection, or it broke; call again to continue.
    """
    part, version = (target.with_name(target.name + suffix) for suffix in (".part", ".part.version"))
    while not target.exists():
        before = _size(part)
        try:
            _receive(url, part, version, on_progress)
        except TransientError:
            attempts -= 1
            if attempts == 0 or _size(part) <= before:
                raise
        else:
            version.unlink(missing_ok=True)
            part.replace(target)


def _receive(url: str, part: Path, version: Path, on_progress: _Progress) -> None:
    """Append to the partial file what it lacks, or write it from the start."""
    size = _size(part)
    known = version.read_text() if size and version.exists() else ""
    with _open(url, {"Range": f"bytes={size}-", "If-Range": known} if known else {}) as response:
        received = size if response.status == HTTPStatus.PARTIAL_CONTENT else 0
        if received and not response.headers.get("Content-Range", "").startswith(f"bytes {size}-"):
            raise TransientError(f"{url} answered with another part than was asked for. Remove {part}, and try again.")
        length = response.headers.get("Content-Length")
        total = received + int(length) if length else None
        check_space(part.parent, (total or 0) - received, "the download")
        if received == 0:
            part.write_bytes(b"")  # first, so that the version never describes bytes of an older file
            version.write_text(_version_of(response))
        try:
            with part.open("ab") as file:
                while chunk := response.read1(_CHUNK):
                    file.write(chunk)
                    received += len(chunk)
                    on_progress(received, total)
            if total is not None and received < total:
                raise ConnectionError("the server closed the connection")
        except _BROKEN as error:
            amount = f"{received:,} of {total:,}" if total else f"{received:,}"
            raise TransientError(
                f"The download of {url} broke off after {amount} bytes. Run the command again to continue. "
                f"({error or type(error).__name__}) {WITHOUT_INTERNET}"
            ) from error


def _open(url: str, headers: dict[str, str]) -> http.client.HTTPResponse:
    request = Request(url, headers={"User-Agent": "fruit-assets", "Accept-Encoding": "identity", **headers})  # noqa: S310 (http and https only, checked by the caller)
    try:
        response: http.client.HTTPResponse = urlopen(request, timeout=_TIMEOUT)  # noqa: S310 (the same)
    except HTTPError as error:
        if error.code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and headers:
            return _open(url, {})
        raise _refused(url, error) from error
    except (URLError, *_BROKEN) as error:
        reason = getattr(error, "reason", error)
        raise TransientError(f"{urlsplit(url).netloc} cannot be reached ({reason}). {WITHOUT_INTERNET}") from error
    return response


def _refused(url: str, error: HTTPError) -> FruitAssetsError:
    message = f"{url} answered {error.code} {error.reason}."
    if error.code >= HTTPStatus.INTERNAL_SERVER_ERROR or error.code == HTTPStatus.TOO_MANY_REQUESTS:
        return TransientError(f"{message} Try again later. {WITHOUT_INTERNET}")
    return InputError(f"{message} Check --url or --ref. {WITHOUT_INTERNET}")


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _version_of(response: http.client.HTTPResponse) -> str:
    """The value for If-Range, where weak ETags are not allowed (RFC 9110, 13.1.5); empty when there is none."""
    etag = response.headers.get("ETag", "")
    return etag if etag and not etag.startswith("W/") else response.headers.get("Last-Modified", "")
