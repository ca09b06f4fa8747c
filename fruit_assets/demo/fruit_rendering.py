"""From a shape and a skin to one photograph: pose, camera, light, JPEG.

Put here what decides the pixels of one image of one fruit. What the fruit is like comes from
`fruit_surfaces` and `fruit_skins`; writing collections of files is `demo_images`.
"""

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fruit_assets.demo.fruit_shapes import Form
from fruit_assets.demo.fruit_skins import Skin, paint
from fruit_assets.demo.fruit_surfaces import Floats, build_surface

SIDE = 100
"""Width and height of an image in pixels, as in Fruits-360."""

_CANVAS = 150  # rendered larger and reduced, which smooths edges
_QUALITY = 90
_EMPTY = -1
_FLESH = -1  # in place of a part's number; sliced fruit does not shine


@dataclass(frozen=True)
class Specimen:
    """One fruit, ready to be photographed from any side.

    Attributes:
        geometry: (7, n) float32: position, normal, and the number of the part each point lies on (-1 for sliced flesh).
        colour: (n, 3) float32, linear light, 0 to 1.
        gloss: strength of the highlight.
        tight: exponent of the highlight.
        glow: light that shines through.
    """

    geometry: NDArray[np.float32]
    colour: NDArray[np.float32]
    gloss: float
    tight: float
    glow: float


def grow(form: Form, skin: Skin, rng: np.random.Generator) -> Specimen:
    """One specimen of a variety; costs about as much as photographing it ten times."""
    surface = build_surface(form, rng)
    colour = paint(surface, form, skin, rng)
    part = np.where(surface.flesh, _FLESH, surface.part)
    geometry = np.concatenate([surface.position, surface.normal, part[None]]).astype(np.float32)
    return Specimen(geometry, colour.astype(np.float32), skin.gloss, skin.tight, skin.glow)


def photograph(specimen: Specimen, rng: np.random.Generator) -> bytes:
    """A JPEG of `SIDE` x `SIDE` pixels on white, from a random side in slightly random light."""
    from PIL import Image

    normal, point = _project(specimen.geometry, _pose(rng), rng.uniform(0.86, 0.98), rng.normal(0, 0.012, 2))
    light = np.array([-0.45, 0.55, 0.72]) + rng.normal(0, 0.17, 3)
    picture = _shade(specimen, normal, point, light / np.linalg.norm(light), rng)
    grain = rng.normal(0, 1.6, picture.shape).astype(np.float32)
    pixels = np.clip(picture * 255 + grain * (picture < 1), 0, 255).astype(np.uint8)
    image = Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=_QUALITY)
    return buffer.getvalue()


def _pose(rng: np.random.Generator) -> Floats:
    """(3, 3) rotation: the turntable's angle, and which way up the fruit was mounted on it."""
    turn = rng.uniform(0, 2 * np.pi)
    mounted = rng.choice(3, p=[0.55, 0.25, 0.2])
    tilt = (0.35, 1.25, 0.3)[mounted] + rng.normal(0, 0.16)
    roll = (0.0, 0.0, 1.35)[mounted] + rng.normal(0, 0.16)
    (c1, s1), (c2, s2), (c3, s3) = ((np.cos(a), np.sin(a)) for a in (turn, tilt, roll))
    around_axis = np.array([[c1, 0, s1], [0, 1, 0], [-s1, 0, c1]])
    towards_camera = np.array([[1, 0, 0], [0, c2, -s2], [0, s2, c2]])
    in_plane = np.array([[c3, -s3, 0], [s3, c3, 0], [0, 0, 1]])
    pose: Floats = in_plane @ towards_camera @ around_axis
    return pose


def _turned(vectors: NDArray[np.float32], pose: Floats) -> list[NDArray[np.float32]]:
    """The three rotated coordinates; written out because BLAS would start threads for it."""
    x, y, z = vectors
    rows = pose.astype(np.float32)
    return [row[0] * x + row[1] * y + row[2] * z for row in rows]


def _project(
    geometry: NDArray[np.float32], pose: Floats, fill: float, shift: Floats
) -> tuple[list[NDArray[np.float32]], NDArray[np.int64]]:
    """Which point each pixel of the canvas sees.

    Returns:
        The rotated normals, three arrays (n,), leaves turned to the camera; and (canvas, canvas)
        indices of points, -1 where there is only background.
    """
    x, y, z = _turned(geometry[:3], pose)
    normal = _turned(geometry[3:6], pose)
    # A banana seen from its end must not fill the picture: its points would lie too far apart.
    extent = max(float(np.ptp(x)), float(np.ptp(y)), 0.72 * float(np.ptp(geometry[:3], axis=1).max()))
    scale = fill * _CANVAS / extent
    column = ((x - (x.max() + x.min()) / 2) * scale + _CANVAS * (0.5 + shift[0])).astype(np.int64)
    row = ((y.max() + y.min()) / 2 * scale - y * scale + _CANVAS * (0.5 + shift[1])).astype(np.int64)
    thin = geometry[6] > 0
    seen = np.flatnonzero(
        ((normal[2] > -0.1) | thin)  # a little of the far side closes gaps between bumps
        & (column >= 0)
        & (column < _CANVAS)
        & (row >= 0)
        & (row < _CANVAS)
    )
    depth = ((z[seen] + 8) * 4096).astype(np.int64)
    nearest = np.full(_CANVAS * _CANVAS, _EMPTY, dtype=np.int64)
    np.maximum.at(nearest, row[seen] * _CANVAS + column[seen], (depth << 20) | seen)
    point = np.where(nearest < 0, _EMPTY, nearest & ((1 << 20) - 1)).reshape(_CANVAS, _CANVAS)
    sign = np.where(thin & (normal[2] < 0), -1, 1).astype(np.float32)
    return [axis * sign for axis in normal], _without_holes(point)


def _without_holes(point: NDArray[np.int64]) -> NDArray[np.int64]:
    """Fill gaps of up to three pixels between points left and right, or above and below."""
    padded = np.pad(point, 2, constant_values=_EMPTY)
    height, width = point.shape

    def near(rows: int, columns: int) -> NDArray[np.int64]:
        shifts = [(2 + k * rows, 2 + k * columns) for k in (1, 2)]
        first, second = (padded[row : row + height, column : column + width] for row, column in shifts)
        return np.where(first >= 0, first, second)

    left, right, above, below = near(0, -1), near(0, 1), near(-1, 0), near(1, 0)
    across, along = np.minimum(left, right), np.minimum(above, below)
    return np.where(point >= 0, point, np.where(across >= 0, across, along))


def _shade(
    specimen: Specimen,
    normal: list[NDArray[np.float32]],
    point: NDArray[np.int64],
    light: Floats,
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """(canvas, canvas, 3) sRGB, 0 to 1: soft key light, sky light, darker rim, highlight."""
    inside = point >= 0
    seen = point[inside]
    nx, ny, nz = (axis[seen] for axis in normal)
    nz = np.maximum(nz, 0)
    key, lx, ly, lz = rng.uniform(0.75, 1.15), *light
    facing = nx * lx + ny * ly + nz * lz
    wrap = 0.25 + 0.5 * specimen.glow
    diffuse = np.clip((facing + wrap) / (1 + wrap), 0, None)
    ambient = (0.22 + 0.1 * ny) * (0.45 + 0.55 * nz)
    half = np.array([lx, ly, lz + 1]) / np.sqrt(lx**2 + ly**2 + (lz + 1) ** 2)
    reflected = np.clip(nx * half[0] + ny * half[1] + nz * half[2], 0, 1)
    on_body = specimen.geometry[6, seen] == 0
    highlight = specimen.gloss * on_body * (0.55 * reflected ** (4 * specimen.tight) + 0.22 * reflected**specimen.tight)
    rim = specimen.gloss * 0.1 * (1 - nz) ** 3
    warmth = 1 + np.array([1, 0, -1]) * rng.normal(0, 0.03)
    radiance = specimen.colour[seen] * ((key * diffuse + ambient)[:, None] * warmth) + (highlight + rim)[:, None]
    picture = np.ones((*point.shape, 3), dtype=np.float32)
    picture[inside] = np.clip(radiance, 0, 1) ** (1 / 2.2)
    return picture
