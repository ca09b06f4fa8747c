"""Tests of the download against a real HTTP server that misbehaves on demand."""

import hashlib
import io
import socket
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from fruit_assets.demo.archive_source import Archive
from fruit_assets.demo.collection import render_image
from fruit_assets.demo.download import download
from fruit_assets.demo.fetch import fetch_images
from fruit_assets.errors import InputError, TransientError


@dataclass
class Site:
    """What the server serves, how it misbehaves, and what it was asked for."""

    url: str = ""
    content: bytes = b""
    etag: str = '"one"'
    ranges: bool = True
    cut_after: list[int] = field(default_factory=list)
    status: int = 200
    claimed: int | None = None
    asked: list[str | None] = field(default_factory=list)
    sent: int = 0


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = self.headers.get("Range")
            site.asked.append(asked)
            if site.status != 200:
                self.send_error(site.status)
                return
            start = 0
            if asked and site.ranges and self.headers.get("If-Range") in (None, site.etag):
                start = int(asked.removeprefix("bytes=").rstrip("-"))
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {start}-{len(site.content) - 1}/{len(site.content)}")
            else:
                self.send_response(200)
            body = site.content[start:]
            self.send_header("Content-Length", str(site.claimed or len(body)))
            self.send_header("ETag", site.etag)
            self.end_headers()
            if site.cut_after:
                body = body[: site.cut_after.pop(0)]
            site.sent += len(body)
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Keep the test's output readable."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=[0.02], daemon=True).start()
    site.url = f"http://127.0.0.1:{server.server_port}/fruits.tar.gz"
    yield site
    server.shutdown()
    server.server_close()


JPEG = render_image(0, 0, 0)
FILES = {
    "fruits-main/LICENSE": b"CC BY-SA 4.0",
    "fruits-main/setup.py": b"raise SystemExit",
    "fruits-main/Training/Apple Braeburn/0_100.jpg": JPEG,
    "fruits-main/Training/Apple Braeburn/1_100.JPG": JPEG + b"1",
    "fruits-main/Training/Crème brûlée #2/0_100.jpg": JPEG,
    "fruits-main/Test/Apple Braeburn/3_100.jpg": JPEG,
    "fruits-main/Test/Apple Braeburn/notes.txt": b"not an image",
}


def _tar(files: dict[str, bytes], mode: str = "w:gz") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def _zip(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        for name, content in files.items():
            packed.writestr(name, content)
    return buffer.getvalue()


@pytest.mark.parametrize("pack", [_tar, lambda files: _tar(files, "w:xz"), _zip], ids=["tar.gz", "tar.xz", "zip"])
def test_an_archive_becomes_a_collection_of_its_images(site, tmp_path, pack):
    site.content = pack(FILES)
    progress = []
    out = tmp_path / "fruits"
    fetched = fetch_images(out, Archive(site.url), lambda *now: progress.append(now))
    assert (fetched.images, fetched.classes) == (4, 2)
    assert fetched.checksum == f"sha256 {hashlib.sha256(site.content).hexdigest()}"
    found = {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*") if path.is_file()}
    del found["fetched_images.json"]
    unwanted = ("fruits-main/setup.py", "fruits-main/Test/Apple Braeburn/notes.txt")
    assert found == {name.removeprefix("fruits-main/"): data for name, data in FILES.items() if name not in unwanted}
    assert progress[-1] == ("bytes", len(site.content), len(site.content))
    assert [path.name for path in tmp_path.iterdir()] == ["fruits"]


def test_what_was_fetched_is_not_fetched_again_and_not_mixed_with_another_archive(site, tmp_path):
    site.content = _tar(FILES)
    first = fetch_images(tmp_path / "fruits", Archive(site.url))
    assert fetch_images(tmp_path / "fruits", Archive(site.url)) == first
    assert len(site.asked) == 1
    with pytest.raises(InputError, match="holds images from"):
        fetch_images(tmp_path / "fruits", Archive(site.url + "?other"))


def test_a_cut_connection_is_continued_at_once_where_it_stopped(site, tmp_path):
    site.content, site.cut_after = bytes(range(256)) * 4000, [300_000, 200_000]
    download(site.url, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == site.content
    assert site.asked == [None, "bytes=300000-", "bytes=500000-"]
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_an_interrupted_download_is_continued_by_the_next_call(site, tmp_path):
    site.content, site.cut_after = bytes(range(256)) * 4000, [300_000]
    with pytest.raises(TransientError, match=r"broke off after 300,000 of 1,024,000 bytes\. Run the command again"):
        download(site.url, tmp_path / "file", attempts=1)
    seen = []
    download(site.url, tmp_path / "file", on_progress=lambda *now: seen.append(now))
    assert (tmp_path / "file").read_bytes() == site.content
    assert site.sent == len(site.content)
    assert seen[0][0] > 300_000


@pytest.mark.parametrize("change", ["etag", "no ranges", "weak etag"])
def test_a_file_that_changed_or_cannot_be_continued_is_downloaded_anew(site, tmp_path, change):
    site.content, site.cut_after = b"old" * 100_000, [200_000]
    site.etag = 'W/"one"' if change == "weak etag" else '"one"'
    with pytest.raises(TransientError):
        download(site.url, tmp_path / "file", attempts=1)
    site.content = b"new!" * 70_000
    site.etag = '"two"' if change == "etag" else site.etag
    site.ranges = change != "no ranges"
    download(site.url, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == site.content


def test_a_download_that_makes_no_headway_gives_up(site, tmp_path):
    site.content, site.cut_after = b"x" * 1000, [0] * 10
    with pytest.raises(TransientError, match="after 0 of 1,000 bytes"):
        download(site.url, tmp_path / "file")
    assert len(site.asked) == 1


@pytest.mark.parametrize(
    ("status", "error", "message"),
    [
        (404, InputError, "answered 404 Not Found. Check --url or --ref"),
        (403, InputError, "answered 403 Forbidden"),
        (503, TransientError, "answered 503 Service Unavailable. Try again later"),
    ],
)
def test_a_refusal_is_reported_with_what_to_do(site, tmp_path, status, error, message):
    site.status = status
    with pytest.raises(error, match=message):
        fetch_images(tmp_path / "fruits", Archive(site.url))
    assert list(tmp_path.iterdir()) == []


def test_no_connection_names_the_ways_without_internet(tmp_path):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/fruits.tar.gz"
        with pytest.raises(TransientError, match=r"cannot be reached .*fruit-assets demo-images.*FRUIT_ASSETS_IMAGES"):
            fetch_images(tmp_path / "fruits", Archive(url))


@pytest.mark.parametrize(
    "content",
    [b"<html>Sign in</html>" * 100, _tar(FILES)[:-400], _zip(FILES)[:-30], _tar(FILES)[:900] + b"\0" * 500, b""],
    ids=["a web page", "cut tar", "cut zip", "damaged", "empty"],
)
def test_what_is_no_readable_archive_is_removed_and_reported(site, tmp_path, content):
    site.content = content
    with pytest.raises(InputError, match="did not give a readable archive"):
        fetch_images(tmp_path / "fruits", Archive(site.url))
    assert not (tmp_path / "fruits").exists()
    site.content = _tar(FILES)
    assert fetch_images(tmp_path / "fruits", Archive(site.url)).images == 4


@pytest.mark.parametrize("pack", [_tar, _zip], ids=["tar", "zip"])
def test_an_archive_that_writes_outside_its_folder_is_refused(site, tmp_path, pack):
    site.content = pack({**FILES, "../../Training/Evil/0_100.jpg": JPEG})
    with pytest.raises(InputError, match="did not give a readable archive"):
        fetch_images(tmp_path / "deep" / "fruits", Archive(site.url))
    assert not list(tmp_path.rglob("Evil"))


def test_an_archive_without_images_and_a_folder_in_use_are_refused(site, tmp_path):
    site.content = _tar({"code-main/README.md": b"hello"})
    with pytest.raises(InputError, match="holds no images under Training, Test"):
        fetch_images(tmp_path / "fruits", Archive(site.url))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    with pytest.raises(InputError, match="is not empty and was not fetched"):
        fetch_images(tmp_path / "mine", Archive(site.url))
    with pytest.raises(InputError, match="is a file"):
        fetch_images(tmp_path / "mine" / "thesis.txt", Archive(site.url))
    with pytest.raises(InputError, match="is not a web address"):
        fetch_images(tmp_path / "fruits", Archive("ftp://example.org/fruits.zip"))


def test_a_download_larger_than_the_disk_is_refused_before_it_starts(site, tmp_path):
    site.content, site.claimed = b"x", 10**15
    with pytest.raises(
        InputError, match=r"The download needs 1,000,000.0 GB, and .* left\. Choose a folder on another"
    ):
        download(site.url, tmp_path / "file")
    assert site.asked == [None]
    assert list(tmp_path.iterdir()) == []
