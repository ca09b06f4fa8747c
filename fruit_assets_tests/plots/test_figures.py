"""Tests of the full pictures: real PNGs that show what they were given, and survive what data throws at them."""

import io

import numpy as np
import pytest
from PIL import Image

from fruit_assets.demo.collection import render_image
from fruit_assets.demo.fruit_catalogue import VARIETIES
from fruit_assets.plots import contact_sheet as sheets
from fruit_assets.plots import figures as plots
from fruit_assets.plots.plot_style import WIDTH
from fruit_assets_tests.images.odd_images import broken, encoded

NAMES = [variety.name for variety in VARIETIES]


def _pixels(png: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(png)) as image:
        assert image.format == "PNG"
        assert image.width == WIDTH
        assert 100 < image.height < 1200
        return np.asarray(image.convert("RGB"), dtype=int)


def _share(pixels: np.ndarray, colour: str) -> float:
    """Share of the picture in one colour."""
    wanted = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    return float((np.abs(pixels - wanted).max(axis=2) < 12).mean())


def test_a_contact_sheet_shows_the_images_and_marks_the_unreadable_one():
    jpeg = render_image(1, 0, 0)
    pixels = _pixels(sheets.contact_sheet([jpeg, b"not an image", jpeg[:500]], ["red", "broken", "a long name " * 9]))
    assert _share(pixels[:100, :90], "#c8323c") < 0.01
    assert _share(pixels[:100, 90:180], "#f6dcdc") > 0.5
    apple = pixels[30:60, 30:60].mean(axis=(0, 1))
    assert apple[0] > 2 * apple[1]
    assert (_pixels(sheets.contact_sheet([jpeg] * 23, [""] * 23)).shape[0]) > 2 * 90


def test_images_of_every_mode_fit_into_a_contact_sheet():
    images = []
    for mode in ("L", "LA", "P", "RGBA", "CMYK", "I;16", "1"):
        buffer = io.BytesIO()
        Image.new(mode, (7, 300)).save(buffer, "TIFF" if mode in ("CMYK", "I;16") else "PNG")
        images.append(buffer.getvalue())
    assert _share(_pixels(sheets.contact_sheet(images, [""] * 7)), "#f6dcdc") == 0


def test_a_contact_sheet_shows_the_depth_that_the_network_sees_and_no_postscript():
    ramp = np.tile(np.arange(256, dtype=np.uint16), (256, 1))
    plain, deep, dark = (
        encoded(Image.fromarray(samples), "TIFF") for samples in (ramp.astype(np.uint8), ramp * 257, ramp * 16)
    )
    expected = _pixels(sheets.contact_sheet([plain], [""]))
    for content in (deep, dark):
        assert np.abs(_pixels(sheets.contact_sheet([content], [""])) - expected).max() <= 1
    postscript = broken()["postscript.jpg"][0]
    assert _share(_pixels(sheets.contact_sheet([postscript], [""]))[:100, :90], "#f6dcdc") > 0.5


def test_a_histogram_grows_with_the_classes_and_its_bars_with_the_counts():
    few, many = sheets.class_histogram({"Kiwi": 3, "Lime": 9}), sheets.class_histogram(dict.fromkeys(NAMES, 5))
    assert _pixels(many).shape[0] > 3 * _pixels(few).shape[0]
    more = _share(_pixels(sheets.class_histogram({"Kiwi": 9, "Lime": 9})), "#4a86c5")
    assert more > 1.3 * _share(_pixels(few), "#4a86c5")
    assert _pixels(sheets.class_histogram({f"class {n}": n for n in range(5000)})).shape[0] < 1000


def test_every_bar_of_a_histogram_is_as_long_as_its_count_and_stays_in_its_column():
    for names, columns in ((["Kiwi", "Lime"], 1), ([f"class {n:03}" for n in range(120)], 3)):
        counts = dict.fromkeys(names, 100) | {names[-1]: 1000}
        blue = (_pixels(sheets.class_histogram(counts)) == [0x4A, 0x86, 0xC5]).all(axis=2)
        lengths = {int(part.sum()) for line in blue for part in np.array_split(line, columns)} - {0}
        assert len(lengths) <= 1 + columns  # the names of a column, and so its room, may differ by a pixel
        assert max(lengths) / min(lengths) == pytest.approx(10, rel=0.1)


def test_the_bar_of_reuse_is_divided_as_the_images_are():
    pixels = _pixels(plots.reuse_bar(30, 10, 0))
    green, orange = _share(pixels, "#19a979"), _share(pixels, "#e8743b")
    assert green / orange == pytest.approx(3, rel=0.1)
    assert _share(_pixels(plots.reuse_bar(30, 10, 20)), "#c8323c") > 0.05


def test_phases_and_reasons_are_drawn_as_bars_of_their_values():
    one, two = (_pixels(plots.phase_bars({"read": 1.0, "inference": slow})) for slow in (1.0, 4.0))
    assert _share(one, "#e8743b") > 1.4 * _share(two, "#e8743b")
    assert _share(_pixels(plots.rejected_by_reason({"truncated": 3, "not an image": 1})), "#c8323c") > 0.1
    assert _share(_pixels(plots.rejected_by_reason({})), "#c8323c") == 0


def test_the_mark_in_a_scree_plot_moves_with_the_chosen_k():
    ratios = np.full(40, 1 / 40)
    columns = []
    for k in (4, 16):
        dark = (_pixels(plots.scree(ratios, k))[100:380] < 80).all(axis=2)
        columns.append(int(dark[:, 60:820].sum(axis=0).argmax()))
    assert columns[0] + 100 < columns[1]


def test_a_scatter_colours_the_commonest_kinds_and_leaves_the_rest_grey():
    rng = np.random.default_rng(0)
    labels = [NAMES[index] for index in rng.integers(0, 131, 900)]
    pixels = _pixels(plots.scatter_by_class(rng.normal(size=(900, 2)), labels))
    assert min(_share(pixels, colour) for colour in ("#ed966a", "#52be99", "#d7d8da")) > 0.0005
    few = _pixels(plots.scatter_by_class(rng.normal(size=(90, 2)), ["Kiwi", "Lime 1", "Lime 2"] * 30))
    assert min(_share(few, colour) for colour in ("#ed966a", "#52be99", "#77a3d2")) > 0.0005


@pytest.mark.parametrize("classes", [3, 131])
def test_a_confusion_matrix_darkens_the_column_that_classes_are_confused_with(classes):
    right = np.diag(np.full(classes, 9))
    wrong = right.copy()
    wrong[:, 0] += 30
    clean, confused = (_pixels(plots.confusion_matrix(counts, NAMES[:classes])) for counts in (right, wrong))
    darkest = [(pixels[60:500, 36:500] < 200).any(axis=2).mean(axis=0).max() for pixels in (clean, confused)]
    assert darkest[0] < 0.5
    assert darkest[1] > 0.8
    assert (confused[40:, 600:] < 100).sum() > 2 * (clean[40:, 600:] < 100).sum()


@pytest.mark.parametrize(
    "draw",
    [
        lambda: sheets.contact_sheet([], []),
        lambda: sheets.class_histogram({}),
        lambda: sheets.class_histogram({"$\\alpha$ é 苹果" * 9: 0}),
        lambda: plots.phase_bars({}),
        lambda: plots.phase_bars({"read": float("nan"), "write": 0.0}),
        lambda: plots.reuse_bar(0, 0, 0),
        lambda: plots.scree([], 0),
        lambda: plots.scree([np.nan, np.inf, 0.1], 3),
        lambda: plots.scree([1.0], 1),
        lambda: plots.scatter_by_class(np.empty((0, 2)), []),
        lambda: plots.scatter_by_class([[np.nan, 1.0]], ["Kiwi"]),
        lambda: plots.scatter_by_class([[0.0, 0.0]], [""]),
        lambda: plots.confusion_matrix(np.zeros((0, 0)), []),
        lambda: plots.confusion_matrix([[5]], ["Kiwi"]),
        lambda: plots.confusion_matrix([[np.nan, 0], [0, 0]], ["Kiwi", "Lime"]),
    ],
)
@pytest.mark.filterwarnings("ignore:Glyph:UserWarning")  # the font has no Chinese; the picture is drawn all the same
def test_empty_single_and_unmeasurable_input_is_drawn(draw):
    assert _pixels(draw()).std() > 0
