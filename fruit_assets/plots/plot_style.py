"""What all full pictures have in common: how wide they are, their colours, how names are cut.

Put here what `figures.py` (drawn by Matplotlib) and `contact_sheet.py` (drawn by Pillow) must agree on.
"""

import unicodedata

WIDTH = 900
"""Width of every picture in pixels."""

PAPER, INK, FAINT = "#fcfbf8", "#22262e", "#d9d8d2"
ACCENT, GREEN, BLUE, RED, GREY = "#e8743b", "#19a979", "#4a86c5", "#c8323c", "#a9adb5"
_VARIATION_SELECTORS = frozenset(map(chr, range(0xFE00, 0xFE10)))


def shortened(name: str, most: int) -> str:
    """The name on one line, cut in the middle when long: endings distinguish varieties."""
    name = one_line(name)
    return name if len(name) <= most else f"{name[: most - 8]}…{name[-7:]}"


def one_line(text: str) -> str:
    """The text without line breaks and control characters, and without what only joins or varies letters."""
    return "".join(_shown(letter) for letter in text).strip()


def _shown(letter: str) -> str:
    if unicodedata.category(letter) == "Cf" or letter in _VARIATION_SELECTORS:
        return ""
    return letter if letter.isprintable() else " "
