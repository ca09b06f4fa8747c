"""How the surface of a fruit looks: base colours, blush, streaks, dots, nets, bloom.

Put here what gives each point of a surface its colour before any light falls on it. Shapes are
`fruit_surfaces`, light and camera `fruit_rendering`.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from fruit_assets.demo.fruit_shapes import Form
from fruit_assets.demo.fruit_surfaces import Floats, Noise, Surface


@dataclass(frozen=True)
class Skin:
    """How the surface of a variety looks. Colours are hexadecimal.

    Attributes:
        base: main colour.
        low: colour of the bottom.
        top: colour around the stem.
        blush: colour of the side that saw the sun, and the share of the surface it takes.
        streaks: colour of fine lines from pole to pole, and their strength.
        stripes: colour of broad stripes, and their number.
        spots: colour of dots, dots per unit of length, radius as a share of their distance.
        net: colour of a network of lines, and its frequency.
        groove: colour between bumps or ribs.
        patches: colour of irregular patches, and the share of the surface they take.
        bloom: waxy haze, 0 to 1.
        mottle: strength of irregular brightness.
        eye: colour of what remains of the flower at the bottom, and its size.
        flesh: colour of a sliced face.
        gloss: strength of the highlight, 0 to 1.
        tight: size of the highlight: 8 is broad, 80 is a point.
        glow: light that shines through, 0 to 1.
    """

    base: str
    low: str | None = None
    top: str | None = None
    blush: tuple[str, float] | None = None
    streaks: tuple[str, float] | None = None
    stripes: tuple[str, int] | None = None
    spots: tuple[str, float, float] | None = None
    net: tuple[str, float] | None = None
    groove: str | None = None
    patches: tuple[str, float] | None = None
    bloom: float = 0.0
    mottle: float = 0.06
    eye: tuple[str, float] | None = None
    flesh: str = "#f2d9b0"
    gloss: float = 0.35
    tight: float = 30.0
    glow: float = 0.0


def linear(colour: str) -> Floats:
    """(3,) linear light of a hexadecimal sRGB colour."""
    srgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    light: Floats = srgb**2.2
    return light


def _step(low: float, high: float, value: Floats) -> Floats:
    """0 below `low`, 1 above `high`, smooth between."""
    share = np.clip((value - low) / (high - low), 0, 1)
    smooth: Floats = share * share * (3 - 2 * share)
    return smooth


def paint(surface: Surface, form: Form, skin: Skin, rng: np.random.Generator) -> Floats:
    """(n, 3) linear colours of one specimen."""
    noise, tint = Noise.draw(rng), np.exp(rng.normal(0, 0.07, 3))
    fine, coarse = noise(surface.position, 9.0), noise(surface.position, 2.2)
    colour = np.broadcast_to(linear(skin.base), (surface.height.size, 3)).copy()
    for pigment, share in (
        *_pigments(surface, skin, coarse, fine, rng),
        *_marks(surface, skin, noise, fine, rng),
        *_finish(surface, skin, coarse),
    ):
        colour += (linear(pigment) - colour) * np.clip(share, 0, 1)[:, None]
    colour *= tint * (1 + skin.mottle * (0.6 * coarse + 0.6 * fine) + 0.05 * rng.normal())[:, None]
    colour[surface.flesh] = _flesh(surface, skin)
    colour *= (1 - form.dimple * _step(0.9, 0.985, surface.height))[:, None] * (0.5 + 0.5 * surface.relief)[:, None]
    for number, part in enumerate(form.parts, start=1):
        here = surface.part == number
        colour[here] = linear(part.colour) * (0.55 + 0.6 * surface.height[here] + 0.12 * fine[here])[:, None]
    return np.clip(colour, 0.002, 1)


def _pigments(
    surface: Surface, skin: Skin, coarse: Floats, fine: Floats, rng: np.random.Generator
) -> Iterator[tuple[str, Floats]]:
    """Colours that follow the fruit's axis or the sun, each with its share per point."""
    wobble = surface.height + 0.05 * coarse
    if skin.low:
        yield skin.low, 1 - _step(0.0, 0.55, wobble)
    if skin.top:
        yield skin.top, _step(0.6, 0.97, wobble)
    if skin.blush:
        texture, heading = coarse + 0.35 * fine, rng.uniform(0, 2 * np.pi)
        sunny = np.cos(surface.angle - heading) * 0.7 + 0.3 * (2 * surface.height - 1) + 0.22 * texture
        limit = 1 - 2 * skin.blush[1] + rng.normal(0, 0.1)
        yield skin.blush[0], _step(limit - 0.45, limit + 0.45, sunny)
    if skin.streaks:
        lines = np.sin(26 * surface.angle + 2.5 * coarse) + 0.8 * np.sin(61 * surface.angle + 4 * fine)
        yield skin.streaks[0], skin.streaks[1] * _step(0.1, 1.3, lines + 0.5 * coarse)
    if skin.stripes:
        band = np.cos(skin.stripes[1] * surface.angle + 1.2 * fine)
        yield skin.stripes[0], 0.9 * _step(-0.1, 0.5, band + 0.3 * coarse)


def _marks(
    surface: Surface, skin: Skin, noise: Noise, fine: Floats, rng: np.random.Generator
) -> Iterator[tuple[str, Floats]]:
    """Colours of patches, lines and dots, each with its share per point."""
    if skin.patches:
        limit = 1.6 - 3.0 * skin.patches[1]
        yield skin.patches[0], 0.9 * _step(limit - 0.9, limit + 0.9, noise(surface.position, 3.7) + 0.4 * fine)
    if skin.net:
        yield skin.net[0], 0.85 * (1 - _step(0.08, 0.3, np.abs(noise(surface.position, skin.net[1]))))
    if skin.spots:
        yield skin.spots[0], 0.85 * _spots(surface.position, skin.spots[1], skin.spots[2], rng)


def _finish(surface: Surface, skin: Skin, coarse: Floats) -> Iterator[tuple[str, Floats]]:
    """Colours that lie over everything else, each with its share per point."""
    if skin.groove:
        yield skin.groove, 1 - _step(0.25, 0.85, surface.relief)
    if skin.bloom:
        yield "#b9c3d8", skin.bloom * (0.45 + 0.3 * coarse)
    if skin.eye:
        yield skin.eye[0], 1 - _step(skin.eye[1] * 0.7, skin.eye[1], surface.height)


def _flesh(surface: Surface, skin: Skin) -> Floats:
    x, y = surface.position[:2, surface.flesh]
    reach = np.hypot(x / max(np.abs(x).max(initial=0.0), 1e-9), y / max(np.abs(y).max(initial=0.0), 1e-9))
    pale = np.array([0.85, 0.62, 0.55])
    flesh: Floats = linear(skin.flesh) + (pale - linear(skin.flesh)) * (1 - _step(0.15, 0.7, reach))[:, None]
    return flesh


def _spots(position: Floats, density: float, radius: float, rng: np.random.Generator) -> Floats:
    """1 inside a dot, 0 outside. Space is cut into cubes, each with one dot near its middle."""
    cells = position * density + rng.uniform(0, 100, (3, 1))
    corner = np.floor(cells)
    seed = corner[0] * 127.1 + corner[1] * 311.7 + corner[2] * 74.7
    distance = np.zeros(seed.shape)
    for axis, factor in enumerate((1.0, 1.7, 2.3)):
        jitter = np.modf(np.abs(np.sin(seed * factor) * 43758.5453))[0]
        distance += (cells[axis] - corner[axis] - 0.3 - 0.4 * jitter) ** 2
    return 1 - _step(radius * 0.6, radius * 1.2, np.sqrt(distance))
