"""From the description of a shape to a cloud of points that covers one fruit.

Put here geometry only. Colours, light and pixels are `fruit_rendering`, the words of the
description are `fruit_shapes`.
"""

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from fruit_assets.demo.fruit_shapes import Body, Form, Part, Profile

Floats = NDArray[np.float64]

# Distance of neighbouring points in fruit units: a fruit of radius 1 spans about 140 pixels before
# the final reduction, so that neighbours land on the same or on adjacent pixels.
SPACING = 1 / 84


@dataclass(frozen=True)
class Surface:
    """Points on one fruit.

    Attributes:
        position: (3, n), right-handed, the axis is the second coordinate.
        normal: (3, n), unit length, outwards.
        height: (n,), 0 at the bottom pole, 1 at the top pole.
        angle: (n,), radians around the axis.
        relief: (n,), 0 in grooves, 1 on bumps and where there is no relief.
        flesh: (n,), True on a sliced face.
        part: (n,), 0 for the body, i + 1 for the i-th part of the form.
    """

    position: Floats
    normal: Floats
    height: Floats
    angle: Floats
    relief: Floats
    flesh: NDArray[np.bool_]
    part: NDArray[np.int64]


@dataclass(frozen=True)
class Noise:
    """A smooth random field in space: a sum of plane waves.

    Attributes:
        waves: (k, 3) wave vectors of about unit length.
        phases: (k,) radians.
    """

    waves: Floats
    phases: Floats = field(repr=False)

    @classmethod
    def draw(cls, rng: np.random.Generator, waves: int = 8) -> "Noise":
        return cls(rng.normal(size=(waves, 3)), rng.uniform(0, 2 * np.pi, waves))

    def __call__(self, position: Floats, frequency: float) -> Floats:
        """Values of about unit variance at (3, n) positions."""
        x, y, z = position.astype(np.float32)  # sines in single precision cost a fifth
        total = np.zeros_like(x)
        for wave, phase in zip((self.waves * frequency).astype(np.float32), self.phases, strict=True):
            total += np.sin(wave[0] * x + wave[1] * y + wave[2] * z + np.float32(phase))
        field: Floats = total.astype(np.float64) * np.sqrt(2 / len(self.phases))
        return field


def build_surface(form: Form, rng: np.random.Generator) -> Surface:
    """Cover one specimen of a form with points.

    Args:
        form: the shape of the variety.
        rng: what makes this specimen differ from the others of its variety.
    """
    specimen = _vary(form, rng)
    noise = Noise.draw(rng)
    pieces = [_cover_body(specimen, body, noise) for body in specimen.bodies]
    for number, part in enumerate(specimen.parts, start=1):
        pieces.append(_cover_part(part, number, pieces[0], specimen.bend, rng))
    return Surface(
        *(
            np.concatenate([getattr(piece, name) for piece in pieces], axis=-1)
            for name in ("position", "normal", "height", "angle", "relief", "flesh", "part")
        )
    )


def _vary(form: Form, rng: np.random.Generator) -> Form:
    """A little wider or longer, more or less bent and lobed than the variety's ideal."""
    across, along, bend, lobed = 1 + rng.normal(0, [0.035, 0.035, 0.15, 0.15])
    return replace(
        form,
        profile=tuple((radius * across, height * along) for radius, height in form.profile),
        bend=form.bend * bend,
        lobes=(form.lobes[0], form.lobes[1] * lobed),
        rough=(max(form.rough[0], 0.012) * abs(1 + 0.2 * rng.normal()), form.rough[1]),
    )


def _outline(profile: Profile) -> tuple[Floats, Floats, Floats]:
    """A smooth curve through the profile: share of the arc length, radius, height.

    Catmull-Rom through the points, mirrored beyond the poles, so that the poles are smooth.
    """
    points = np.array(profile)
    mirror = np.array([-1.0, 1.0])
    points = np.vstack([points[1] * mirror, points, points[-2] * mirror])
    before, start, end, after = points[:-3, None], points[1:-2, None], points[2:-1, None], points[3:, None]
    step = np.linspace(0, 1, 24, endpoint=False)[None, :, None]
    curve = 0.5 * (
        2 * start
        + (end - before) * step
        + (2 * before - 5 * start + 4 * end - after) * step**2
        + (3 * start - before - 3 * end + after) * step**3
    )
    curve = np.vstack([curve.reshape(-1, 2), points[-2]])
    length = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(curve, axis=0).T))])
    return length, np.maximum(curve[:, 0], 0.0), curve[:, 1]


def _cover_body(form: Form, body: Body, noise: Noise) -> Surface:
    length, radius, height = _outline(form.profile)
    spacing = SPACING / max(body.size)
    rings = np.linspace(0.004, 0.996, max(12, int(length[-1] / spacing)))
    counts = np.maximum(8, np.ceil(np.interp(rings * length[-1], length, radius) * 2 * np.pi / spacing)).astype(int)
    along = np.repeat(rings, counts)
    ring_start = np.repeat(np.cumsum(counts) - counts, counts)
    around = (np.arange(counts.sum()) - ring_start) * (2 * np.pi / np.repeat(counts, counts))

    def shape(along: Floats, around: Floats) -> tuple[Floats, Floats]:
        where = along * length[-1]
        return _displace(form, np.interp(where, length, radius), np.interp(where, length, height), along, around, noise)

    position, relief = shape(along, around)
    step = 2e-3
    up = shape(np.minimum(along + step, 1.0), around)[0] - shape(np.maximum(along - step, 0.0), around)[0]
    side = shape(along, around + step)[0] - shape(along, around - step)[0]
    normal = np.stack(
        [up[2] * side[1] - up[1] * side[2], up[0] * side[2] - up[2] * side[0], up[1] * side[0] - up[0] * side[1]]
    )
    normal /= np.maximum(np.linalg.norm(normal, axis=0), 1e-12)
    flesh = np.zeros(along.shape, dtype=bool)
    if form.cut is not None:
        flesh = position[2] >= form.cut - 1e-9
        normal[:, flesh] = [[0.0], [0.0], [1.0]]
    position, normal = _place(position, normal, body)
    return Surface(position, normal, along, around, relief, flesh, np.zeros(along.shape, dtype=np.int64))


def _displace(
    form: Form, radius: Floats, height: Floats, along: Floats, around: Floats, noise: Noise
) -> tuple[Floats, Floats]:
    """Positions (3, n) and relief (n,) of the points at `along` and `around` of a smooth outline."""
    relief = np.ones_like(along)
    factor = np.ones_like(along)
    count, depth = form.lobes
    if count:
        wave = np.cos(count * around)
        rib = (
            1 - 2 * np.sqrt(1 - (0.5 + 0.5 * wave) * 0.999)
            if form.ridged
            else np.abs(np.cos(count * around / 2)) ** 0.7
        )
        factor *= 1 - depth * (1 - rib) * np.sin(np.pi * along) ** 0.5
        relief = np.clip(0.5 + 0.5 * rib, 0, 1)
    if form.bumps is not None:
        rows, columns, size = form.bumps
        row = along * rows
        column = around / (2 * np.pi) * columns + 0.5 * (np.floor(row) % 2)
        offset = (2 * (row % 1) - 1) ** 2 + (2 * (column % 1) - 1) ** 2
        relief = np.sqrt(np.clip(1 - 0.75 * offset, 0, 1))
        factor *= 1 + size * (relief - 1) * np.clip(np.sin(np.pi * along) * 3, 0, 1)
    position = np.stack([radius * factor * np.sin(around), height, radius * factor * np.cos(around) * form.flat])
    amplitude, frequency = form.rough
    position *= 1 + amplitude * noise(position, frequency)
    if form.bend:
        arm, turn = 1 / form.bend, position[1] * form.bend
        position[0], position[1] = (position[0] - arm) * np.cos(turn) + arm, (arm - position[0]) * np.sin(turn)
    if form.cut is not None:
        position[2] = np.minimum(position[2], form.cut)
    return position, relief


def _place(position: Floats, normal: Floats, body: Body) -> tuple[Floats, Floats]:
    across, along = body.size
    stretch = np.array([[across], [along], [across]])
    position, normal = position * stretch, normal / stretch
    normal /= np.maximum(np.linalg.norm(normal, axis=0), 1e-12)
    cosine, sine = np.cos(body.tilt), np.sin(body.tilt)
    turn = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])
    return turn @ position + np.array(body.at)[:, None], turn @ normal


def _cover_part(part: Part, number: int, body: Surface, bend: float, rng: np.random.Generator) -> Surface:
    if part.kind == "stem":
        position, normal, height = _stem(part, rng)
    elif part.kind == "leaves":
        position, normal, height = _leaves(part, rng)
    else:
        position, normal, height = _hairs(part, body, rng)
    if bend and part.kind != "hairs":
        arm, turn = 1 / bend, position[1] * bend
        position[0], position[1] = (position[0] - arm) * np.cos(turn) + arm, (arm - position[0]) * np.sin(turn)
    flat = np.ones(position.shape[1])
    return Surface(
        position, normal, height, 0 * flat, 0.55 + 0.45 * height, flat < 0, np.full(flat.shape, number, dtype=np.int64)
    )


def _stem(part: Part, rng: np.random.Generator) -> tuple[Floats, Floats, Floats]:
    rows, columns = max(4, int(part.length / SPACING)), max(8, int(2 * np.pi * part.width / SPACING))
    along = np.repeat(np.linspace(0, 1, rows), columns)
    around = np.tile(np.arange(columns) * (2 * np.pi / columns), rows)
    lean, heading = part.droop * (0.5 + rng.random()), rng.uniform(0, 2 * np.pi)
    width = part.width * (1 + 0.5 * (2 * along - 1) ** 4)
    normal = np.stack([np.sin(around), 0 * along, np.cos(around)])
    centre = np.stack(
        [np.sin(heading) * lean * along**2, part.at + part.length * along, np.cos(heading) * lean * along**2]
    )
    return centre + normal * width, normal, along


def _leaves(part: Part, rng: np.random.Generator) -> tuple[Floats, Floats, Floats]:
    rows, columns = max(6, int(part.length / SPACING)), max(5, int(2 * part.width / SPACING))
    along, across = (
        g.ravel() for g in np.meshgrid(np.linspace(0, 1, rows), np.linspace(-1, 1, columns), indexing="ij")
    )
    blades = []
    for blade in range(part.count):
        heading = 2 * np.pi * (blade + 0.3 * rng.random()) / part.count
        length, rise = part.length * (0.8 + 0.4 * rng.random()), part.rise + 0.15 * rng.normal()
        width = part.width * np.sin(np.pi * np.clip(along, 0.0, 1) ** 0.7) * across
        out = along * length * np.cos(rise)
        up = along * length * np.sin(rise) - part.droop * along**2 + 0.15 * part.width * across**2
        sine, cosine = np.sin(heading), np.cos(heading)
        slope = rise - 2 * part.droop * along
        position = np.stack([sine * out + cosine * width, part.at + up, cosine * out - sine * width])
        normal = np.stack(
            [
                -sine * np.sin(slope) - 0.4 * cosine * across,
                np.cos(slope),
                -cosine * np.sin(slope) + 0.4 * sine * across,
            ]
        )
        blades.append((position, normal / np.linalg.norm(normal, axis=0)))
    position, normal = (np.concatenate([blade[i] for blade in blades], axis=1) for i in (0, 1))
    return position, normal, np.tile(along, part.count)


def _hairs(part: Part, body: Surface, rng: np.random.Generator) -> tuple[Floats, Floats, Floats]:
    roots = rng.choice(body.position.shape[1], part.count, replace=False)
    along = np.linspace(0, 1, max(4, int(part.length / SPACING)))
    sideways = rng.normal(0, part.droop, (3, part.count))
    out = body.normal[:, roots]
    line = body.position[:, roots, None] + part.length * (out[:, :, None] * along + sideways[:, :, None] * along**2)
    height = np.tile(along, part.count)
    return line.reshape(3, -1), np.repeat(out, along.size, axis=1), height
