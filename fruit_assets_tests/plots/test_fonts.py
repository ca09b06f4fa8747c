"""Fonts for labels in any script: installed fonts are found, missing ones are reported once."""

import logging
from pathlib import Path

import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen

from fruit_assets.plots import contact_sheet, figures, fonts

LETTER, ABSENT = "\U00010900", "\U00012000"  # Phoenician and cuneiform letters, which Matplotlib's font has not


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only font that is installed: one letter, a full black square."""
    pen = TTGlyphPen(None)
    for draw, *at in [
        (pen.moveTo, 0, 0), (pen.lineTo, 0, 1000), (pen.lineTo, 1000, 1000), (pen.lineTo, 1000, 0),
    ]:  # fmt: skip
        draw(tuple(at))
    pen.closePath()
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder([".notdef", "square"])
    builder.setupCharacterMap({ord(LETTER): "square"})
    builder.setupGlyf({".notdef": TTGlyphPen(None).glyph(), "square": pen.glyph()})
    builder.setupHorizontalMetrics({".notdef": (1000, 0), "square": (1000, 0)})
    builder.setupHorizontalHeader(ascent=1000, descent=0)
    builder.setupNameTable({"familyName": "Fruit Test", "styleName": "Regular"})
    builder.setupOS2(sTypoAscender=1000, usWinAscent=1000)
    builder.setupPost()
    builder.save(tmp_path / "FruitTest.ttf")
    (tmp_path / "damaged.ttf").write_bytes(b"no font")
    paths = [str(tmp_path / "damaged.ttf"), str(tmp_path / "FruitTest.ttf")]
    monkeypatch.setattr(fonts, "_installed_fonts", lambda: paths)
    monkeypatch.setattr(fonts, "_named", set())
    return tmp_path / "FruitTest.ttf"


def test_a_font_is_added_only_where_it_has_letters_that_are_missing(installed):
    own = fonts.fonts_for(["Apple", "Açaí", "Яблоко", "αβ"])
    assert [Path(path).name for path in own] == ["DejaVuSans.ttf"]
    assert fonts.fonts_for(["Apple", LETTER]) == [*own, str(installed)]
    assert fonts.font_for(f"Apple {LETTER}") == own[0]
    assert fonts.font_for(LETTER) == str(installed)


@pytest.mark.parametrize(
    "draw",
    [
        lambda label: contact_sheet.contact_sheet([b""], [label]),
        lambda label: contact_sheet.class_histogram({label: 3}),
        lambda label: figures.rejected_by_reason({label: 3}),
        lambda label: figures.scatter_by_class(np.eye(2), [label, label]),
        lambda label: figures.confusion_matrix(np.array([[1, 2], [0, 1]]), [label, "other"]),
    ],
    ids=["sheet", "histogram", "reasons", "scatter", "confusions"],
)
def test_pictures_show_the_letters_of_an_installed_font(installed, draw, caplog, monkeypatch):
    shown = draw(LETTER * 4)
    assert not caplog.records
    monkeypatch.setattr(fonts, "_installed_fonts", list)
    assert draw(LETTER * 4) != shown, "boxes"
    assert len(caplog.records) == 1


def test_letters_that_no_font_has_are_named_once(installed, caplog):
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            contact_sheet.class_histogram({ABSENT: 1, f"{ABSENT}x": 2})
            figures.rejected_by_reason({ABSENT: 3})
    [record] = caplog.records
    assert f"No installed font has the letters {ABSENT} of some labels" in record.getMessage()
    assert "fonts-noto-cjk" in record.getMessage()
