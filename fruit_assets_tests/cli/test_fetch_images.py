"""Tests of `fruit-assets fetch-images` as a person types it."""

import functools
import hashlib
import tarfile
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner

from fruit_assets.cli import main
from fruit_assets.demo.collection import render_collection


@pytest.fixture
def archive_url(tmp_path):
    render_collection(tmp_path / "rendered", 2, 4, 0, workers=1)
    (tmp_path / "served").mkdir()
    with tarfile.open(tmp_path / "served" / "fruits.tar", "w") as tar:
        tar.add(tmp_path / "rendered", "fruits-main")
    handler = functools.partial(SimpleHTTPRequestHandler, directory=tmp_path / "served")
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=[0.02], daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/fruits.tar"
    server.shutdown()
    server.server_close()


def test_fetch_images_says_what_it_made_and_its_checksum(archive_url, tmp_path):
    out = tmp_path / "fruits"
    result = CliRunner().invoke(main, ["fetch-images", "--url", archive_url, "--out", str(out), "--keep-archive"])
    assert result.exit_code == 0, result.output
    archive = (tmp_path / "fruits.tar").read_bytes()
    assert f"8 images of 2 classes in {out}." in result.output
    assert f"{len(archive):,} bytes, sha256 {hashlib.sha256(archive).hexdigest()}" in result.output
    assert f"FRUIT_ASSETS_IMAGES={out}" in result.output
    assert len(list(out.rglob("*.jpg"))) == 8


def test_a_wrong_address_ends_with_one_line_and_an_exit_code(archive_url, tmp_path):
    out = str(tmp_path / "fruits")
    result = CliRunner().invoke(main, ["fetch-images", "--url", archive_url + ".gone", "--out", out])
    assert result.exit_code == 1
    assert "answered 404" in result.output
    assert "fruit-assets demo-images" in result.output
    assert not Path(out).exists()
    both = CliRunner().invoke(main, ["fetch-images", "--url", archive_url, "--ref", "main", "--out", out])
    assert both.exit_code == 2
