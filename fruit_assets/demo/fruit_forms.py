"""The outlines that varieties of fruit share: apples, pears, bananas, berries, peppers ...

Put here shapes by name, in fruit units: about 1 across from the axis, the stem on top. How outlines become points is
`fruit_shapes`; which variety has which shape and colour is `fruit_catalogue`.
"""

import math

from fruit_assets.demo.fruit_shapes import Body, Form, Part, egg

BROWN, GREEN = "#4a3620", "#4e7a2c"


def stem(at: float, length: float = 0.35, width: float = 0.045, colour: str = BROWN, droop: float = 0.15) -> Part:
    """A stalk on the axis."""
    return Part("stem", length, width, at, colour, droop=droop)


def calyx(
    at: float, count: int = 5, length: float = 0.5, width: float = 0.14, colour: str = GREEN, rise: float = 0.36
) -> Part:
    """A star of leaves that lies on the shoulder of the fruit."""
    return Part("leaves", length, width, at, colour, count, rise, droop=0.22)


def tuft(at: float, count: int, length: float, rise: float, colour: str = GREEN, width: float = 0.12) -> Part:
    """Leaves that stand up."""
    return Part("leaves", length, width, at, colour, count, rise, droop=0.1)


def _bunch(count: int, reach: float, size: float) -> tuple[Body, ...]:
    """Berries along a spiral around the axis, wide above and narrow below."""
    bodies = []
    for number in range(count):
        share = number / max(count - 1, 1)
        angle, away = number * 2.399963, reach * math.sin(math.pi * (0.15 + 0.75 * share)) ** 0.8
        at = (away * math.cos(angle), 0.95 - 1.9 * share, away * math.sin(angle))
        bodies.append(Body(at, (size * (1 - 0.25 * share), size * (1 - 0.25 * share))))
    return tuple(bodies)


_APPLE = (
    (0, -0.68), (0.2, -0.8), (0.46, -0.84), (0.8, -0.58), (0.98, -0.1), (1, 0.2),
    (0.88, 0.58), (0.6, 0.82), (0.34, 0.83), (0.14, 0.68), (0, 0.52),
)  # fmt: skip
_TALL_APPLE = (
    (0, -0.82), (0.16, -0.95), (0.38, -0.98), (0.64, -0.75), (0.86, -0.2), (0.97, 0.25),
    (0.9, 0.66), (0.62, 0.92), (0.36, 0.93), (0.14, 0.75), (0, 0.58),
)  # fmt: skip
_PEAR = (
    (0, -0.9), (0.2, -1), (0.5, -0.94), (0.8, -0.62), (0.84, -0.3), (0.72, 0.05),
    (0.5, 0.38), (0.36, 0.68), (0.27, 0.9), (0.12, 1), (0, 0.98),
)  # fmt: skip
_SLIM_PEAR = (
    (0, -1.2), (0.2, -1.25), (0.5, -1.1), (0.62, -0.75), (0.56, -0.3), (0.42, 0.2),
    (0.3, 0.7), (0.22, 1.1), (0.1, 1.22), (0, 1.22),
)  # fmt: skip
_TOMATO = (
    (0, -0.72), (0.3, -0.74), (0.7, -0.6), (0.97, -0.15), (0.97, 0.22),
    (0.75, 0.58), (0.42, 0.68), (0.16, 0.6), (0, 0.5),
)  # fmt: skip
_FLAT = (
    (0, -0.36), (0.25, -0.42), (0.6, -0.46), (0.92, -0.22), (1, 0.05), (0.85, 0.36),
    (0.5, 0.42), (0.2, 0.3), (0, 0.22),
)  # fmt: skip
_BANANA = (
    (0, -1.22), (0.06, -1.2), (0.09, -1.08), (0.2, -0.85), (0.27, -0.35), (0.27, 0.3),
    (0.2, 0.8), (0.09, 1.0), (0.08, 1.22), (0.06, 1.26), (0, 1.27),
)  # fmt: skip
_STRAWBERRY = (
    (0, -1), (0.16, -0.95), (0.42, -0.6), (0.68, -0.05), (0.8, 0.4), (0.68, 0.7), (0.35, 0.8), (0, 0.74),
)  # fmt: skip
_ONION = (
    (0, -0.8), (0.2, -0.8), (0.65, -0.62), (0.95, -0.2), (0.95, 0.18), (0.65, 0.52), (0.28, 0.75), (0.12, 1.0),
    (0.07, 1.2), (0, 1.22),
)  # fmt: skip
_BEET = (
    (0, -1.5), (0.03, -1.35), (0.07, -1.05), (0.3, -0.78), (0.75, -0.5), (0.95, -0.05), (0.85, 0.4),
    (0.5, 0.68), (0, 0.75),
)  # fmt: skip
_FIG = (
    (0, -0.78), (0.25, -0.78), (0.68, -0.58), (0.85, -0.2), (0.75, 0.15), (0.45, 0.45), (0.2, 0.7),
    (0.12, 0.95), (0, 1),
)  # fmt: skip
_EGGPLANT = (
    (0, -1.3), (0.3, -1.25), (0.6, -0.95), (0.68, -0.5), (0.58, 0.05), (0.45, 0.55), (0.36, 0.95),
    (0.2, 1.12), (0, 1.15),
)  # fmt: skip
_PEPPER = (
    (0, -0.82), (0.2, -0.95), (0.45, -0.95), (0.68, -0.6), (0.78, 0), (0.84, 0.5),
    (0.7, 0.85), (0.4, 0.9), (0.15, 0.74), (0, 0.7),
)  # fmt: skip
_CORN = (
    (0, -1.3), (0.2, -1.27), (0.38, -1.05), (0.44, -0.5), (0.44, 0.1), (0.38, 0.7), (0.24, 1.15), (0.1, 1.3), (0, 1.32),
)  # fmt: skip
_HUSK = (
    (0, -1.3), (0.16, -1.25), (0.4, -0.9), (0.47, -0.3), (0.42, 0.4), (0.24, 1.0), (0.08, 1.45), (0.03, 1.6), (0, 1.62),
)  # fmt: skip
_LANTERN = (
    (0, -1.05), (0.05, -0.98), (0.3, -0.72), (0.72, -0.3), (0.86, 0.1), (0.72, 0.5), (0.35, 0.74), (0, 0.76),
)  # fmt: skip
_HEART = (
    (0, -0.98), (0.14, -0.93), (0.5, -0.55), (0.88, 0.05), (0.98, 0.4), (0.8, 0.7), (0.45, 0.8), (0.16, 0.68), (0, 0.6),
)  # fmt: skip
_CHESTNUT = (
    (0, -0.68), (0.35, -0.68), (0.8, -0.45), (0.95, -0.05), (0.75, 0.35), (0.35, 0.65), (0.1, 0.85), (0, 0.9),
)  # fmt: skip
_PUFF = ((0, -0.6), (0.4, -0.6), (0.85, -0.3), (1, 0.1), (0.8, 0.5), (0.4, 0.72), (0, 0.78))
_PINEAPPLE = (
    (0, -1.1), (0.4, -1.08), (0.66, -0.85), (0.74, -0.3), (0.72, 0.3), (0.6, 0.75), (0.35, 0.95), (0, 0.98),
)  # fmt: skip

APPLE = Form(_APPLE, lobes=(5, 0.035), parts=(stem(0.5, 0.48),), dimple=0.55)
TALL_APPLE = Form(_TALL_APPLE, lobes=(5, 0.08), parts=(stem(0.58, 0.5),), dimple=0.6)
PEAR = Form(_PEAR, rough=(0.015, 1.5), parts=(stem(0.94, 0.45),))
SLIM_PEAR = Form(_SLIM_PEAR, bend=0.16, rough=(0.015, 1.5), parts=(stem(1.16, 0.35),))
LUMPY_PEAR = Form(_PEAR, rough=(0.05, 2.2), parts=(stem(0.94, 0.3, 0.06),))
PLUMP_PEAR = Form(tuple((r * 1.12, h * 0.86) for r, h in _PEAR), rough=(0.02, 1.5), parts=(stem(0.8, 0.45),))
TOMATO = Form(_TOMATO, lobes=(6, 0.03), parts=(calyx(0.52, 6, 0.5, 0.09), stem(0.5, 0.25, 0.05, GREEN)), dimple=0.35)
RIBBED_TOMATO = Form(_TOMATO, lobes=(8, 0.16), rough=(0.02, 1.5), parts=(stem(0.45, 0.2, 0.07, GREEN),), dimple=0.5)
BARE_TOMATO = Form(_TOMATO, lobes=(5, 0.05), dimple=0.6)
CHERRY_TOMATO = Form(egg(1.02), parts=(calyx(0.96, 5, 0.55, 0.1), stem(0.95, 0.3, 0.05, GREEN)))
HEART = Form(_HEART, lobes=(3, 0.06), parts=(calyx(0.62, 5, 0.42, 0.1),), dimple=0.4)
ROUND = Form(egg(0.96, 0, -0.08, -0.12), dimple=0.3)
SQUAT = Form(egg(0.8, 0, -0.1, -0.22), lobes=(9, 0.02), dimple=0.35)
NECKED = Form(egg(1.0, -0.05, 0, 0.3), dimple=0.2)
LEMON = Form(egg(1.22, 0, 0.26, 0.14))
LIME = Form(egg(1.1, 0, 0.16, 0.05))
LONG_OVAL = Form(egg(1.55))
DATE = Form(egg(1.75), rough=(0.05, 3.5), lobes=(7, 0.05))
STONE_FRUIT = Form(egg(0.95, 0.02, 0.05, -0.2), lobes=(1, 0.06), dimple=0.5)
PLUM = Form(egg(1.12, -0.03, 0, -0.06), lobes=(1, 0.05), parts=(stem(0.98, 0.22, 0.035),), dimple=0.3)
FLAT_PEACH = Form(_FLAT, lobes=(5, 0.04), dimple=0.35)
CHERRY = Form(egg(0.9, 0.05, 0, -0.22), lobes=(1, 0.05), parts=(stem(0.62, 1.0, 0.03, "#6d7a35", 0.4),), dimple=0.5)
HEART_CHERRY = Form(egg(0.98, -0.12, 0.03, -0.24), lobes=(1, 0.07), parts=(stem(0.66, 0.7, 0.03, "#7a6a35", 0.3),))
BERRY = Form(egg(0.94), parts=(tuft(0.85, 5, 0.26, 0.9, "#33405e"),))
SMALL_BERRY = Form(egg(1.04), parts=(stem(0.98, 0.18, 0.03, "#5b4a3a"),))
GRAPE = Form(egg(1.12, 0.03), parts=(stem(1.06, 0.3, 0.04, "#7a8a3c"),))
LONG_GRAPE = Form(egg(1.4, 0.05), parts=(stem(1.34, 0.3, 0.04, "#8a7a3c"),))
KIWI = Form(egg(1.22), rough=(0.012, 6), flat=0.9, parts=(Part("hairs", 0.07, 0, 0, "#8f7448", 260, droop=0.5),))
AVOCADO = Form(tuple((r * 0.95, h * 1.1) for r, h in egg(1.2, 0.26)), rough=(0.02, 7), parts=(stem(1.28, 0.1, 0.07),))
SMOOTH_AVOCADO = Form(tuple((r, h * 1.1) for r, h in egg(1.2, 0.32)), rough=(0.012, 5), parts=(stem(1.28, 0.1, 0.07),))
BANANA = Form(_BANANA, lobes=(5, 0.1), bend=0.62)
SHORT_BANANA = Form(tuple((r * 1.25, h * 0.85) for r, h in _BANANA), lobes=(5, 0.07), bend=0.4)
STRAIGHT_BANANA = Form(tuple((r * 1.2, h) for r, h in _BANANA), lobes=(4, 0.12), bend=0.28)
CUCUMBER = Form(egg(2.6), bend=0.12, rough=(0.02, 4), lobes=(6, 0.03))
FAT_CUCUMBER = Form(egg(2.0), bend=0.08, rough=(0.035, 3))
MELON = Form(egg(1.02), rough=(0.012, 3), lobes=(9, 0.03), parts=(stem(0.98, 0.12, 0.09, "#8b8452"),))
LONG_MELON = Form(egg(1.35), rough=(0.02, 4), parts=(stem(1.3, 0.15, 0.07, "#8b8452"),))
STAR = Form(egg(1.35), lobes=(5, 0.5), ridged=True)
STRAWBERRY = Form(_STRAWBERRY, rough=(0.02, 2), parts=(calyx(0.78, 9, 0.6, 0.13), stem(0.76, 0.3, 0.04, GREEN)))
STRAWBERRY_WEDGE = Form(_STRAWBERRY, rough=(0.02, 2), cut=0.02, parts=(calyx(0.78, 7, 0.55, 0.13),))
RASPBERRY = Form(egg(1.05, 0.12, 0, -0.12), bumps=(9, 13, 0.22))
MULBERRY = Form(egg(1.7), bumps=(14, 11, 0.26), bend=0.1, parts=(stem(1.62, 0.4, 0.05, GREEN),))
LYCHEE = Form(egg(1.05), bumps=(14, 18, 0.07), parts=(stem(1.0, 0.18, 0.06),))
SALAK = Form(egg(1.15, 0.22, 0, 0.25), bumps=(17, 17, 0.08))
RAMBUTAN = Form(egg(1.1), rough=(0.03, 4), parts=(Part("hairs", 0.55, 0, 0, "#9aa33c", 420, droop=0.35),))
PINEAPPLE = Form(
    _PINEAPPLE, bumps=(12, 12, 0.1), parts=(tuft(0.85, 11, 0.9, 0.95, "#5d7d3a"), tuft(0.9, 8, 1.0, 1.3, "#6d8d45"))
)
MINI_PINEAPPLE = Form(
    tuple((r * 1.05, h * 0.8) for r, h in _PINEAPPLE),
    bumps=(9, 10, 0.12),
    parts=(tuft(0.7, 12, 0.8, 0.7, "#7d8f4c"), tuft(0.72, 7, 1.1, 1.25, "#8a9a55")),
)
CORN = Form(_CORN, bumps=(30, 15, 0.12))
CORN_HUSK = Form(
    _HUSK, lobes=(9, 0.08), parts=(tuft(1.3, 9, 0.6, 1.2, "#a8843c", 0.04), stem(-1.6, 0.35, 0.12, "#b7b878", 0))
)
CAULIFLOWER = Form(_PUFF, bumps=(9, 15, 0.14), rough=(0.07, 4), parts=(tuft(-0.62, 8, 1.5, 0.5, "#8fb05c", 0.4),))
KOHLRABI = Form(
    egg(0.9), rough=(0.02, 2), parts=(tuft(0.72, 6, 0.9, 1.0, "#7fa35a", 0.07), stem(-1.2, 0.4, 0.12, "#b9c795", 0))
)
BEET = Form(_BEET, rough=(0.025, 2.5), parts=(tuft(0.66, 7, 0.55, 1.25, "#7d2f45", 0.06),))
ONION = Form(_ONION, rough=(0.015, 2))
PEELED_ONION = Form(egg(0.95, 0.04, 0.05, 0.18), lobes=(12, 0.01))
FIG = Form(_FIG, lobes=(11, 0.04), parts=(stem(0.95, 0.12, 0.07, "#6f7c3c"),))
EGGPLANT = Form(_EGGPLANT, bend=0.12, parts=(calyx(1.02, 6, 0.55, 0.2), stem(1.1, 0.3, 0.09, GREEN)))
PEPPER = Form(_PEPPER, lobes=(4, 0.16), rough=(0.03, 1.6), parts=(stem(0.66, 0.5, 0.08, "#5d8a35"),), dimple=0.4)
LONG_PEPPER = Form(
    tuple((r * 0.85, h * 1.15) for r, h in _PEPPER), lobes=(3, 0.14), parts=(stem(0.76, 0.5, 0.08, "#5d8a35"),)
)
GINGER = Form(
    egg(1.0),
    rough=(0.08, 2.6),
    bodies=(
        Body((0, 0, 0), (0.42, 0.95), 1.45), Body((0.5, 0.4, 0.05), (0.3, 0.52), 0.35),
        Body((-0.55, 0.35, 0), (0.27, 0.45), -0.4),
        Body((0.1, -0.42, 0.1), (0.29, 0.45), 0.15), Body((-0.75, -0.25, -0.05), (0.24, 0.38), 0.9),
    ),
)  # fmt: skip
CURRANTS = Form(egg(0.98), bodies=_bunch(17, 0.55, 0.34), parts=(stem(-0.6, 2.0, 0.03, "#7c8a3e", 0.1),))
PHYSALIS = Form(egg(0.98), parts=(stem(0.92, 0.15, 0.05, "#a9a04e"),))
LANTERN = Form(_LANTERN, lobes=(5, 0.16), rough=(0.03, 3), parts=(stem(0.72, 0.45, 0.04, "#a9935a"),))
CHESTNUT = Form(_CHESTNUT, flat=0.75)
HAZELNUT = Form(egg(1.06, 0.08, -0.03, 0.14))
FOREST_NUT = Form(egg(0.92, 0.02, 0, 0.2), rough=(0.02, 4), flat=0.92)
PECAN = Form(egg(1.7, 0, 0.1, 0.14), rough=(0.015, 4))
WALNUT = Form(egg(1.1, 0, 0, 0.14), rough=(0.055, 5.5), lobes=(2, 0.07))
COCONUT = Form(egg(1.08), rough=(0.025, 7), parts=(Part("hairs", 0.22, 0, 0, "#8a6a42", 500, droop=0.9),))
CACTUS_FRUIT = Form(egg(1.4, -0.05, -0.12, 0), rough=(0.02, 3))
MANGOSTEEN = Form(egg(0.88), parts=(calyx(0.8, 4, 0.62, 0.34, "#7d8a4a"), stem(0.8, 0.25, 0.08)))
POMEGRANATE = Form(egg(0.92), lobes=(6, 0.05), rough=(0.015, 2), parts=(tuft(0.82, 6, 0.36, 1.15, "#b5553a", 0.13),))
PITAHAYA = Form(
    egg(1.25),
    rough=(0.03, 2),
    parts=(tuft(0.9, 7, 0.75, 1.0, "#9fb04f", 0.15), tuft(0.2, 6, 1.35, 0.45, "#b98a6a", 0.17),
           tuft(-0.5, 6, 1.3, 0.35, "#b0705f", 0.17)),
)  # fmt: skip
MANGO = Form(egg(1.3, 0.08), flat=0.8, bend=0.22, parts=(stem(1.24, 0.1, 0.07),))
PAPAYA = Form(egg(1.5, 0.18), lobes=(5, 0.04), parts=(stem(1.42, 0.14, 0.09, "#8a8a4a"),))
PEPINO = Form(egg(1.35, 0.06, 0.12), parts=(calyx(1.25, 5, 0.35, 0.1), stem(1.28, 0.25, 0.05, GREEN)))
TAMARILLO = Form(egg(1.35, 0, 0.14), parts=(stem(1.28, 0.5, 0.05, "#6a7a3a"),))
QUINCE = Form(
    tuple((r * 1.08, h * 0.92) for r, h in _PEAR), rough=(0.055, 1.8), lobes=(5, 0.05), parts=(stem(0.84, 0.15, 0.06),)
)
POTATO = Form(egg(1.25), rough=(0.06, 1.5), flat=0.85)
ROUND_POTATO = Form(egg(1.08), rough=(0.055, 1.6), flat=0.92)
SWEET_POTATO = Form(egg(1.9, 0, 0.2, 0.2), rough=(0.09, 1.5), bend=0.12)
PASSION = Form(egg(1.06), rough=(0.012, 2), parts=(stem(1.02, 0.14, 0.06),))
