"""Tests of the demo collection: the same bytes whatever happens, and folders that tell what they hold."""

import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from fruit_assets.demo.collection import (
    MANIFEST,
    is_missing,
    render_calibration_images,
    render_collection,
    render_image,
)
from fruit_assets.demo.fruit_catalogue import VARIETIES
from fruit_assets.errors import InputError


def _hashes(root: Path) -> dict[str, str]:
    paths = sorted(root.rglob("*.jpg"))
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def _pixels(jpeg: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(jpeg)), dtype=np.float64)


def test_the_catalogue_has_131_varieties_with_distinct_names_that_are_valid_folder_names():
    names = [variety.name for variety in VARIETIES]
    assert len(set(names)) == len(names) == 131
    assert Counter(name.split()[0] for name in names)["Apple"] == 13
    assert all(name == name.strip() and "/" not in name for name in names)


def test_every_variety_is_a_shaded_fruit_on_white():
    for class_index, variety in enumerate(VARIETIES):
        jpeg = render_image(class_index, 0, seed=3)
        with Image.open(io.BytesIO(jpeg)) as image:
            assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (100, 100)), variety.name
        pixels = _pixels(jpeg)
        fruit = (pixels < 235).any(axis=2)
        assert 0.08 < fruit.mean() < 0.9, variety.name
        assert pixels[:3, :3].min() > 235, variety.name
        assert pixels[fruit].std(axis=0).max() > 8, variety.name


def test_the_same_arguments_give_the_same_bytes_and_others_give_others():
    images = [render_image(*arguments) for arguments in ((5, 1, 0), (5, 2, 0), (5, 1, 1), (6, 1, 0))]
    assert len(set(images)) == 4
    assert render_image(5, 1, 0) == images[0]


def test_processes_order_and_a_smaller_collection_do_not_change_an_image(tmp_path):
    render_collection(tmp_path / "one", 3, 6, 0, workers=1)
    render_collection(tmp_path / "two", 3, 6, 0, workers=2)
    render_collection(tmp_path / "fewer", 3, 4, 0, workers=1)
    one, two, fewer = (_hashes(tmp_path / name) for name in ("one", "two", "fewer"))
    assert one == two
    assert len(set(one.values())) == 18
    assert fewer.items() <= one.items()


def test_a_collection_is_laid_out_as_fruits_360_with_a_quarter_for_testing(tmp_path):
    seen = []
    collection = render_collection(tmp_path, 2, 8, 0, workers=1, on_progress=lambda *now: seen.append(now))
    assert collection.labels == ("Apple Braeburn", "Mango Red")
    assert (collection.images, collection.rendered) == (16, 16)
    counts = Counter(path.parent.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*_100.jpg"))
    assert counts == {
        "Training/Apple Braeburn": 6,
        "Test/Apple Braeburn": 2,
        "Training/Mango Red": 6,
        "Test/Mango Red": 2,
    }
    assert seen[-1] == (16, 16)
    assert json.loads((tmp_path / MANIFEST).read_text())["images"] == 16
    assert {path.name for path in tmp_path.iterdir()} == {"Training", "Test", MANIFEST}


def test_a_complete_collection_is_left_alone(tmp_path):
    render_collection(tmp_path, 1, 2, 0, workers=1)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.jpg")}
    assert render_collection(tmp_path, 1, 2, 0, workers=1).rendered == 0
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.jpg")} == before


def test_a_killed_generation_leaves_no_processes_and_is_completed_by_the_next_call(tmp_path):
    code = "import sys, pathlib; from fruit_assets.demo.collection import render_collection as render;"
    code += "render(pathlib.Path(sys.argv[1]), 4, 40, 0, workers=2)"
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], start_new_session=True)
    try:
        deadline = time.monotonic() + 300
        while len(list(tmp_path.rglob("*.jpg"))) < 5 and time.monotonic() < deadline:
            time.sleep(0.05)
        children = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        process.wait()
        _, alive = psutil.wait_procs(children, timeout=300)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert children
    assert alive == []
    assert not (tmp_path / MANIFEST).exists()
    assert is_missing(tmp_path)
    there = len(list(tmp_path.rglob("[0-9]*.jpg")))
    collection = render_collection(tmp_path, 4, 40, 0, workers=1)
    assert 0 < collection.rendered == 160 - there
    for path in tmp_path.rglob("[0-9]*.jpg"):
        assert Image.open(path).size == (100, 100)
    assert (tmp_path / MANIFEST).exists()
    assert not is_missing(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 5, 0), "classes is 0: choose 1 to 131"),
        ((132, 5, 0), "classes is 132: choose 1 to 131"),
        ((3, 0, -1), "per_class is 0: choose at least 1. seed is -1"),
        ((131, 10**9, 0), "MB left"),
    ],
)
def test_wrong_numbers_are_named_and_write_no_image(tmp_path, arguments, message):
    with pytest.raises(InputError, match=message):
        render_collection(tmp_path, *arguments)
    assert list(tmp_path.rglob("*")) == []


def test_a_folder_that_holds_something_else_is_refused(tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("precious")
    with pytest.raises(InputError, match="is not empty and holds no demo images"):
        render_collection(tmp_path / "other", 1, 1, 0)
    render_collection(tmp_path / "demo", 1, 1, 0, workers=1)
    with pytest.raises(InputError, match="holds demo images with classes 1, per_class 1, seed 0"):
        render_collection(tmp_path / "demo", 1, 1, 7)
    assert (tmp_path / "other" / "thesis.txt").read_text() == "precious"


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"cannot be written to .*file/demo"):
        render_collection(tmp_path / "file" / "demo", 1, 1, 0)


def test_calibration_images_are_spread_over_the_classes_and_repeatable():
    images = list(render_calibration_images(12, seed=0))
    assert images == list(render_calibration_images(12, seed=0))
    assert len(set(images)) == 12
    average = np.array([_pixels(image).mean(axis=(0, 1)) for image in images])
    assert average.std(axis=0).min() > 5
    with pytest.raises(InputError, match="at least 1"):
        next(render_calibration_images(0, seed=0))
