"""A collection of synthetic fruit photographs, for people without a collection at hand.

Put here how images are numbered, seeded, written and resumed. What they look like is decided in
`fruit_catalogue` and `fruit_rendering`.
"""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from functools import lru_cache
from multiprocessing import connection, get_context, parent_process
from pathlib import Path
from threading import Thread

import numpy as np

from fruit_assets.demo.fruit_catalogue import VARIETIES
from fruit_assets.demo.fruit_rendering import Specimen, grow, photograph
from fruit_assets.errors import InputError

MANIFEST = "demo_images.json"
"""Written last: a folder that holds it holds the whole collection."""

_UNFINISHED = ".demo_images.unfinished.json"
_RENDERING = 1  # raise when the same seed gives other pixels
_SPECIMENS = 3  # individual fruits per class and seed; the images of a class show them in turn
_TEST_EVERY = 4  # a quarter of each class lies in Test/, as in Fruits-360
_BATCH = 150
_BYTES_PER_IMAGE = 6_000


@dataclass(frozen=True)
class DemoCollection:
    """A complete collection of demo images.

    Attributes:
        root: the folder, laid out `{Training,Test}/<class name>/<number>_100.jpg`.
        labels: class names, in the catalogue's order.
        images: number of images.
        rendered: how many of them this call rendered; the others existed.
    """

    root: Path
    labels: tuple[str, ...]
    images: int
    rendered: int


@dataclass(frozen=True)
class _Order:
    classes: int
    per_class: int
    seed: int

    def __post_init__(self) -> None:
        problems = []
        if not 1 <= self.classes <= len(VARIETIES):
            problems.append(f"classes is {self.classes}: choose 1 to {len(VARIETIES)}.")
        if self.per_class < 1:
            problems.append(f"per_class is {self.per_class}: choose at least 1.")
        if self.seed < 0:
            problems.append(f"seed is {self.seed}: choose 0 or more.")
        if problems:
            raise InputError("The demo images cannot be rendered: " + " ".join(problems))

    @property
    def images(self) -> int:
        return self.classes * self.per_class

    @property
    def class_indices(self) -> list[int]:
        """Spread over the catalogue, so that ten classes are not ten apples."""
        return [number * len(VARIETIES) // self.classes for number in range(self.classes)]

    def batches(self) -> Iterator[tuple[int, range]]:
        for class_index in self.class_indices:
            for start in range(0, self.per_class, _BATCH):
                yield class_index, range(start, min(start + _BATCH, self.per_class))


def is_missing(out: Path) -> bool:
    """Whether a collection is still to be rendered here: there is no folder, or rendering was interrupted."""
    return not out.exists() or ((out / _UNFINISHED).exists() and not (out / MANIFEST).exists())


def render_image(class_index: int, index: int, seed: int) -> bytes:
    """One JPEG, 100 x 100 RGB on white.

    The bytes depend on the arguments only (and on the numpy and Pillow that compute them), not on
    what else is rendered, where, or in which order.

    Args:
        class_index: position in `VARIETIES`.
        index: number of the image within its class, from 0.
        seed: of the whole collection.
    """
    specimen = _specimen(class_index, index % _SPECIMENS, seed)
    return photograph(specimen, np.random.default_rng([seed, class_index, 1, index]))


def render_calibration_images(count: int, seed: int) -> Iterator[bytes]:
    """`count` JPEGs from evenly spread classes, a few poses each; the same for the same arguments."""
    if count < 1:
        raise InputError(f"{count} calibration images were asked for: ask for at least 1.")
    classes = min(len(VARIETIES), -(-count // _SPECIMENS))
    for number in range(count):
        nth_class, pose = number * classes // count, number * _SPECIMENS
        yield render_image(nth_class * len(VARIETIES) // classes, pose, seed)


def render_collection(
    out: Path,
    classes: int,
    per_class: int,
    seed: int,
    *,
    workers: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> DemoCollection:
    """Render a collection into a folder, or finish one that was interrupted.

    Every image appears whole or not at all, and the manifest appears last. A complete collection
    with the same parameters is left as it is.

    Args:
        out: an empty or new folder, or one that an earlier call wrote to.
        classes: 1 to 131, spread over the catalogue.
        per_class: images per class.
        seed: another seed gives other fruit in other poses.
        workers: processes; as many as there are processors when None, none besides this one when 1.
        on_progress: called with the number of images done and of all images.

    Raises:
        InputError: parameters out of range, a folder that holds something else or cannot be
            written, or too little space on its disk.
    """
    order = _Order(classes, per_class, seed)
    labels = tuple(VARIETIES[index].name for index in order.class_indices)
    if _is_complete(out, order):
        return DemoCollection(out, labels, order.images, 0)
    try:
        _open_folder(out, order, labels)
        rendered = _render_batches(out, order, workers or os.cpu_count() or 1, on_progress)
        _write_whole(out / MANIFEST, _describe(order, labels))
        (out / _UNFINISHED).unlink(missing_ok=True)
    except OSError as error:
        raise InputError(
            f"Demo images cannot be written to {out}: {error}. Choose a folder you can write to."
        ) from error
    return DemoCollection(out, labels, order.images, rendered)


@lru_cache(maxsize=_SPECIMENS + 1)
def _specimen(class_index: int, number: int, seed: int) -> Specimen:
    if not 0 <= class_index < len(VARIETIES):
        raise InputError(f"There is no demo class {class_index}: the catalogue has 0 to {len(VARIETIES) - 1}.")
    variety = VARIETIES[class_index]
    return grow(variety.form, variety.skin, np.random.default_rng([seed, class_index, 0, number]))


def _describe(order: _Order, labels: tuple[str, ...]) -> bytes:
    facts = {**asdict(order), "images": order.images, "rendering": _RENDERING, "labels": labels}
    return (json.dumps(facts, indent=1) + "\n").encode()


def _is_complete(out: Path, order: _Order) -> bool:
    """Whether the folder holds this collection; refuses one that holds another."""
    for name in (MANIFEST, _UNFINISHED):
        try:
            found = json.loads((out / name).read_text())
        except (FileNotFoundError, NotADirectoryError):
            continue
        except (OSError, ValueError) as error:
            raise InputError(f"{out / name} cannot be read ({error}). Delete {out} and render it again.") from error
        wanted = asdict(order)
        if {key: found.get(key) for key in wanted} != wanted:
            other = ", ".join(f"{key} {found.get(key)}" for key in wanted)
            raise InputError(f"{out} holds demo images with {other}. Choose another folder, or delete this one first.")
        if name == MANIFEST:
            return True
    return False


def _open_folder(out: Path, order: _Order, labels: tuple[str, ...]) -> None:
    out.mkdir(parents=True, exist_ok=True)
    unfinished = out / _UNFINISHED
    if unfinished.exists():
        if json.loads(unfinished.read_text()).get("rendering") != _RENDERING:
            for split in ("Training", "Test"):
                shutil.rmtree(out / split, ignore_errors=True)
    elif any(out.iterdir()):
        raise InputError(f"{out} is not empty and holds no demo images. Choose an empty or a new folder.")
    needed, free = order.images * _BYTES_PER_IMAGE, shutil.disk_usage(out).free
    if needed > free:
        raise InputError(
            f"{order.images:,} demo images need about {needed / 1e6:,.0f} MB, and {out} has {free / 1e6:,.0f} MB left. "
            "Ask for fewer images or choose another disk."
        )
    _write_whole(unfinished, _describe(order, labels))


def _render_batches(out: Path, order: _Order, workers: int, on_progress: Callable[[int, int], None] | None) -> int:
    """Render what is missing; the number of images rendered."""
    done = rendered = 0

    def count(batch: range, new: int) -> None:
        nonlocal done, rendered
        done, rendered = done + len(batch), rendered + new
        if on_progress is not None:
            on_progress(done, order.images)

    batches = list(order.batches())
    if min(workers, len(batches)) == 1:
        for class_index, batch in batches:
            count(batch, _render_batch(out, class_index, batch, order.seed))
        return rendered
    # Fresh interpreters: forking a process that has threads (Dagster's, the JVM gateway's) can hang.
    context = get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(batches)), mp_context=context, initializer=_die_with_parent) as pool:
        running = {pool.submit(_render_batch, out, index, batch, order.seed): batch for index, batch in batches}
        try:
            for future in as_completed(running):
                count(running[future], future.result())
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return rendered


def _die_with_parent() -> None:
    """End this worker when its parent has ended, even by SIGKILL."""
    parent = parent_process()
    if parent is not None:
        sentinel = parent.sentinel

        def watch() -> None:
            connection.wait([sentinel])
            os._exit(1)

        Thread(target=watch, daemon=True).start()


def _render_batch(out: Path, class_index: int, batch: range, seed: int) -> int:
    """Write the missing images of one class; the number written."""
    missing = [(index, path) for index in batch if not (path := _image_path(out, class_index, index)).exists()]
    for folder in {path.parent for _, path in missing}:
        folder.mkdir(parents=True, exist_ok=True)
    # By specimen, because growing one costs more than photographing it.
    for index, path in sorted(missing, key=lambda item: item[0] % _SPECIMENS):
        _write_whole(path, render_image(class_index, index, seed))
    return len(missing)


def _image_path(out: Path, class_index: int, index: int) -> Path:
    split = "Test" if index % _TEST_EVERY == _TEST_EVERY - 1 else "Training"
    return out / split / VARIETIES[class_index].name / f"{index}_100.jpg"


def _write_whole(path: Path, content: bytes) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_bytes(content)
    draft.replace(path)
