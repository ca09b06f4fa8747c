"""The 131 varieties of the demo images: name, shape, colours.

Put here what distinguishes the varieties. Names are the classes of the Fruits-360 edition of May 2020, whose
photographs these stand in for; shapes come from `fruit_forms`, the meaning of a skin from `fruit_skins`.
"""

from dataclasses import dataclass

from fruit_assets.demo import fruit_forms as forms
from fruit_assets.demo.fruit_shapes import Form
from fruit_assets.demo.fruit_skins import Skin


@dataclass(frozen=True)
class Variety:
    """One class of the collection."""

    name: str
    form: Form
    skin: Skin


_PORES = ("#d9b27a", 9.0, 0.1)
_ORANGE_PEEL = ("#b85a08", 16.0, 0.16)

VARIETIES: tuple[Variety, ...] = (
    Variety(
        "Apple Braeburn",
        forms.APPLE,
        Skin("#a8261f", low="#b7a23c", blush=("#7e1418", 0.5), streaks=("#d98a3c", 0.45), spots=_PORES),
    ),
    Variety("Apple Crimson Snow", forms.APPLE, Skin("#8e1020", low="#a8322c", spots=("#e0b0a0", 8, 0.12), gloss=0.5)),
    Variety("Apple Golden 1", forms.APPLE, Skin("#cdb845", top="#b8b048", spots=("#7a6a2a", 9, 0.08))),
    Variety("Apple Golden 2", forms.APPLE, Skin("#b9bb4a", blush=("#d8a850", 0.3), spots=("#6a6a2a", 8, 0.1))),
    Variety("Apple Golden 3", forms.TALL_APPLE, Skin("#c9c25c", top="#9fae45", spots=("#7a6a2a", 11, 0.09))),
    Variety("Apple Granny Smith", forms.APPLE, Skin("#7fa626", low="#93b53a", spots=("#d5e0a0", 9, 0.1), gloss=0.45)),
    Variety("Apple Pink Lady", forms.TALL_APPLE, Skin("#c9a64e", blush=("#c22a48", 0.65), streaks=("#b83a50", 0.35))),
    Variety("Apple Red 1", forms.APPLE, Skin("#8f1a1e", low="#a0522c", streaks=("#5e0a12", 0.6), spots=_PORES)),
    Variety("Apple Red 2", forms.APPLE, Skin("#a3202a", top="#b5863c", streaks=("#c9553c", 0.5))),
    Variety("Apple Red 3", forms.APPLE, Skin("#7a101c", low="#8e2a26", spots=("#c08a70", 10, 0.1))),
    Variety(
        "Apple Red Delicious",
        forms.TALL_APPLE,
        Skin("#6e0a18", streaks=("#3f040d", 0.6), spots=("#b07a6a", 9, 0.09), gloss=0.55),
    ),
    Variety("Apple Red Yellow 1", forms.APPLE, Skin("#cfa640", blush=("#b02a20", 0.45), streaks=("#c05a30", 0.4))),
    Variety("Apple Red Yellow 2", forms.APPLE, Skin("#c9b24c", blush=("#c0453a", 0.3), spots=("#7a5a2a", 8, 0.08))),
    Variety(
        "Apricot",
        forms.STONE_FRUIT,
        Skin("#e09a38", blush=("#cf5a2a", 0.35), gloss=0.1, tight=10, spots=("#a8421a", 10, 0.09)),
    ),
    Variety("Avocado", forms.AVOCADO, Skin("#3f5a22", spots=("#8a9a4a", 14, 0.16), gloss=0.3, mottle=0.14)),
    Variety("Avocado ripe", forms.SMOOTH_AVOCADO, Skin("#2c2622", spots=("#4f4a34", 13, 0.14), gloss=0.3, mottle=0.18)),
    Variety(
        "Banana",
        forms.BANANA,
        Skin("#dcb22e", top="#a9a63c", eye=("#33261a", 0.05), patches=("#8a6a24", 0.16), gloss=0.2),
    ),
    Variety(
        "Banana Lady Finger",
        forms.SHORT_BANANA,
        Skin("#d8b84a", top="#9c9a40", eye=("#2e2418", 0.06), spots=("#5a4018", 9, 0.12)),
    ),
    Variety(
        "Banana Red",
        forms.STRAIGHT_BANANA,
        Skin("#8a3a2a", top="#6d5a30", eye=("#2a1a16", 0.06), patches=("#4f2420", 0.25)),
    ),
    Variety("Beetroot", forms.BEET, Skin("#5a1a30", top="#6a3a38", gloss=0.12, mottle=0.2, patches=("#7a5a4a", 0.2))),
    Variety("Blueberry", forms.BERRY, Skin("#232c52", bloom=0.6, gloss=0.15, tight=12)),
    Variety(
        "Cactus fruit",
        forms.CACTUS_FRUIT,
        Skin("#b57a34", low="#8a9a3a", blush=("#b8452a", 0.3), spots=("#5a4a2a", 4, 0.16), gloss=0.15),
    ),
    Variety("Cantaloupe 1", forms.MELON, Skin("#b9a468", net=("#e0d4b0", 8.0), gloss=0.08)),
    Variety("Cantaloupe 2", forms.MELON, Skin("#c9a54a", stripes=("#7f8a40", 9), gloss=0.12, mottle=0.1)),
    Variety(
        "Carambula", forms.STAR, Skin("#c9b432", groove="#9aa028", patches=("#b58a28", 0.12), gloss=0.45, glow=0.6)
    ),
    Variety("Cauliflower", forms.CAULIFLOWER, Skin("#e6dcc0", groove="#b9a67c", gloss=0.05, mottle=0.08)),
    Variety("Cherry 1", forms.CHERRY, Skin("#8a0f1e", blush=("#5c0812", 0.5), gloss=0.65, tight=45)),
    Variety("Cherry 2", forms.HEART_CHERRY, Skin("#5e0a18", blush=("#33040c", 0.5), gloss=0.6, tight=40)),
    Variety("Cherry Rainier", forms.CHERRY, Skin("#d9a24a", blush=("#c23a2a", 0.5), gloss=0.55, tight=40)),
    Variety("Cherry Wax Black", forms.HEART_CHERRY, Skin("#26060f", gloss=0.8, tight=70)),
    Variety("Cherry Wax Red", forms.HEART_CHERRY, Skin("#b01420", gloss=0.8, tight=70)),
    Variety("Cherry Wax Yellow", forms.HEART_CHERRY, Skin("#d8a01e", blush=("#c8641e", 0.3), gloss=0.8, tight=70)),
    Variety("Chestnut", forms.CHESTNUT, Skin("#5a2f1a", low="#b58a5c", streaks=("#3a1a0e", 0.5), gloss=0.4)),
    Variety("Clementine", forms.SQUAT, Skin("#e07a12", spots=_ORANGE_PEEL, gloss=0.35, eye=("#8a5a1e", 0.03))),
    Variety("Cocos", forms.COCONUT, Skin("#5c4128", streaks=("#8f7048", 0.7), gloss=0.03, mottle=0.25)),
    Variety("Corn", forms.CORN, Skin("#dcae2e", groove="#a8741a", gloss=0.45, mottle=0.1)),
    Variety("Corn Husk", forms.CORN_HUSK, Skin("#9fae58", streaks=("#d5d6a0", 0.6), low="#c9c890", gloss=0.1)),
    Variety(
        "Cucumber Ripe",
        forms.CUCUMBER,
        Skin("#b08a2e", streaks=("#8a7a2a", 0.5), top="#8a8a34", spots=("#d8c88a", 9, 0.1), gloss=0.2),
    ),
    Variety("Cucumber Ripe 2", forms.FAT_CUCUMBER, Skin("#a06a26", net=("#d0b070", 7.0), gloss=0.12)),
    Variety("Dates", forms.DATE, Skin("#5a3016", low="#6f431e", groove="#32180c", gloss=0.5, tight=18)),
    Variety("Eggplant", forms.EGGPLANT, Skin("#22122c", gloss=0.75, tight=40)),
    Variety("Fig", forms.FIG, Skin("#3f2a40", top="#76803c", streaks=("#6a4a6a", 0.5), bloom=0.2, gloss=0.12)),
    Variety(
        "Ginger Root",
        forms.GINGER,
        Skin("#b8965c", streaks=("#8a683a", 0.35), patches=("#8f6f42", 0.3), gloss=0.06, mottle=0.14),
    ),
    Variety("Granadilla", forms.PASSION, Skin("#c9822a", spots=("#ecc890", 10, 0.16), top="#b8953a", gloss=0.3)),
    Variety("Grape Blue", forms.GRAPE, Skin("#252042", bloom=0.45, gloss=0.3, glow=0.3)),
    Variety("Grape Pink", forms.GRAPE, Skin("#a0445a", top="#b87a62", bloom=0.2, glow=0.6, gloss=0.4)),
    Variety("Grape White", forms.GRAPE, Skin("#a6ae4e", glow=0.8, bloom=0.15, gloss=0.4, spots=("#7a6a2a", 6, 0.08))),
    Variety("Grape White 2", forms.GRAPE, Skin("#b8a24a", blush=("#b07a3a", 0.3), glow=0.8, gloss=0.4)),
    Variety("Grape White 3", forms.LONG_GRAPE, Skin("#9aa84a", glow=0.8, bloom=0.2, gloss=0.35)),
    Variety("Grape White 4", forms.LONG_GRAPE, Skin("#b5b060", low="#a0924a", glow=0.8, gloss=0.45)),
    Variety(
        "Grapefruit Pink", forms.ROUND, Skin("#d98a3c", blush=("#d0603c", 0.5), spots=("#b8602a", 16, 0.15), gloss=0.35)
    ),
    Variety("Grapefruit White", forms.ROUND, Skin("#d6b03a", spots=("#b08a28", 16, 0.15), gloss=0.35)),
    Variety(
        "Guava", forms.LIME, Skin("#9aa848", low="#b8b05a", patches=("#7f8a38", 0.3), eye=("#4a4426", 0.06), gloss=0.2)
    ),
    Variety("Hazelnut", forms.HAZELNUT, Skin("#8a5428", low="#c0a078", streaks=("#5f3618", 0.5), gloss=0.25)),
    Variety("Huckleberry", forms.SMALL_BERRY, Skin("#1a1626", gloss=0.5, bloom=0.15)),
    Variety("Kaki", forms.SQUAT, Skin("#d8641a", low="#dd7a2a", top="#c07a3a", gloss=0.4, eye=("#7a3a12", 0.02))),
    Variety(
        "Kiwi", forms.KIWI, Skin("#6a5230", spots=("#8f7448", 20, 0.22), eye=("#3a2c1a", 0.04), gloss=0.03, mottle=0.12)
    ),
    Variety("Kohlrabi", forms.KOHLRABI, Skin("#a9bd7c", top="#8fae60", streaks=("#d0dcb0", 0.35), gloss=0.15)),
    Variety("Kumquats", forms.LONG_OVAL, Skin("#dd861a", spots=("#b05a0a", 12, 0.16), top="#b8902a", gloss=0.5)),
    Variety("Lemon", forms.LEMON, Skin("#d9bb24", top="#b8b030", spots=("#b8921a", 15, 0.15), gloss=0.35)),
    Variety("Lemon Meyer", forms.LEMON, Skin("#dc9a1a", spots=("#b87212", 15, 0.15), gloss=0.4)),
    Variety("Limes", forms.LIME, Skin("#5d8a26", low="#8aa03a", spots=("#3f6a1a", 15, 0.15), gloss=0.35)),
    Variety("Lychee", forms.LYCHEE, Skin("#a83a40", groove="#7a2a2c", top="#b87a4a", gloss=0.12)),
    Variety("Mandarine", forms.SQUAT, Skin("#d88a1e", patches=("#b8a03a", 0.2), spots=_ORANGE_PEEL, gloss=0.3)),
    Variety("Mango", forms.MANGO, Skin("#8f9a34", blush=("#c88a2c", 0.45), spots=("#d8c878", 8, 0.09), gloss=0.3)),
    Variety(
        "Mango Red",
        forms.MANGO,
        Skin("#b8602a", blush=("#8f1e24", 0.55), top="#8a4a2a", spots=("#e0b070", 8, 0.1), gloss=0.35),
    ),
    Variety("Mangostan", forms.MANGOSTEEN, Skin("#3f1a2a", patches=("#6a4a3a", 0.25), gloss=0.2)),
    Variety("Maracuja", forms.PASSION, Skin("#8a8a3a", blush=("#6a3a3a", 0.4), patches=("#b09a4a", 0.25), gloss=0.3)),
    Variety(
        "Melon Piel de Sapo",
        forms.LONG_MELON,
        Skin("#5f7030", net=("#a8a860", 9.0), stripes=("#3f5420", 10), gloss=0.12),
    ),
    Variety("Mulberry", forms.MULBERRY, Skin("#33121e", groove="#16060c", gloss=0.55, mottle=0.2)),
    Variety(
        "Nectarine", forms.STONE_FRUIT, Skin("#c8702c", blush=("#9a1a20", 0.65), spots=("#e0a060", 10, 0.08), gloss=0.4)
    ),
    Variety("Nectarine Flat", forms.FLAT_PEACH, Skin("#c8803a", blush=("#a02028", 0.6), gloss=0.35)),
    Variety(
        "Nut Forest",
        forms.FOREST_NUT,
        Skin("#9c6d3e", low="#c9ad84", streaks=("#70491f", 0.6), gloss=0.12, mottle=0.14),
    ),
    Variety("Nut Pecan", forms.PECAN, Skin("#8f5a30", streaks=("#3a2010", 0.55), top="#4a2a16", gloss=0.25)),
    Variety("Onion Red", forms.ONION, Skin("#6a1f3a", streaks=("#a0607a", 0.5), low="#b08a6a", gloss=0.3)),
    Variety(
        "Onion Red Peeled", forms.PEELED_ONION, Skin("#a04a78", streaks=("#d8a8c0", 0.7), low="#e0d0cc", gloss=0.5)
    ),
    Variety("Onion White", forms.ONION, Skin("#c99a58", streaks=("#9a6a30", 0.5), low="#d8c090", gloss=0.3)),
    Variety("Orange", forms.ROUND, Skin("#e08a14", spots=_ORANGE_PEEL, eye=("#8a5a1e", 0.03), gloss=0.3)),
    Variety("Papaya", forms.PAPAYA, Skin("#8a9a3c", blush=("#d8a02c", 0.5), spots=("#6a6a2a", 6, 0.1), gloss=0.2)),
    Variety(
        "Passion Fruit", forms.PASSION, Skin("#3c1c2c", spots=("#8a6a70", 9, 0.1), patches=("#5a3444", 0.3), gloss=0.25)
    ),
    Variety("Peach", forms.STONE_FRUIT, Skin("#d8a050", blush=("#b8402e", 0.5), gloss=0.05, tight=8, mottle=0.1)),
    Variety(
        "Peach 2",
        forms.STONE_FRUIT,
        Skin("#c8743c", blush=("#8f2a2a", 0.6), streaks=("#b8553a", 0.3), gloss=0.05, tight=8),
    ),
    Variety("Peach Flat", forms.FLAT_PEACH, Skin("#d8b068", blush=("#b84a42", 0.5), gloss=0.05, tight=8)),
    Variety("Pear", forms.PEAR, Skin("#b8b048", blush=("#c08a3a", 0.25), spots=("#7a6a2a", 13, 0.12), gloss=0.25)),
    Variety(
        "Pear 2", forms.PLUMP_PEAR, Skin("#9aa83c", spots=("#6a6a26", 13, 0.12), patches=("#a08a40", 0.15), gloss=0.25)
    ),
    Variety(
        "Pear Abate",
        forms.SLIM_PEAR,
        Skin("#a8a040", patches=("#8a6a34", 0.35), spots=("#6a5a26", 13, 0.12), gloss=0.15),
    ),
    Variety(
        "Pear Forelle", forms.PEAR, Skin("#bfae3e", blush=("#b0331f", 0.5), spots=("#e0d090", 12, 0.12), gloss=0.35)
    ),
    Variety(
        "Pear Kaiser",
        forms.SLIM_PEAR,
        Skin("#96703a", patches=("#a8924a", 0.25), spots=("#c0a870", 12, 0.12), gloss=0.08),
    ),
    Variety("Pear Monster", forms.LUMPY_PEAR, Skin("#9aa23e", patches=("#80682e", 0.3), gloss=0.2)),
    Variety(
        "Pear Red",
        forms.PEAR,
        Skin("#8a2422", blush=("#5c1018", 0.4), top="#7a4a2a", spots=("#c89a70", 12, 0.1), gloss=0.4),
    ),
    Variety("Pear Stone", forms.PLUMP_PEAR, Skin("#8f8a44", patches=("#6a522c", 0.5), gloss=0.08, mottle=0.15)),
    Variety(
        "Pear Williams", forms.PEAR, Skin("#d0b63a", patches=("#a08a34", 0.15), spots=("#8a7028", 13, 0.11), gloss=0.3)
    ),
    Variety("Pepino", forms.PEPINO, Skin("#d6c178", stripes=("#6a3a5a", 7), gloss=0.35)),
    Variety("Pepper Green", forms.PEPPER, Skin("#2f5a1a", gloss=0.75, tight=35, mottle=0.1)),
    Variety("Pepper Orange", forms.LONG_PEPPER, Skin("#dd7010", gloss=0.75, tight=35)),
    Variety("Pepper Red", forms.PEPPER, Skin("#a8121a", gloss=0.75, tight=35)),
    Variety("Pepper Yellow", forms.LONG_PEPPER, Skin("#dcae10", gloss=0.75, tight=35)),
    Variety("Physalis", forms.PHYSALIS, Skin("#dd8a14", gloss=0.6, glow=0.5)),
    Variety(
        "Physalis with Husk",
        forms.LANTERN,
        Skin("#c9a868", net=("#9a7a40", 6.0), groove="#a88648", gloss=0.04, glow=0.6),
    ),
    Variety("Pineapple", forms.PINEAPPLE, Skin("#a8782c", groove="#54401c", top="#7a7a38", gloss=0.2, mottle=0.15)),
    Variety(
        "Pineapple Mini",
        forms.MINI_PINEAPPLE,
        Skin("#b8863a", groove="#6a4a24", low="#c89a40", gloss=0.15, mottle=0.15),
    ),
    Variety("Pitahaya Red", forms.PITAHAYA, Skin("#b52a5c", top="#b8705a", gloss=0.25)),
    Variety("Plum", forms.PLUM, Skin("#3a1c3a", bloom=0.35, gloss=0.25)),
    Variety(
        "Plum 2", forms.STONE_FRUIT, Skin("#7a1a2a", blush=("#4a0c1c", 0.5), spots=("#b8705a", 10, 0.1), gloss=0.5)
    ),
    Variety("Plum 3", forms.PLUM, Skin("#2a1e44", bloom=0.6, gloss=0.12)),
    Variety(
        "Pomegranate", forms.POMEGRANATE, Skin("#a83a34", blush=("#c8923e", 0.3), spots=("#7a2a26", 7, 0.1), gloss=0.35)
    ),
    Variety("Pomelo Sweetie", forms.NECKED, Skin("#8fa238", low="#a8b04a", spots=("#6a7a26", 15, 0.15), gloss=0.3)),
    Variety(
        "Potato Red", forms.POTATO, Skin("#8f4a42", spots=("#5f2a28", 5, 0.16), patches=("#a87060", 0.3), gloss=0.04)
    ),
    Variety("Potato Red Washed", forms.ROUND_POTATO, Skin("#b8685c", spots=("#7a3a36", 5, 0.14), gloss=0.2)),
    Variety(
        "Potato Sweet",
        forms.SWEET_POTATO,
        Skin("#9a5034", streaks=("#6f3422", 0.3), spots=("#4f2418", 5, 0.14), gloss=0.06),
    ),
    Variety(
        "Potato White", forms.POTATO, Skin("#c0a068", spots=("#7a6038", 5, 0.15), patches=("#a8854c", 0.25), gloss=0.06)
    ),
    Variety("Quince", forms.QUINCE, Skin("#cdb034", top="#b0a436", patches=("#9a9a5a", 0.2), gloss=0.1)),
    Variety("Rambutan", forms.RAMBUTAN, Skin("#8f1f22", patches=("#b8502a", 0.3), gloss=0.12)),
    Variety("Raspberry", forms.RASPBERRY, Skin("#b52a44", groove="#7a1428", gloss=0.35, glow=0.5)),
    Variety("Redcurrant", forms.CURRANTS, Skin("#b80f1e", eye=("#3a1a12", 0.1), gloss=0.7, tight=45, glow=0.7)),
    Variety("Salak", forms.SALAK, Skin("#6a3a22", groove="#301a10", gloss=0.3, mottle=0.12)),
    Variety("Strawberry", forms.STRAWBERRY, Skin("#b8141c", top="#c8553a", spots=("#e0b84a", 8, 0.17), gloss=0.5)),
    Variety(
        "Strawberry Wedge",
        forms.STRAWBERRY_WEDGE,
        Skin("#b0161e", spots=("#e0b84a", 8, 0.17), flesh="#c8303a", gloss=0.4),
    ),
    Variety("Tamarillo", forms.TAMARILLO, Skin("#8a1f1e", top="#a84a2a", streaks=("#5e1216", 0.35), gloss=0.55)),
    Variety("Tangelo", forms.NECKED, Skin("#dc7414", spots=_ORANGE_PEEL, gloss=0.4)),
    Variety("Tomato 1", forms.TOMATO, Skin("#b82416", gloss=0.6, tight=40)),
    Variety("Tomato 2", forms.BARE_TOMATO, Skin("#a81c18", top="#b8502a", gloss=0.6, tight=40)),
    Variety("Tomato 3", forms.RIBBED_TOMATO, Skin("#b02a18", patches=("#c0642a", 0.2), gloss=0.55)),
    Variety("Tomato 4", forms.RIBBED_TOMATO, Skin("#7a2a1e", top="#4f4a26", gloss=0.55)),
    Variety("Tomato Cherry Red", forms.CHERRY_TOMATO, Skin("#c01c14", gloss=0.7, tight=50)),
    Variety("Tomato Heart", forms.HEART, Skin("#b0301e", top="#b8702e", gloss=0.55)),
    Variety("Tomato Maroon", forms.TOMATO, Skin("#4f1a1a", top="#3f3a20", gloss=0.6, tight=40)),
    Variety("Tomato Yellow", forms.BARE_TOMATO, Skin("#d8a01c", top="#c8a83a", gloss=0.6, tight=40)),
    Variety("Tomato not Ripened", forms.TOMATO, Skin("#8a9a3c", blush=("#b8803a", 0.3), gloss=0.55, tight=40)),
    Variety(
        "Walnut", forms.WALNUT, Skin("#a87c4a", groove="#6f4c28", streaks=("#83592f", 0.4), gloss=0.08, mottle=0.15)
    ),
    Variety("Watermelon", forms.MELON, Skin("#4a7030", stripes=("#1f3f1a", 10), gloss=0.35)),
)
