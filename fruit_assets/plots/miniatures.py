"""Pictures in under 1,000 characters: SVG inside Markdown, which Dagster's UI shows in place.

Put here drawings so small that they fit beside a number. The full pictures are `figures.py` and
`contact_sheet.py`. Colours are mid-tones, legible on light and on dark.
"""

import base64
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

LIMIT = 999
"""Characters of Markdown that the UI renders without a click."""

SVG_BUDGET = 820
"""Encoded characters that no drawing exceeds for any input; the rest is for words."""

COLOURS = ("#e8743b", "#19a979", "#5899da", "#945ecf", "#d4a017")
_GREY = "#8a8f98"
_WIDTH, _HEIGHT = 240, 48
_MOST_BARS, _MOST_POINTS, _MOST_DOTS, _MOST_CELLS, _MOST_FRUIT, _PALETTE = 48, 56, 46, 36, 24, 9

Numbers = NDArray[np.float64]


def miniature_markdown(svg: str, alt: str, value_text: str) -> str:
    """A drawing with its value written beside it.

    Raises:
        ValueError: the result would be hidden behind a click; shorten the texts.
    """
    markdown = f"![{alt}](data:image/svg+xml,{encoded(svg)}) {value_text}"
    if len(markdown) > LIMIT:
        raise ValueError(f"The miniature {alt!r} has {len(markdown)} characters; {LIMIT} are shown in place.")
    return markdown


def picture_markdown(png: bytes, alt: str) -> str:
    """A full picture, which the UI shows behind a click."""
    return f"![{alt}](data:image/png;base64,{base64.b64encode(png).decode()})"


def encoded(svg: str) -> str:
    """The part of a data URI after the comma, with no character that Markdown or a URL reads otherwise."""
    escapes = {"%": "%25", "<": "%3C", ">": "%3E", "#": "%23", '"': "%22", "'": "%27", " ": "%20"}
    return "".join(escapes.get(character, character) for character in svg)


def bars(values: ArrayLike, colour: str = COLOURS[0]) -> str:
    """Vertical bars from left to right; neighbours are averaged when there are many."""
    heights = _scaled(_thinned(_finite(values), _MOST_BARS), _HEIGHT - 2)
    step = _WIDTH / max(len(heights), 1)
    path = "".join(f"M{round((i + 0.5) * step)},{_HEIGHT}v-{max(int(h), 1)}" for i, h in enumerate(heights))
    return _svg(_stroke(path, colour, max(1, int(step * 0.7))))


def scree(explained_variance_ratio: ArrayLike, chosen_k: int) -> str:
    """The share of variance that the first components explain together, and a line where k was chosen."""
    ratios = _finite(explained_variance_ratio)
    shown = ratios[: max(3 * chosen_k, 12)]
    total = np.concatenate([[0.0], np.cumsum(shown)])
    at = round(min(chosen_k / max(len(total) - 1, 1), 1) * _WIDTH)
    curve = _curve(np.clip(total, 0, 1), _HEIGHT - 4, top=1.0)
    area = f"<path d='{curve}V{_HEIGHT}H0' fill='{COLOURS[2]}' fill-opacity='.3' stroke='{COLOURS[2]}'/>"
    return _svg(area, _stroke(f"M{at},0V{_HEIGHT}", COLOURS[0], 2))


def stacked_bar(parts: Sequence[float]) -> str:
    """One bar whose pieces have the lengths of up to five parts, in the order of `COLOURS`."""
    values = np.maximum(_finite(parts)[: len(COLOURS)], 0)
    edges = np.concatenate([[0.0], np.cumsum(values)]) / max(float(values.sum()), 1e-12) * _WIDTH
    pieces = [_stroke(f"M0,8H{_WIDTH}", _GREY, 2)]
    for colour, value, start, end in zip(COLOURS, values, edges[:-1], edges[1:], strict=False):
        if value > 0:
            left = min(round(start), _WIDTH - 2)
            pieces.append(_stroke(f"M{left},8H{max(round(end), left + 2)}", colour, 14))
    return _svg(*pieces, height=16)


def scatter(points: ArrayLike, labels: Sequence[str] | None = None) -> str:
    """Dots in the plane; the four commonest labels are coloured, the rest is grey.

    Args:
        points: (n, 2); rows that are not finite are left out, and evenly spread ones are drawn when many.
        labels: one per point, or None for one colour.
    """
    plane = np.asarray(points, dtype=np.float64).reshape(-1, 2)
    names = np.asarray(labels if labels is not None else [""] * len(plane), dtype=object)
    good = np.isfinite(plane).all(axis=1)
    plane, names = plane[good], names[good]
    common, counts = np.unique(names.astype(str), return_counts=True)
    common = common[np.argsort(-counts, kind="stable")][:4]
    chosen = np.linspace(0, len(plane) - 1, min(len(plane), _MOST_DOTS)).astype(int)
    drawn = plane[chosen]
    low, span = (drawn.min(axis=0), np.maximum(np.ptp(drawn, axis=0), 1e-12)) if len(drawn) else (0, 1)
    height = 2 * _HEIGHT
    place = np.rint((drawn - low) / span * [_WIDTH - 8, height - 8] + 4).astype(int)
    paths = dict.fromkeys([*COLOURS[:4], _GREY], "")
    for (x, y), name in zip(place, names[chosen], strict=True):
        where = np.flatnonzero(common == str(name))
        paths[COLOURS[where[0]] if where.size else _GREY] += f"M{x},{height - y}z"
    return _svg(*(_dots(path, colour) for colour, path in paths.items() if path), height=height, dot=6)


def matrix(confusion: ArrayLike) -> str:
    """A confusion matrix in 12 x 12 cells: what is right in green, what is confused in orange.

    Args:
        confusion: (n, n) counts, true classes in rows. Neighbouring classes share a cell when n > 12.
    """
    counts = np.nan_to_num(np.asarray(confusion, dtype=np.float64))
    size = min(len(counts), 12)
    if size == 0:
        return _svg(height=2 * _HEIGHT, width=2 * _HEIGHT)
    block = np.arange(len(counts)) * size // len(counts)
    cells = np.zeros((size, size))
    np.add.at(cells, (block[:, None], block[None, :]), counts)
    right = np.zeros(size)
    np.add.at(right, block, np.diag(counts))
    share = cells / np.maximum(cells.sum(axis=1, keepdims=True), 1e-12)
    share[np.diag_indices(size)] = right / np.maximum(cells.sum(axis=1), 1e-12)
    # How long a cell is in characters depends on where it lies: leave out the weakest until the drawing fits.
    drawings = (_cells(share, most) for most in range(_MOST_CELLS, 0, -4))
    return next(drawing for drawing in drawings if len(encoded(drawing)) <= SVG_BUDGET)


def _cells(share: Numbers, most: int) -> str:
    """At most `most` cells of a square matrix of shares, the strongest ones."""
    size = len(share)
    drawn = np.zeros(share.size, dtype=bool)
    drawn[np.argsort(-share, axis=None, kind="stable")[:most]] = True
    side = 2 * _HEIGHT // size
    pieces = []
    for low, high, opacity in ((0.005, 0.1, ".3"), (0.1, 0.4, ".6"), (0.4, 2, "1")):
        for diagonal, colour in ((True, COLOURS[1]), (False, COLOURS[0])):
            level = (share >= low) & (share < high) & (np.eye(size, dtype=bool) == diagonal)
            here = level & drawn.reshape(share.shape)
            path = "".join(f"M{c * side},{r * side + side // 2}h{side - 1}" for r, c in np.argwhere(here))
            if path:
                pieces.append(_stroke(path, colour, side - 1, f" opacity='{opacity}'"))
    return _svg(*pieces, height=side * size, width=side * size)


def sheet(images: Sequence[bytes]) -> str:
    """A row of dots in the average colours of up to 24 images, evenly picked; white background does not count.

    Similar colours are merged into nine, which keeps the drawing short. Unreadable images are grey.
    """
    chosen = np.linspace(0, len(images) - 1, min(len(images), _MOST_FRUIT)).astype(int)
    colours = [_average_colour(images[i]) for i in chosen]
    readable = np.array([colour for colour in colours if colour is not None]).reshape(-1, 3)
    palette = _palette(readable)
    paths: dict[str, str] = {}
    for number, colour in enumerate(colours):
        at = f"M{13 + 19 * (number % 12)},{13 + 22 * (number // 12)}z"
        nearest = _GREY if colour is None else _hex(palette[np.argmin(((palette - colour) ** 2).sum(axis=1))])
        paths[nearest] = paths.get(nearest, "") + at
    return _svg(*(_dots(path, colour) for colour, path in paths.items()), dot=16)


def _svg(*pieces: str, width: int = _WIDTH, height: int = _HEIGHT, dot: int = 0) -> str:
    more = f" stroke-linecap='round' stroke-width='{dot}'" if dot else ""
    size = f"width='{width}' height='{height}'"
    return f"<svg xmlns='http://www.w3.org/2000/svg' {size} fill='none'{more}>{''.join(pieces)}</svg>"


def _stroke(path: str, colour: str, width: int, more: str = "") -> str:
    return f"<path d='{path}' stroke='{colour}' stroke-width='{width}'{more}/>" if path else ""


def _dots(path: str, colour: str) -> str:
    """Subpaths without length: round caps make them dots, of the size the drawing's root gives."""
    return f"<path d='{path}' stroke='{colour}'/>"


def _finite(values: ArrayLike) -> Numbers:
    numbers = np.nan_to_num(np.asarray(values, dtype=np.float64).ravel(), posinf=0.0, neginf=0.0)
    return np.clip(numbers, -1e100, 1e100)  # sums stay finite


def _thinned(values: Numbers, most: int) -> Numbers:
    """At most `most` values: averages over neighbours."""
    if len(values) <= most:
        return values
    return np.array([piece.mean() for piece in np.array_split(values, most)])


def _scaled(values: Numbers, height: int, top: float | None = None) -> NDArray[np.int64]:
    largest = float(values.max(initial=0.0)) if top is None else top
    return np.rint(np.clip(values / max(largest, 1e-12), 0, 1) * height).astype(np.int64)


def _curve(values: Numbers, height: int, top: float | None = None) -> str:
    chosen = np.linspace(0, len(values) - 1, min(len(values), _MOST_POINTS)).astype(int)
    y = _HEIGHT - 2 - _scaled(values, height, top)[chosen]
    x = np.rint(np.linspace(0, _WIDTH, max(len(chosen), 1))).astype(int)
    if not len(y):
        return f"M0,{_HEIGHT - 2}"
    path = f"M0,{y[0]}" if len(y) > 1 else f"M0,{y[0]}h{_WIDTH}"
    for dx, dy in zip(np.diff(x), np.diff(y), strict=False):
        path += f"l{dx}" + (f",{dy}" if dy >= 0 else f"{dy}")
    return path


def _average_colour(image: bytes) -> Numbers | None:
    """(3,) typical colour of the pixels that are not background; None when unreadable."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(image)) as opened:
            opened.draft("RGB", (32, 32))
            small: Any = opened.convert("RGB").resize((16, 16))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None  # the contact sheet marks it; a decoder's complaint is not news here
    pixels = np.asarray(small, dtype=np.float64).reshape(-1, 3)
    fruit = pixels[pixels.min(axis=1) < 225]
    # Lighter than the mean, which shadows darken beyond what one calls the fruit's colour.
    colour: Numbers = np.percentile(fruit if len(fruit) else pixels, 65, axis=0)
    return colour


def _palette(colours: Numbers) -> Numbers:
    """At most nine colours that stand for all: the closest two are merged until nine are left."""
    groups = [colour[None] for colour in colours]
    while len(groups) > _PALETTE:
        means = np.array([group.mean(axis=0) for group in groups])
        distance = ((means[:, None] - means[None]) ** 2).sum(axis=2) + np.eye(len(groups)) * 1e9
        first, second = sorted(np.unravel_index(distance.argmin(), distance.shape))
        groups[first] = np.concatenate([groups[first], groups.pop(second)])
    return np.array([group.mean(axis=0) for group in groups]).reshape(-1, 3)


def _hex(colour: Numbers) -> str:
    """Three digits: shorter, and the difference is invisible in a dot."""
    return "#" + "".join(f"{min(round(float(value) / 17), 15):x}" for value in colour)
