"""The vocabulary in which the shape of a fruit is described: outline, lobes, bumps, bends, stems, leaves.

Put here the words. The outlines written with them are in `fruit_forms`; what turns them into
points is `fruit_surfaces`.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

Profile = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Body:
    """One of several copies of the outline in a fruit that is a cluster.

    Attributes:
        at: centre.
        size: stretch across and along the axis.
        tilt: turn of the axis in the picture plane, in radians.
    """

    at: tuple[float, float, float] = (0.0, 0.0, 0.0)
    size: tuple[float, float] = (1.0, 1.0)
    tilt: float = 0.0


@dataclass(frozen=True)
class Part:
    """Something that grows on the fruit; lengths in fruit units, the axis points up.

    Attributes:
        kind: `stem` is a tube, `leaves` are flat blades around the axis, `hairs` cover the surface.
        count: blades or hairs.
        length: of the tube, a blade or a hair.
        width: radius of the tube, half width of a blade.
        at: height on the axis where it starts.
        rise: angle of the blades above the horizontal, in radians.
        droop: how far the tips hang down, or how far a stem leans.
        colour: hexadecimal.
    """

    kind: Literal["stem", "leaves", "hairs"]
    length: float
    width: float
    at: float
    colour: str
    count: int = 1
    rise: float = 0.3
    droop: float = 0.2


@dataclass(frozen=True)
class Form:
    """The shape of a fruit.

    Attributes:
        profile: (radius, height) from the bottom pole to the top pole.
        lobes: number of ribs around the axis and their depth as a share of the radius.
        ridged: ribs with sharp edges instead of round ones.
        bumps: rows, columns and height of a staggered lattice of bumps.
        rough: amplitude and frequency of irregular relief.
        bend: curvature of the axis, in radians per unit of length.
        flat: depth of the fruit as a share of its width.
        cut: the front is sliced off at this depth, showing the flesh.
        bodies: copies of the outline; one unless the fruit is a cluster.
        parts: stem, leaves, hairs.
        dimple: how dark the stem cavity is, 0 to 1.
    """

    profile: Profile
    lobes: tuple[int, float] = (0, 0.0)
    ridged: bool = False
    bumps: tuple[int, int, float] | None = None
    rough: tuple[float, float] = (0.0, 1.0)
    bend: float = 0.0
    flat: float = 1.0
    cut: float | None = None
    bodies: tuple[Body, ...] = (Body(),)
    parts: tuple[Part, ...] = ()
    dimple: float = 0.0


def egg(aspect: float = 1.0, taper: float = 0.0, tip: float = 0.0, crown: float = 0.0) -> Profile:
    """An ellipsoid's profile, radius 1.

    Args:
        aspect: height as a multiple of the width.
        taper: positive is wider below, negative wider above.
        tip: how far the bottom pole is drawn out (lemon, dates) or, negative, pressed in.
        crown: the same for the top pole.
    """
    points = []
    for angle in np.linspace(0, np.pi, 15):
        near = max(0.0, abs(np.cos(angle)) - 0.75) * 4
        pull = (tip if np.cos(angle) > 0 else crown) * near**2
        radius = np.sin(angle) * (1 + taper * np.cos(angle)) * (1 - 0.35 * max(0.0, pull))
        points.append((float(radius), float(-np.cos(angle) * aspect * (1 + pull))))
    return tuple(points)
