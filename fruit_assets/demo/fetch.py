"""The real photographs: one way from an archive or a repository to a folder of images.

Put here what all sources share. Web servers and archives belong in `archive_source.py`, git in
`git_source.py`; rendered images come from `collection.py`.
"""

import hashlib
import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal, Protocol

from fruit_assets.errors import InputError

Progress = Callable[[Literal["bytes", "images"], int, int | None], None]
"""Called with what is counted, how many are done, and how many there are if known."""

REF = "2f981c83e352a9d4c15fb8c886034c817052c80b"
"""Fruits-360 of 2024-08-04, 100 x 100 pixels: 94,110 images of 141 classes. Pinned, so that all users get the same."""

SPLITS = ("Training", "Test", "Validation")
WITHOUT_INTERNET = (
    "Without internet, render images with `fruit-assets demo-images`, or set FRUIT_ASSETS_IMAGES to a local copy."
)
_IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")
_KEPT_FILES = ("LICENSE", "README.md")
_MANIFEST = "fetched_images.json"


class Source(Protocol):
    """Where images come from."""

    @property
    def url(self) -> str:
        """Names the source and its version."""

    def fill(self, draft: Path, on_progress: Progress) -> tuple[int, str]:
        """Write the images below `draft`, whose parent keeps what the next call continues; bytes and checksum."""


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


def fetch_images(out: Path, source: Source, on_progress: Progress = lambda *_: None) -> Fetched:
    """Fetch images into a folder, where they appear when all have arrived; the next call continues an interrupted one.

    Args:
        out: an empty or new folder, or one that an earlier call filled from the same source.
        source: an `Archive` or a `Repository`.
        on_progress: called while bytes and images arrive.

    Raises:
        InputError: no such source, no images in it, no space, or an unsuitable folder.
        TransientError: no connection, or it broke; the next call continues.
    """
    done = _already_fetched(out, source.url)
    if done is not None:
        return done
    work = out.with_name(f".{out.name}.fetching") / hashlib.sha256(source.url.encode()).hexdigest()[:12]
    try:
        for other in set(work.parent.glob("*")) - {work}:
            shutil.rmtree(other)
        work.mkdir(parents=True, exist_ok=True)
        return _fetch(out, source, work / "collection", on_progress)
    except OSError as error:
        raise InputError(f"{out} cannot be written: {error}. Choose a folder on a disk with space for it.") from error
    finally:
        with suppress(OSError):  # not empty: the next call continues
            work.rmdir()
            work.parent.rmdir()


def _fetch(out: Path, source: Source, draft: Path, on_progress: Progress) -> Fetched:
    size, checksum = source.fill(draft, on_progress)
    images = [path for path in draft.rglob("*") if is_image(path.name)]
    if not images:
        shutil.rmtree(draft)
        raise InputError(f"{source.url} holds no images under {', '.join(SPLITS)}. Check --url or --ref.")
    fetched = Fetched(out, len(images), len({path.parent.name for path in images}), size, checksum, source.url)
    facts = {key: value for key, value in vars(fetched).items() if key != "root"}
    (draft / _MANIFEST).write_text(json.dumps(facts, indent=1) + "\n")
    if out.exists():
        out.rmdir()
    draft.replace(out)
    return fetched


def _already_fetched(out: Path, url: str) -> Fetched | None:
    """What the folder holds from this address; None when it is new or empty, an error when it holds something else."""
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


def is_image(name: str) -> bool:
    """Whether a file of a source is one of its images."""
    return name.lower().endswith(_IMAGE_SUFFIXES)


def kept_path(name: str) -> PurePosixPath | None:
    """Where a file of a source belongs in the collection; None for what is no part of it."""
    parts = PurePosixPath(name).parts
    if len(parts) <= 2 and parts[-1] in _KEPT_FILES:
        return PurePosixPath(parts[-1])  # the licence travels with the images
    start = next((position for position, part in enumerate(parts[:-1]) if part in SPLITS), None)
    return PurePosixPath(*parts[start:]) if start is not None and is_image(name) else None


def check_space(place: Path, needed: int, purpose: str) -> None:
    """Refuse to start when the disk of the folder `place` has less than `needed` bytes left."""
    free = shutil.disk_usage(place).free
    if needed > free:
        raise InputError(
            f"{purpose.capitalize()} needs {needed / 1e9:,.1f} GB, and {place} has {free / 1e9:,.1f} GB left. "
            "Choose a folder on another disk with --out."
        )
