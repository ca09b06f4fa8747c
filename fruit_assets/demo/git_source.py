"""Images out of a git repository, class by class, so that an interruption costs one class.

Put here what drives git. Archives belong in `archive_source.py`: the web server of the repository makes
its archives on the fly and cannot continue one.
"""

import shutil
import subprocess
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from fruit_assets.demo.fetch import WITHOUT_INTERNET, Progress, check_space, is_image, kept_path
from fruit_assets.errors import FruitAssetsError, InputError, TransientError

REPOSITORY = "https://github.com/fruits-360/fruits-360-100x100.git"
"""The 100 x 100 pixel edition. The licence lies in the repository and travels with the images."""

_WANTED = "refs/fruit-assets/wanted"
_NEVER_ASK = ("-c", "core.askPass=true", "-c", "credential.helper=", "-c", "core.quotePath=false")
_AS_GIVEN = ("-c", "fetch.negotiationAlgorithm=noop")  # do not compare histories: contents are asked for by id
_QUIET = ("--no-tags", "--no-write-fetch-head", "--no-auto-maintenance", "--filter=blob:none")
_BYTES_PER_IMAGE = 14_000  # packed by git and checked out
_NO_SUCH = ("find remote ref", "not our ref", "not found", "does not exist", "Authentication failed")


@dataclass(frozen=True)
class Repository:
    """One version of a repository whose server allows partial clones, as GitHub's does.

    Attributes:
        ref: branch, tag or full commit id.
        address: of the repository.
    """

    ref: str
    address: str = REPOSITORY

    @property
    def url(self) -> str:
        """Address and version."""
        return f"{self.address}@{self.ref}"

    def fill(self, draft: Path, on_progress: Progress) -> tuple[int, str]:
        """Check out the images; their size and the commit."""
        finished = draft / ".git" / "fruit-assets-finished"
        if not finished.exists():
            self._list_files(draft)
            finished.touch()
        folders = _folders(draft)
        images = [path for contents in folders.values() for path in contents if is_image(path)]
        check_space(draft, len(images) * _BYTES_PER_IMAGE, "the download")
        done = set(finished.read_text().splitlines())
        count = 0
        for folder, contents in folders.items():
            if folder not in done:
                _fetch_folder(draft, contents)
                with finished.open("a") as file:
                    file.write(folder + "\n")
            count += sum(map(is_image, contents))
            on_progress("images", count, len(images))
        commit = _git(draft, "rev-parse", _WANTED).strip()
        shutil.rmtree(draft / ".git")
        return sum((draft / path).stat().st_size for path in images), f"commit {commit}"

    def _list_files(self, draft: Path) -> None:
        """Fetch the repository's list of files without their contents."""
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir()
        try:
            _git(draft, "init", "--quiet")
            _git(draft, "remote", "add", "origin", self.address)
            _git(draft, "fetch", "--quiet", "--depth=1", *_QUIET, "origin", f"{self.ref}:{_WANTED}")
        except FruitAssetsError:
            shutil.rmtree(draft)
            raise


def git_is_installed() -> bool:
    """Whether there is a git command to call."""
    return shutil.which("git") is not None


def _folders(draft: Path) -> dict[str, dict[str, str]]:
    """The collection's files by folder: for each path the id of its content."""
    folders: dict[str, dict[str, str]] = defaultdict(dict)
    for line in _git(draft, "ls-tree", "-r", "-z", _WANTED).split("\0"):
        facts, _, path = line.partition("\t")
        if facts.startswith("100") and str(kept_path(path)) == path:  # plain files, no links
            folders[str(Path(path).parent)][path] = facts.split()[2]
    return folders


def _fetch_folder(draft: Path, contents: dict[str, str]) -> None:
    # One request for the whole folder; checkout alone would ask for the contents one by one.
    ids = "".join(f"{content}\n" for content in contents.values())
    _git(draft, *_AS_GIVEN, "fetch", "--quiet", *_QUIET, "--stdin", "origin", stdin=ids)
    paths = "\0".join(f":(literal){path}" for path in contents)
    _git(draft, "checkout", "--quiet", _WANTED, "--pathspec-from-file=-", "--pathspec-file-nul", stdin=paths)


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
