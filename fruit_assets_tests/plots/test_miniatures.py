"""Tests of the miniatures: well-formed, within the limit whatever they are given, and showing it."""

import base64
import io
import re
import xml.etree.ElementTree as ElementTree
from urllib.parse import unquote

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from fruit_assets.demo.collection import render_image
from fruit_assets.plots import miniatures

ANY_NUMBER = st.floats(allow_nan=True, allow_infinity=True)
WORDS = "**0.861** accuracy, 0.842 macro-F1 on 197 held-out images of 67 classes"


def _paths(svg: str) -> list[dict[str, str]]:
    """Attributes of the drawing's paths, after the checks every miniature must pass."""
    markdown = miniatures.miniature_markdown(svg, "a short description", WORDS)
    assert len(markdown) <= 999
    assert len(miniatures.encoded(svg)) <= miniatures.SVG_BUDGET
    target = re.fullmatch(r"!\[a short description\]\(data:image/svg\+xml,(\S+)\) .*", markdown)[1]
    assert not set(target) & set("()<>\"' #")
    assert unquote(target) == svg
    root = ElementTree.fromstring(svg)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    for path in root:
        assert re.fullmatch(r"(?:[MLHVhvlz](?:-?\d+(?:,?-?\d+)?)?)+", path.attrib["d"]), path.attrib["d"]
    return [path.attrib for path in root]


def _plain(colour: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (9, 9), colour).save(buffer, "PNG")
    return buffer.getvalue()


@settings(max_examples=150, deadline=None)
@given(values=st.lists(ANY_NUMBER, max_size=400), k=st.integers(0, 2000))
def test_any_numbers_give_a_small_and_valid_drawing(values, k):
    for svg in (
        miniatures.bars(values),
        miniatures.scree(values, k),
        miniatures.stacked_bar(values),
    ):
        _paths(svg)


@settings(max_examples=60, deadline=None)
@given(
    points=arrays.arrays(np.float64, st.tuples(st.integers(0, 90), st.just(2)), elements=ANY_NUMBER),
    kinds=st.integers(1, 200),
)
def test_any_points_give_a_small_and_valid_drawing(points, kinds):
    _paths(miniatures.scatter(points, [f"kind {number % kinds}" for number in range(len(points))]))


@settings(max_examples=60, deadline=None)
@given(size=st.integers(0, 140), seed=st.integers(0, 99), shape=st.sampled_from([0.0, 0.02, 0.5, 1.0]))
def test_any_confusion_gives_a_small_and_valid_drawing(size, seed, shape):
    rng = np.random.default_rng(seed)
    _paths(miniatures.matrix(rng.integers(0, 50, (size, size)) * (rng.random((size, size)) <= shape)))


def test_long_noisy_and_steep_curves_stay_within_the_limit():
    rng = np.random.default_rng(0)
    for length in (2, 55, 56, 57, 5000):
        _paths(miniatures.bars(rng.random(length)))
        _paths(miniatures.scree(rng.integers(0, 2, length), length))


def test_bars_are_as_high_as_their_values():
    heights = [int(height) for height in re.findall(r"v-(\d+)", _paths(miniatures.bars([1, 2, 4]))[0]["d"])]
    assert heights == [12, 23, 46]


def test_a_curve_follows_its_values_and_the_chosen_k_is_marked_on_it():
    curve, mark = _paths(miniatures.scree(np.full(12, 1 / 12), 6))
    assert curve["d"].startswith("M0,46l20-4l20-3")
    assert mark["d"] == "M120,0V48"


def test_a_stacked_bar_keeps_small_parts_visible():
    _, large, small = _paths(miniatures.stacked_bar([100_000, 0, 1]))
    assert (large["d"], large["stroke"]) == ("M0,8H240", miniatures.COLOURS[0])
    assert (small["d"], small["stroke"]) == ("M238,8H240", miniatures.COLOURS[2])


def test_a_scatter_colours_four_labels_and_leaves_the_rest_grey():
    labels = ["a"] * 5 + ["b"] * 4 + ["c"] * 3 + ["d"] * 2 + ["e"]
    paths = _paths(miniatures.scatter(np.random.default_rng(0).normal(size=(15, 2)), labels))
    assert [path["d"].count("M") for path in paths] == [5, 4, 3, 2, 1]
    assert len({path["stroke"] for path in paths}) == 5


def test_a_matrix_distinguishes_right_from_wrong():
    right = _paths(miniatures.matrix(np.diag([5, 5, 5])))
    assert [path["stroke"] for path in right] == [miniatures.COLOURS[1]]
    wrong = _paths(miniatures.matrix(np.ones((3, 3)) - np.eye(3)))
    assert {path["stroke"] for path in wrong} == {miniatures.COLOURS[0]}
    aligned = _paths(miniatures.matrix(np.diag(np.full(131, 5))))
    assert [path["stroke"] for path in aligned] == [miniatures.COLOURS[1]]


def test_a_sheet_has_the_colours_of_its_images_and_grey_for_broken_ones():
    paths = _paths(miniatures.sheet([*(_plain(f"hsl({hue}, 80%, 40%)") for hue in range(0, 360, 16)), b"broken"]))
    assert sum(path["d"].count("z") for path in paths) == 24
    assert len(paths) == 10
    (red,) = _paths(miniatures.sheet([render_image(30, 0, 0)]))
    channels = [int(digit, 16) for digit in red["stroke"][1:]]
    assert channels[0] > 2 * max(channels[1:])
    assert [path["stroke"] for path in _paths(miniatures.sheet([b"broken", b""]))] == ["#8a8f98"]
    assert _paths(miniatures.sheet([])) == []


def test_words_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="999 are shown in place"):
        miniatures.miniature_markdown(miniatures.bars([1]), "bars", "word " * 200)


def test_a_full_picture_is_embedded_as_it_is():
    markdown = miniatures.picture_markdown(b"\x89PNG...", "scree plot")
    assert markdown.startswith("![scree plot](data:image/png;base64,")
    assert base64.b64decode(markdown.split("base64,")[1].rstrip(")")) == b"\x89PNG..."
