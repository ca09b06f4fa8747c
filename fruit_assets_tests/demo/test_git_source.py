"""Tests of fetching from a repository, against a real git server process on a local repository."""

import subprocess
from pathlib import Path

import pytest

from fruit_assets.demo.collection import render_collection
from fruit_assets.demo.fetch import Fetched, Progress, fetch_images
from fruit_assets.demo.git_source import Repository
from fruit_assets.errors import InputError, TransientError


def _git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
    command = ["git", *identity, *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository of three classes, one of them with a difficult name, served as GitHub serves its own."""
    folder = tmp_path / "origin"
    render_collection(folder, 2, 4, 0, workers=1)
    odd = folder / "Training" / "Crème *brûlée* #2"
    odd.mkdir()
    (odd / "0 [a]_100.jpg").write_bytes((folder / "Training" / "Mango Red" / "0_100.jpg").read_bytes())
    (folder / "LICENSE").write_text("share alike")
    (folder / "code.py").write_text("not an image")
    _git(folder, "init", "--quiet", "--initial-branch=main")
    _git(folder, "add", ".")
    _git(folder, "commit", "--quiet", "--message=images")
    _git(folder, "config", "uploadpack.allowFilter", "true")
    _git(folder, "config", "uploadpack.allowAnySHA1InWant", "true")
    return folder


def _fetched(out: Path, ref: str, address: str, on_progress: Progress = lambda *_: None) -> Fetched:
    return fetch_images(out, Repository(ref, address), on_progress)


def _files(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("ref", ["main", "commit"])
def test_a_version_of_a_repository_becomes_a_collection(repository, tmp_path, ref):
    commit = _git(repository, "rev-parse", "HEAD")
    seen = []
    out = tmp_path / "fruits"
    wanted = commit if ref == "commit" else ref
    fetched = _fetched(out, wanted, repository.as_uri(), lambda *now: seen.append(now))
    assert (fetched.images, fetched.classes, fetched.checksum) == (9, 3, f"commit {commit}")
    assert seen[-1] == ("images", 9, 9)
    images = {name: data for name, data in _files(repository).items() if name.endswith(".jpg") and ".git/" not in name}
    found = _files(out)
    assert found.pop("LICENSE") == b"share alike"
    del found["fetched_images.json"]
    assert found == images
    assert _fetched(out, wanted, repository.as_uri()) == fetched
    assert not (tmp_path / ".fruits.fetching").exists()


def test_an_interrupted_fetch_continues_at_the_class_it_was_at(repository, tmp_path):
    class Interrupted(Exception):
        """Stands for whatever ends the program."""

    def stop_after_three(unit: str, done: int, total: int) -> None:
        if done >= 3:
            raise Interrupted

    out = tmp_path / "fruits"
    with pytest.raises(Interrupted):
        _fetched(out, "main", repository.as_uri(), stop_after_three)
    assert not out.exists()
    [draft] = (tmp_path / ".fruits.fetching").glob("*/collection")
    fetched_before = {path: path.stat().st_mtime_ns for path in draft.rglob("*_100.jpg")}
    missing = _git(draft, "rev-list", "--objects", "--all", "--missing=print").count("\n?")
    assert missing > 0  # contents come when their class does
    _git(repository, "commit", "--quiet", "--allow-empty", "--message=moved on")
    fetched = _fetched(out, "main", repository.as_uri())
    assert 0 < len(fetched_before) < 9 == fetched.images
    assert fetched.checksum == "commit " + _git(repository, "rev-parse", "HEAD~1")
    for path, written in fetched_before.items():
        assert (out / path.relative_to(draft)).stat().st_mtime_ns == written


def test_what_cannot_be_fetched_says_why_and_what_else_there_is(repository, tmp_path):
    with pytest.raises(InputError, match=r"no such repository or version.*nowhere.*demo-images"):
        _fetched(tmp_path / "fruits", "nowhere", repository.as_uri())
    with pytest.raises(TransientError, match=r"git fetch failed.*demo-images"):
        _fetched(tmp_path / "fruits", "main", "http://127.0.0.1:9/fruits.git")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    with pytest.raises(InputError, match="is not empty and was not fetched"):
        _fetched(tmp_path / "mine", "main", repository.as_uri())
    assert {path.name for path in tmp_path.iterdir()} == {"origin", "mine"}
