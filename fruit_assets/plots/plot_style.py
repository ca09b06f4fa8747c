"""What all full pictures have in common: how wide they are, their colours, how names are cut.

Put here what `figures.py` (drawn by Matplotlib) and `contact_sheet.py` (drawn by Pillow) must agree on.
"""

WIDTH = 900
"""Width of every picture in pixels."""

PAPER, INK, FAINT = "#fcfbf8", "#22262e", "#d9d8d2"
ACCENT, GREEN, BLUE, RED, GREY = "#e8743b", "#19a979", "#4a86c5", "#c8323c", "#a9adb5"


def shortened(name: str, most: int) -> str:
    """The name, cut in the middle when long: endings tell varieties apart."""
    return name if len(name) <= most else f"{name[: most - 8]}…{name[-7:]}"
