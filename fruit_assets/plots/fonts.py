"""Fonts that have the letters of labels in any script.

Put here which of the installed fonts is taken. What is written, and how long it may be, belongs to the pictures.
"""

import logging
from collections.abc import Iterable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

_log = logging.getLogger(__name__)
_SHOWN_LETTERS = 10
# Up to it Matplotlib's own font has all letters.
_LAST_LATIN = "\u017f"
# Looked at first, because they have the letters of many scripts in a plain style.
_PREFERRED = ("NotoSansCJK", "NotoSans-", "NotoEmoji", "Symbola", "wqy-", "DroidSansFallback", "unifont", "NotoSans")


def fonts_for(texts: Iterable[str]) -> list[str]:
    """Files of fonts that together have the letters of these texts; Matplotlib's own font is the first.

    Letters that no installed font has are named in one warning, for the whole process, and drawn as boxes.
    """
    missing = {ord(letter) for text in texts for letter in text if letter > _LAST_LATIN}
    chosen = [_own_font()]
    if missing:
        missing -= _letters(_own_font())
    # Most texts need no other, and to look through those installed takes a tenth of a second and more.
    for path in _installed_fonts() if missing else ():
        if found := missing & _letters(path):
            chosen.append(path)
            missing -= found
        if not missing:
            break
    if missing:
        _warn_once(missing)
    return chosen


def font_for(text: str) -> str:
    """The file of the one font that has most of the letters of a text, for Pillow, which takes no more than one."""
    letters = {ord(letter) for letter in text}
    return max(fonts_for([text]), key=lambda path: len(letters & _letters(path)))


def family_of(path: str) -> str:
    """The name by which Matplotlib knows the font of a file."""
    from matplotlib.font_manager import fontManager

    known = next((entry.name for entry in fontManager.ttflist if entry.fname == path), None)
    if known is None:
        fontManager.addfont(path)
        return str(fontManager.ttflist[-1].name)
    return str(known)


def bold_font() -> str:
    """The file of Matplotlib's own font for headings."""
    return _own_font("DejaVuSans-Bold.ttf")


@cache
def _own_font(name: str = "DejaVuSans.ttf") -> str:
    package = find_spec("matplotlib")  # importing it takes half a second
    return str(Path(package.origin if package and package.origin else "").parent / "mpl-data" / "fonts" / "ttf" / name)


@cache
def _installed_fonts() -> list[str]:
    from matplotlib.font_manager import findSystemFonts

    return sorted(findSystemFonts(), key=_preference)


def _preference(path: str) -> tuple[int, bool, str]:
    name = Path(path).name
    known = (rank for rank, start in enumerate(_PREFERRED) if name.startswith(start))
    return next(known, len(_PREFERRED)), "Bold" in name or "Italic" in name or "Oblique" in name, path


@cache
def _letters(path: str) -> frozenset[int]:
    """The code points that a font has; none of a font that Matplotlib cannot draw, such as one of coloured bitmaps."""
    from matplotlib.ft2font import FT2Font

    try:
        font: Any = FT2Font(path)
        return frozenset(font.get_charmap()) if font.scalable else frozenset()
    # A file that is damaged, has vanished, or is of a kind that FreeType does not know.
    except (RuntimeError, OSError, ValueError):
        return frozenset()


# Letters that a warning of this process has named.
_named: set[int] = set()


def _warn_once(missing: set[int]) -> None:
    if _named:
        return
    _named.update(missing)
    _log.warning(
        "No installed font has the letters %s of some labels: pictures show boxes, tables the labels. Install a font "
        "that has them as outlines, such as fonts-noto-cjk, fonts-noto-core or, for emoji, fonts-symbola of Debian.",
        "".join(map(chr, sorted(missing)[:_SHOWN_LETTERS])),
    )
