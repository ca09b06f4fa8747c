"""Fruits-360 out of its git repository, class by class, so that an interruption costs one class.

Put here what drives git. Archives from any web server are `fetch`; the web server of the repository
makes its archives on the fly and cannot continue one.
"""

import shutil
import subprocess
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from fruit_assets.demo.download import WITHOUT_INTERNET, check_space
from fruit_assets.demo.fetch import IMAGE_SUFFIXES, Fetched, already_fetched, kept_path
from fruit_assets.errors import FruitAssetsError, InputError, TransientError

REPOSITORY = "https://github.com/fruits-360/fruits-360-100x100.git"
"""The 100 x 100 pixel edition. The licence lies in the repository and travels with the images."""

_WANTED = "refs/fruit-assets/wanted"
_NEVER_ASK = ("-c", "core.askPass=true", "-c", "credential.helper=", "-c", "core.quotePath=false")
_AS_GIVEN = ("-c", "fetch.negotiationAlgorithm=noop")  # do not compare histories: contents are asked for by id
_QUIET = ("--no-tags", "--no-write-fetch-head", "--no-auto-maintenance", "--filter=blob:none")
_BYTES_PER_IMAGE = 14_000  # packed by git and checked out
_NO_SUCH = ("find remote ref", "not our ref", "not found", "does not exist", "Authentication failed")


def git_is_installed() -> bool:
    """Whether there is a git command to call."""
    return shutil.which("git") is not None


def fetch_repository(
    out: Path, ref: str, *, repository: str = REPOSITORY, on_progress: Callable[[int, int], None] | None = None
) -> Fetched:
    """Fetch the images of one version of a repository; the next call continues an interrupted one.

    Args:
        out: an empty or new folder, or one that an earlier call filled from the same version. Images
            appear there when all have come; until then they lie in a hidden folder beside it.
        ref: branch, tag or full commit id.
        repository: address of a repository whose server allows partial clones, as GitHub's does.
        on_progress: called with images fetched and images in all.

    Raises:
        InputError: no such repository or version, no images in it, no space, or an unsuitable folder.
        TransientError: no connection, or it broke; the next call continues.
    """
    url = f"{repository}@{ref}"
    done = already_fetched(out, url)
    if done is not None:
        return done
    draft = out.with_name(f".{out.name}.git")
    try:
        commit = _open_draft(draft, repository, ref)
        folders = _folders(draft)
        images = [path for paths in folders.values() for path in paths if Path(path).suffix.lower() in IMAGE_SUFFIXES]
        if not images:
            raise InputError(f"{url} holds no images. Check --ref.")
        check_space(draft, len(images) * _BYTES_PER_IMAGE, "the download")
        _fetch_folders(draft, folders, len(images), on_progress)
        classes = len({Path(path).parent.name for path in images})
        size = sum((draft / path).stat().st_size for path in images)
        fetched = Fetched(out, len(images), classes, size, f"commit {commit}", url)
        shutil.rmtree(draft / ".git")
        fetched.publish(draft)
    except OSError as error:
        raise InputError(f"{out} cannot be written: {error}. Choose a folder on a disk with space for it.") from error
    return fetched


def _open_draft(draft: Path, repository: str, ref: str) -> str:
    """The repository's list of files without their contents; the commit it is of."""
    note = draft / ".git" / "fruit-assets-source"
    if not note.exists() or note.read_text() != f"{repository}@{ref}":
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        try:
            _git(draft, "init", "--quiet")
            _git(draft, "remote", "add", "origin", repository)
            _git(draft, "fetch", "--quiet", "--depth=1", *_QUIET, "origin", f"{ref}:{_WANTED}")
        except FruitAssetsError:
            shutil.rmtree(draft)
            raise
        note.write_text(f"{repository}@{ref}")
    return _git(draft, "rev-parse", _WANTED).strip()


def _folders(draft: Path) -> dict[str, dict[str, str]]:
    """The collection's files by folder: for each path the id of its content."""
    folders: dict[str, dict[str, str]] = defaultdict(dict)
    for line in _git(draft, "ls-tree", "-r", "-z", _WANTED).split("\0"):
        facts, _, path = line.partition("\t")
        if facts.startswith("100") and str(kept_path(path)) == path:  # plain files, no links
            folders[str(Path(path).parent)][path] = facts.split()[2]
    return folders


def _fetch_folders(
    draft: Path, folders: dict[str, dict[str, str]], total: int, on_progress: Callable[[int, int], None] | None
) -> None:
    finished = draft / ".git" / "fruit-assets-finished"
    finished.touch()
    already = set(finished.read_text().splitlines())
    count = 0
    for folder, contents in folders.items():
        if folder not in already:
            # One request for the whole folder; checkout alone would ask for the contents one by one.
            ids = "".join(f"{content}\n" for content in contents.values())
            _git(draft, *_AS_GIVEN, "fetch", "--quiet", *_QUIET, "--stdin", "origin", stdin=ids)
            paths = "\0".join(f":(literal){path}" for path in contents)
            _git(draft, "checkout", "--quiet", _WANTED, "--pathspec-from-file=-", "--pathspec-file-nul", stdin=paths)
            with finished.open("a") as file:
                file.write(folder + "\n")
        count += sum(Path(path).suffix.lower() in IMAGE_SUFFIXES for path in contents)
        if on_progress is not None:
            on_progress(count, total)


def _git(folder: Path, *arguments: str, stdin: str = "") -> str:
    """Standard output of a git command in a folder; never asks for a password."""
    command = ["git", *_NEVER_ASK, *arguments]
    result = subprocess.run(command, cwd=folder, input=stdin, capture_output=True, text=True, check=False)
    if result.returncode == 0:
        return result.stdout
    message = " ".join(result.stderr.split()) or f"exit code {result.returncode}"
    if any(sign in message for sign in _NO_SUCH):
        raise InputError(f"git found no such repository or version: {message}. Check --ref. {WITHOUT_INTERNET}")
    raise TransientError(f"git {arguments[0]} failed: {message}. Run the command again to continue. {WITHOUT_INTERNET}")
