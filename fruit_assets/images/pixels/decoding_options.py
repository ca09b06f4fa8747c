"""What to do with images that need a decision, and what was seen of an image.

Put here values without behaviour of their own. What they do to the pixels belongs in `decoding.py`.
"""

from dataclasses import dataclass, fields

from fruit_assets.images.pixels.opening import MAX_PIXELS


@dataclass(frozen=True)
class DecodingOptions:
    """What to do with images that need a decision; as it comes, they are decoded as Keras does it.

    Attributes:
        apply_exif_orientation: turn photographs upright that say how the camera was held.
        background: colour behind transparent pixels, as `white` or `#rrggbb`; None keeps the file's own.
        tolerate_truncated: use JPEGs that lack only their end.
        max_pixels: images with more are rejected; it bounds the memory of a worker.
    """

    apply_exif_orientation: bool = False
    background: str | None = None
    tolerate_truncated: bool = False
    max_pixels: int = MAX_PIXELS

    @property
    def identity(self) -> str:
        """What names the pixels these options give: empty for the defaults, equal for equal pixels."""
        parts = ["upright"] * self.apply_exif_orientation
        parts += [f"on{_hex(self.background)}"] * (self.background is not None)
        return "+".join(parts + ["truncated"] * self.tolerate_truncated)

    @staticmethod
    def from_identity(identity: str) -> "DecodingOptions":
        parts = identity.split("+")
        background = next((part.removeprefix("on") for part in parts if part.startswith("on#")), None)
        return DecodingOptions("upright" in parts, background, "truncated" in parts)


@dataclass
class Traits:
    """What was seen of an image while it was decoded.

    Attributes:
        rotated: its EXIF orientation is another than upright.
        transparent: some of its pixels are.
        truncated: its end is missing, and it was decoded all the same.
        featureless: it shows next to nothing: all of its pixels have nearly the same level.
    """

    rotated: bool = False
    transparent: bool = False
    truncated: bool = False
    featureless: bool = False


TRAITS = tuple(field.name for field in fields(Traits))


def _hex(colour: str | None) -> str:
    from PIL import ImageColor

    red, green, blue = ImageColor.getrgb(colour or "black")[:3]
    return f"#{red:02x}{green:02x}{blue:02x}"
