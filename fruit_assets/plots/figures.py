"""The full pictures behind the metadata: numbers in, PNG bytes out.

Put here pure functions that draw. Each picture has its own light background, so that it reads the
same in a light and in a dark user interface. Many small things in rows are `sheets`, drawings of under 1,000
characters `miniatures`.
"""

import io
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fruit_assets.plots.fonts import family_of, fonts_for
from fruit_assets.plots.plot_style import (
    ACCENT,
    BLUE,
    FAINT,
    GREEN,
    GREY,
    INK,
    PAPER,
    RED,
    WIDTH,
    one_line,
    shortened,
)  # fmt: skip

_DPI = 100
_FAMILIES = (
    "#e8743b", "#19a979", "#4a86c5", "#945ecf", "#d4a017", "#c8323c", "#13a4b4", "#ee6a9f", "#6c8893", "#8a5a2b",
    "#7fae2e",
)  # fmt: skip


def phase_bars(seconds: Mapping[str, float]) -> bytes:
    """Seconds per phase, in the order given."""
    total = sum(_number(value) for value in seconds.values())
    return _named_bars({name: _number(value) for name, value in seconds.items()}, f"{total:,.1f} s in all", ACCENT, "s")


def rejected_by_reason(counts: Mapping[str, int]) -> bytes:
    """Rejected images by reason, the commonest first."""
    ordered = dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
    total = sum(ordered.values())
    title = f"{total:,} rejected images" if total else "No image was rejected"
    return _named_bars({name: float(count) for name, count in ordered.items()}, title, RED, "")


def reuse_bar(reused: int, computed: int, rejected: int) -> bytes:
    """How many images were taken from the previous version, inferred now, or rejected."""
    total = reused + computed + rejected
    figure, (panel,) = _figure(1.6, f"{total:,} sampled images")
    _bare(panel)
    left = 0
    for name, count, colour in (
        ("reused", reused, GREEN),
        ("computed", computed, ACCENT),
        ("rejected", rejected, RED),
    ):
        panel.barh(
            [0], [count], left=left, color=colour, height=0.6, label=f"{name} {count:,} ({count / max(total, 1):.1%})"
        )
        left += count
    panel.set(xlim=(0, max(total, 1)), ylim=(-0.5, 0.5), yticks=[])
    panel.legend(loc="upper center", bbox_to_anchor=(0.5, 0.0), ncols=3, frameon=False, fontsize=10)
    return _png(figure)


def scree(explained_variance_ratio: ArrayLike, chosen_k: int) -> bytes:
    """Share of variance per component and together, with the chosen number of components marked.

    Args:
        explained_variance_ratio: (d,), largest first; what is not finite counts as 0.
        chosen_k: number of components kept.
    """
    ratios = np.nan_to_num(np.asarray(explained_variance_ratio, dtype=np.float64).ravel(), posinf=0, neginf=0)
    together = np.cumsum(ratios)
    reached = float(together[min(chosen_k, len(ratios)) - 1]) if len(ratios) and chosen_k > 0 else 0.0
    figure, (panel,) = _figure(4.4, f"{chosen_k} of {len(ratios):,} components explain {reached:.1%} of the variance")
    shown = min(len(ratios), max(3 * chosen_k, 20))
    x = np.arange(1, shown + 1)
    # One outline with gaps instead of a patch per bar, each of which takes as long.
    if shown:
        bars = np.column_stack([ratios[:shown] * 100, np.zeros(shown)]).ravel()[:-1]
        panel.stairs(bars, np.column_stack([x - 0.425, x + 0.425]).ravel(), fill=True, color=BLUE)
    panel.set(xlabel="component", ylabel="variance explained by each, %", xlim=(0.3, max(shown, 1) + 0.7))
    panel.yaxis.label.set_color(BLUE)
    curve = panel.twinx()
    curve.plot(np.concatenate([[0.3], x]), np.concatenate([[0.0], together[:shown]]) * 100, color=ACCENT, linewidth=2.2)
    curve.set(ylim=(0, 103), ylabel="together, %")
    curve.yaxis.label.set_color(ACCENT)
    curve.axvline(chosen_k, color=INK, linestyle="--", linewidth=1.2)
    curve.plot([chosen_k], [reached * 100], "o", color=INK, markersize=7)
    side = -8 if chosen_k > shown * 0.7 else 8
    curve.annotate(
        f"k = {chosen_k}: {reached:.1%}", (chosen_k, reached * 100), xytext=(side, -16), textcoords="offset points",
        ha="right" if side < 0 else "left", fontsize=11, color=INK,
    )  # fmt: skip
    for axes in (panel, curve):
        axes.spines[["top"]].set_visible(False)
    return _png(figure)


def scatter_by_class(points: ArrayLike, labels: Sequence[str]) -> bytes:
    """Images in the plane of two components.

    Up to eleven labels are coloured one by one. With more, colour stands for the fruit (the first
    word of a label): the eleven commonest kinds are coloured, the rest is grey.

    Args:
        points: (n, 2); rows that are not finite are left out.
        labels: one per point.
    """
    plane = np.asarray(points, dtype=np.float64).reshape(-1, 2)
    names = np.asarray(labels, dtype=object).astype(str)
    good = np.isfinite(plane).all(axis=1)
    plane, names = plane[good], names[good]
    kinds = (
        names if len(set(names)) <= len(_FAMILIES) else np.array([name.split()[0] if name else "" for name in names])
    )
    found, counts = np.unique(kinds, return_counts=True)
    common = found[np.argsort(-counts, kind="stable")][: len(_FAMILIES)]
    figure, (panel,) = _figure(5.6, f"{len(plane):,} images of {len(set(names)):,} classes")
    size = float(np.clip(20000 / max(len(plane), 1), 9, 40))
    rest = ~np.isin(kinds, common)
    if rest.any():
        label = f"{len(found) - len(common)} other kinds"
        panel.scatter(*plane[rest].T, s=size * 0.7, color=GREY, alpha=0.45, linewidths=0, label=label)
    for kind, colour in zip(common, _FAMILIES, strict=False):
        here = kinds == kind
        panel.scatter(
            *plane[here].T, s=size, color=colour, alpha=0.75, linewidths=0, label=f"{_short(kind, 20)} ({here.sum():,})"
        )
    panel.set(xlabel="first component", ylabel="second component")
    panel.spines[["top", "right"]].set_visible(False)
    if len(plane):
        panel.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=9, markerscale=1.5)
    return _png(figure, common)


def confusion_matrix(matrix: ArrayLike, labels: Sequence[str]) -> bytes:
    """What each class was taken for, as a share of the class, with the commonest confusions listed.

    Args:
        matrix: (n, n) counts, true classes in rows.
        labels: n names in the order of the matrix; written at the axes up to 40.
    """
    from matplotlib.colors import LinearSegmentedColormap

    counts = np.nan_to_num(np.asarray(matrix, dtype=np.float64))
    size = len(labels)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1) if size else np.zeros((1, 1))
    right = float(np.trace(counts)) / max(float(counts.sum()), 1.0)
    figure, (panel, listing) = _figure(5.6, f"{right:.1%} of {int(counts.sum()):,} images recognised", 2, (1.75, 1))
    heat = LinearSegmentedColormap.from_list("heat", [PAPER, "#f9d9a8", ACCENT, "#7a1f2b"])
    panel.imshow(share**0.5, cmap=heat, vmin=0, vmax=1, interpolation="nearest", aspect="equal")
    panel.set(xlabel="recognised as", ylabel="class", xticks=[], yticks=[])
    if 0 < size <= 40:
        small = 8 if size <= 20 else 6
        panel.set_xticks(range(size), [_short(name, 16) for name in labels], rotation=90, fontsize=small)
        panel.set_yticks(range(size), [_short(name, 16) for name in labels], fontsize=small)
    listing.axis("off")
    listing.text(0, 1, _confusions(counts, labels), va="top", fontsize=8.5, color=INK, linespacing=1.5)
    return _png(figure, labels)


def _confusions(counts: NDArray[np.float64], labels: Sequence[str]) -> str:
    """The commonest confusions as lines of text."""
    wrong = counts.copy()
    if len(labels):
        np.fill_diagonal(wrong, 0)
    if not wrong.any():
        return "No confusions"
    lines = ["Commonest confusions", ""]
    for flat in np.argsort(-wrong, axis=None, kind="stable")[:16]:
        row, column = np.unravel_index(flat, wrong.shape)
        if wrong[row, column] > 0:
            part = wrong[row, column] / counts[row].sum()
            lines.append(
                f"{int(wrong[row, column])} ({part:.0%})  {_short(labels[row], 21)} → {_short(labels[column], 21)}"
            )
    return "\n".join(lines)


def _named_bars(values: Mapping[str, float], title: str, colour: str, unit: str) -> bytes:
    """Horizontal bars with their names and values written out."""
    figure, (panel,) = _figure(1.0 + 0.34 * max(len(values), 1), title)
    _bare(panel)
    largest = max(values.values(), default=0.0)
    panel.barh(range(len(values)), list(values.values()), height=0.66, color=colour)
    panel.set_yticks(range(len(values)), [_short(name, 48) for name in values], fontsize=10)
    panel.set(xlim=(0, max(largest, 1e-9) * 1.14), ylim=(max(len(values), 1) - 0.4, -0.6))
    for row, value in enumerate(values.values()):
        text = f" {value:,.1f} {unit}" if unit else f" {value:,.0f}"
        panel.text(value, row, text, va="center", fontsize=10, color=INK)
    return _png(figure, values)


def _figure(
    height: float, title: str, columns: int = 1, widths: Sequence[float] | None = None
) -> tuple[Any, list[Any]]:
    """A figure of the common width, `height` inches high, and its panels from left to right."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH / _DPI, round(height, 2)), dpi=_DPI, facecolor=PAPER, layout="constrained")
    panels = figure.subplots(1, columns, squeeze=False, gridspec_kw={"width_ratios": widths} if widths else None)[0]
    for panel in panels:
        panel.set_facecolor(PAPER)
        panel.tick_params(colors=INK, labelsize=9, length=3)
        panel.spines[:].set_color(FAINT)
    figure.suptitle(title, fontsize=13, color=INK, x=0.012, ha="left", fontweight="bold")
    return figure, list(panels)


def _bare(panel: Any) -> None:
    """No frame and no numbers at the axes: the bars carry them."""
    panel.spines[:].set_visible(False)
    panel.tick_params(length=0)
    panel.set_xticks([])


def _png(figure: Any, labels: Iterable[str] = ()) -> bytes:
    """The drawn figure, in fonts that have the letters of the labels in it."""
    from matplotlib.text import Text

    buffer = io.BytesIO()
    if len(paths := fonts_for(map(one_line, labels))) > 1:
        families = [family_of(path) for path in paths]
        for panel in figure.axes:
            panel.tick_params(labelfontfamily=families)
        # Titles hold no labels, and many a font has no bold letters.
        for text in figure.findobj(lambda artist: isinstance(artist, Text) and artist.get_fontweight() != "bold"):
            text.set_fontfamily(families)
    with warnings.catch_warnings():
        # One for every letter that no font has; `fonts.py` has named them.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(buffer, format="png", dpi=_DPI)
    return buffer.getvalue()


def _short(name: str, most: int) -> str:
    """The name for Matplotlib, with `$` taken literally."""
    return shortened(name, most).replace("$", r"\$")


def _number(value: float) -> float:
    return float(value) if np.isfinite(value) else 0.0
