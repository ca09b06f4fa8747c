"""Image sets: any number of images with distinct bytes, made from one collection.

Put here the input of the contenders. Every copy has its own comment: features of identical files are computed once,
which would make this project look faster than it is.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_START_OF_IMAGE = b"\xff\xd8"
_COMMENT = b"\xff\xfe"
_DEMO_CLASSES, _DEMO_PER_CLASS = 30, 20


@dataclass(frozen=True)
class Source:
    """The origin of image sets.

    Attributes:
        collection: folder of JPEGs, laid out `<anything>/<label>/<file>.jpg`.
        weights: value for FRUIT_ASSETS_WEIGHTS.
    """

    collection: Path
    weights: str

    def files(self) -> list[Path]:
        """The collection's JPEGs in order of their paths."""
        found = sorted(self.collection.rglob("*.jpg"))
        if not found:
            raise SystemExit(f"{self.collection} holds no .jpg file: name another folder with --collection.")
        return found


def source(collection: str | None, weights: str | None, scratch: Path) -> Source:
    """The collection and weights to use.

    Args:
        collection: a folder; None takes `fruits` in FRUIT_ASSETS_TEST_DATA, or demo images rendered into `scratch`.
        weights: None takes the weights in FRUIT_ASSETS_TEST_DATA, or random ones.
        scratch: an existing folder.
    """
    real = os.environ.get("FRUIT_ASSETS_TEST_DATA")
    if weights is None:
        files = sorted(Path(real, "weights").resolve().glob("*.h5")) if real else []
        weights = str(files[0]) if files else "random"
    if collection is None:
        folder = Path(real, "fruits").resolve() if real else _demo(scratch / "demo_images")
    else:
        folder = Path(collection).resolve()
    return Source(folder, weights)


def make_image_set(origin: Source, count: int, folder: Path) -> Path:
    """Write `count` images with distinct bytes into `folder`, laid out as the collection is.

    Fewer images than the collection has are spread evenly over it, so that most labels are there.
    """
    files = origin.files()
    for number, file in enumerate(_spread(files, count)):
        copy = number // len(files)
        relative = file.relative_to(origin.collection)
        target = folder / relative.with_name(f"{relative.stem}_copy{copy}.jpg" if copy else relative.name)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(with_comment(file.read_bytes(), f"copy {copy}") if copy else file.read_bytes())
    return folder


def with_comment(jpeg: bytes, text: str) -> bytes:
    """The same picture with different bytes: with a comment segment after the start of the image."""
    if not jpeg.startswith(_START_OF_IMAGE):
        raise ValueError("only a JPEG can carry the comment")
    comment = text.encode()
    return _START_OF_IMAGE + _COMMENT + (len(comment) + 2).to_bytes(2, "big") + comment + jpeg[len(_START_OF_IMAGE) :]


def _spread(files: Sequence[Path], count: int) -> list[Path]:
    if count >= len(files):
        return [files[number % len(files)] for number in range(count)]
    return [files[number * len(files) // count] for number in range(count)]


def _demo(folder: Path) -> Path:
    from fruit_assets.demo.collection import render_collection

    return render_collection(folder, _DEMO_CLASSES, _DEMO_PER_CLASS, 0).root
