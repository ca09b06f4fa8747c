"""What all full pictures have in common: how wide they are, their colours, how names are cut.

Put here what `figures.py` (drawn by Matplotlib) and `contact_sheet.py` (drawn by Pillow) must agree on.
"""

WIDTH = 900
"""Width of every picture in pixels."""

PAPER, INK, FAINT = "#fcfbf8", "#22262e", "#d9d8d2"
ACCENT, GREEN, BLUE, RED, GREY = "#e8743b", "#19a979", "#4a86c5", "#c8323c", "#a9adb5"


def shortened(name: str, most: int) -> str:
    """The name on one line, cut in the middle when long: endings tell varieties apart."""
    name = one_line(name)
    return name if len(name) <= most else f"{name[: most - 8]}…{name[-7:]}"


def one_line(text: str) -> str:
    """The text without line breaks and control characters, which no picture can show."""
    return "".join(letter if letter.isprintable() else " " for letter in text).strip()
