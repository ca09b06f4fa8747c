"""Run config of `image_features`."""

from enum import Enum

import dagster as dg
from pydantic import Field, field_validator, model_validator

from fruit_assets.assets.rejected_share import share_field
from fruit_assets.images.pixels.decoding_options import DecodingOptions
from fruit_assets.images.pixels.opening import MAX_PIXELS


class Engine(Enum):
    """What runs the network."""

    openvino = "openvino"
    tensorflow = "tensorflow"


class PrecisionChoice(Enum):
    """Arithmetic of the network."""

    f32 = "f32"
    bf16 = "bf16"
    int8 = "int8"
    auto = "auto"


class FeaturesConfig(dg.Config):
    """How to compute the features."""

    batch_size: int | None = Field(
        default=None,
        ge=1,
        le=256,
        description="Images per inference, by default the fastest for the precision; does not change the features.",
    )
    engine: Engine = Field(default=Engine.openvino, description="openvino, or tensorflow as the (slow) reference.")
    precision: PrecisionChoice = Field(
        default=PrecisionChoice.f32,
        description="f32; bf16 or int8, faster where the processor has them and checked against f32 on these images; "
        "or auto, the fastest that passes that check.",
    )
    reuse: bool = Field(
        default=True, description="Take features of known images, and reasons of known rejections, from earlier runs."
    )
    apply_exif_orientation: bool = Field(
        default=False, description="Turn photographs upright by their EXIF orientation; Keras does not."
    )
    background: str | None = Field(
        default=None,
        description="Colour behind transparent pixels, as white or #rrggbb; by default the colour that the file has "
        "there, as Keras does it.",
    )
    tolerate_truncated: bool = Field(
        default=False, description="Use JPEGs that lack their end, with up to a quarter of their rows in grey."
    )
    max_pixels: int = Field(
        default=MAX_PIXELS,
        ge=1,
        description="Reject images with more pixels, and from 60 % as many on those that need more memory (WebP, "
        "AVIF, CMYK, grey with transparency, 16 bits a colour). While it decodes, a worker needs up to 7 bytes for "
        "each, of those 12: at the default 1.4 GiB.",
    )

    def decoding(self) -> DecodingOptions:
        """The options of decoding among these."""
        return DecodingOptions(self.apply_exif_orientation, self.background, self.tolerate_truncated, self.max_pixels)

    @field_validator("background")
    @classmethod
    def _is_a_colour(cls, background: str | None) -> str | None:
        from PIL import ImageColor

        try:
            opaque = background is None or len(ImageColor.getrgb(background)) == 3
        except ValueError:
            opaque = False
        if not opaque:
            raise ValueError(f"background is {background!r}, which is no colour: give a name such as white, or #rrggbb")
        return background

    max_rejected_share: float | None = share_field(default_from="sampled_images")

    @model_validator(mode="after")
    def _reference_is_f32(self) -> "FeaturesConfig":
        if self.engine is Engine.tensorflow and self.precision is not PrecisionChoice.f32:
            raise ValueError(f"engine tensorflow runs at precision f32 only, not {self.precision.value}")
        return self
