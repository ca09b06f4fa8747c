"""Full pictures that are many small things in rows: numbers and images in, PNG bytes out.

Put here what is drawn with Pillow, because laying out hundreds of texts takes Matplotlib half a second. Curves, points
and matrices are `plots`, which look the same; drawings of under 1,000 characters are `miniatures`.
"""

import io
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from fruit_assets.images.pixels.colours import eight_bit_colours
from fruit_assets.images.pixels.decoding_options import Traits
from fruit_assets.images.pixels.opening import open_image, sample_format
from fruit_assets.plots.fonts import bold_font, font_for
from fruit_assets.plots.plot_style import BLUE, INK, PAPER, RED, WIDTH, one_line, shortened

_GAP = 4  # pixels between tiles
_MOST_BARS = 156  # three columns of 52
# Pixels of the title above bars and of a row of them.
_HEADING, _BAR_ROW = 38, 15


def contact_sheet(images: Sequence[bytes], captions: Sequence[str], columns: int = 10) -> bytes:
    """Images in a grid, each with its caption; an unreadable one is a marked tile.

    Args:
        images: encoded image files of any size and mode.
        captions: one per image; cut to the width of a tile.
        columns: tiles per row.
    """
    from PIL import Image, ImageDraw

    side, gap = WIDTH // columns, _GAP
    rows = max(1, -(-len(images) // columns))
    sheet = Image.new("RGB", (WIDTH, rows * (side + 12) + gap), PAPER)
    draw = ImageDraw.Draw(sheet)
    for number, (image, caption) in enumerate(zip(images, captions, strict=True)):
        left, top = number % columns * side + gap // 2, number // columns * (side + 12) + gap
        tile = _thumbnail(image, side - gap)
        if tile is None:
            corners = (left, top, left + side - gap - 1, top + side - gap - 1)
            draw.rectangle(corners, fill="#f6dcdc", outline=RED, width=2)
            draw.line(corners, fill=RED, width=2)
            draw.text((left + 5, top + side // 2 - 4), "unreadable", fill=RED, font=_font(10))
        else:
            sheet.paste(tile, (left, top))
        caption = one_line(caption)
        font = _font(10, font_for(caption))
        while caption and draw.textlength(caption, font) > side - gap:
            caption = caption[:-2] + "…" if len(caption) > 2 else ""
        draw.text((left, top + side - gap), caption, fill=INK, font=font)
    if not images:
        draw.text((WIDTH // 2 - 30, side // 2), "no images", fill=INK, font=_font(10))
    return _saved(sheet)


def thumbnail(image: bytes, columns: int = 10) -> bytes:
    """A tile of the contact sheet as a small file that stands for the image; empty when the image cannot be read."""
    tile = _thumbnail(image, WIDTH // columns - _GAP)
    buffer = io.BytesIO()
    if tile is not None:
        tile.save(buffer, "JPEG", quality=90, subsampling=0)
    return buffer.getvalue()


def class_histogram(counts: Mapping[str, int]) -> bytes:
    """Images per class, in alphabetical order and as many columns as it takes to read every name.

    Beyond 156 classes the largest and the smallest are shown.
    """
    from PIL import Image, ImageDraw

    names = sorted(counts)
    title = f"{sum(counts.values()):,} images in {len(names):,} classes"
    if len(names) > _MOST_BARS:
        by_size = sorted(names, key=lambda name: (-counts[name], name))
        names = by_size[: _MOST_BARS // 2] + by_size[-(_MOST_BARS // 2) :]
        title += f" (the {_MOST_BARS // 2} largest and smallest)"
    columns = min(3, max(1, -(-len(names) // 30)))
    rows = max(1, -(-len(names) // columns))
    picture = Image.new("RGB", (WIDTH, _HEADING + max(rows, 4) * _BAR_ROW + _BAR_ROW), PAPER)
    draw = ImageDraw.Draw(picture)
    draw.text((11, 21), title, fill=INK, font=_font(18, bold_font()), anchor="lm")
    for column in range(columns):
        shown = [(name, counts[name]) for name in names[column * rows : (column + 1) * rows]]
        left, right = WIDTH * column // columns, WIDTH * (column + 1) // columns
        _draw_bars(draw, shown, max(counts.values(), default=0), (left + 5, right - 10))
    return _saved(picture)


def _draw_bars(draw: Any, bars: Sequence[tuple[str, int]], largest: int, sides: tuple[int, int]) -> None:
    """Rows of name, bar and number, between a left and a right side; the longest bar is that of `largest`."""
    font = _font(10)
    names = [shortened(name, 26) for name, _ in bars]
    fonts = [_font(10, font_for(name)) for name in names]
    start = sides[0] + max(map(draw.textlength, names, fonts), default=0) + 6
    room = sides[1] - start - draw.textlength(f" {largest:,}", font)
    for row, (name, (_, count)) in enumerate(zip(names, bars, strict=True)):
        top, end = _HEADING + row * _BAR_ROW, start + room * count / max(largest, 1)
        middle = top + _BAR_ROW / 2
        draw.text((start - 6, middle), name, fill=INK, font=fonts[row], anchor="rm")
        if count:
            draw.rectangle((start, top + 2, max(start + 1, end), top + _BAR_ROW - 3), fill=BLUE)
        draw.text((end + 4, middle), f"{count:,}", fill=INK, font=font, anchor="lm")


def _saved(picture: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


@cache
def _font(size: int, path: str | None = None) -> Any:
    """A font; without a path that of the other pictures. Pillow's own where Pillow cannot use the file."""
    from PIL import ImageFont

    try:
        return ImageFont.truetype(path or font_for(""), size)
    except OSError:
        return ImageFont.load_default(size)


def _thumbnail(image: bytes, side: int) -> Any:
    """A square tile with the colours that the network sees, or None when the image cannot be read."""
    from PIL import ImageOps

    try:
        with open_image(image) as opened:
            form = sample_format(opened)
            opened.draft("RGB", (side * 2, side * 2))
            opened.load()
            shown = eight_bit_colours(opened, form, None, Traits()).convert("RGB")
            return ImageOps.pad(shown, (side, side), color="white")
    # PIL raises errors of any type; `rejected_images` reports them.
    except Exception:
        return None
