"""Run config of `image_features`."""

from enum import Enum

import dagster as dg
from pydantic import Field, model_validator


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
    reuse: bool = Field(default=True, description="Take features of known images from the previous version.")

    @model_validator(mode="after")
    def _reference_is_f32(self) -> "FeaturesConfig":
        if self.engine is Engine.tensorflow and self.precision is not PrecisionChoice.f32:
            raise ValueError(f"engine tensorflow runs at precision f32 only, not {self.precision.value}")
        return self
