"""Run config of the assets: every knob a run has, with its limits and what it means.

Put here `Config` classes and nothing else; the launchpad shows their descriptions. Places and
credentials are settings, not run config (`settings.py`).
"""

from enum import Enum
from typing import Any

import dagster as dg
from pydantic import Field, ValidationError, model_validator

from fruit_assets.errors import InputError
from fruit_assets.extractor.specification import INPUT_SIZES


class Engine(Enum):
    """What runs the network."""

    openvino = "openvino"
    tensorflow = "tensorflow"


class Precision(Enum):
    """Arithmetic of the network."""

    f32 = "f32"
    bf16 = "bf16"
    int8 = "int8"
    auto = "auto"


class SamplingConfig(dg.Config):
    """How much of the collection to take."""

    fraction: float = Field(default=0.01, gt=0, le=1, description="Share of every class to take, in (0, 1].")
    min_per_class: int = Field(
        default=1, ge=1, description="Images of every class to keep at least, as far as it has them."
    )
    max_per_class: int | None = Field(default=None, ge=1, description="Images of every class to keep at most.")
    seed: int = Field(default=0, description="Another seed gives another sample; the same seed always the same.")

    @model_validator(mode="after")
    def _limits_fit(self) -> "SamplingConfig":
        if self.max_per_class is not None and self.max_per_class < self.min_per_class:
            raise ValueError(f"max_per_class ({self.max_per_class}) is below min_per_class ({self.min_per_class})")
        return self


class ExtractorConfig(dg.Config):
    """Which extractor to export."""

    input_size: int = Field(
        default=224,
        description=f"Height and width in pixels, one of {INPUT_SIZES}: smaller is faster and less accurate.",
    )
    quantize: bool = Field(
        default=False,
        description="Export an int8 model too. Not needed when image_features of the same run asks for int8 or auto.",
    )
    calibration_images: str | None = Field(
        default=None,
        description="Folder or s3:// prefix of images to calibrate int8 on; by default 300 rendered ones.",
    )

    @model_validator(mode="after")
    def _size_is_known(self) -> "ExtractorConfig":
        if self.input_size not in INPUT_SIZES:
            raise ValueError(f"input_size is {self.input_size}: choose one of {', '.join(map(str, INPUT_SIZES))}")
        return self


class FeaturesConfig(dg.Config):
    """How to compute the features."""

    batch_size: int | None = Field(
        default=None,
        ge=1,
        le=256,
        description="Images per inference, by default the fastest for the precision; does not change the features.",
    )
    engine: Engine = Field(default=Engine.openvino, description="openvino, or tensorflow as the (slow) reference.")
    precision: Precision = Field(
        default=Precision.f32,
        description="f32; bf16 or int8, faster where the processor has them and checked against f32 on these images; "
        "or auto, the fastest that passes that check.",
    )
    reuse: bool = Field(default=True, description="Take features of known images from the previous version.")

    @model_validator(mode="after")
    def _reference_is_f32(self) -> "FeaturesConfig":
        if self.engine is Engine.tensorflow and self.precision is not Precision.f32:
            raise ValueError(f"engine tensorflow runs at precision f32 only, not {self.precision.value}")
        return self


class PcaConfig(dg.Config):
    """How many components to keep."""

    n_components: int = Field(
        default=80, ge=1, le=1280, description="Components to keep; at most the number of images."
    )
    variance: float | None = Field(
        default=None, gt=0, le=1, description="Keep as many components as explain this share of the variance, instead."
    )
    standardize: bool = Field(default=True, description="Give every feature the same weight.")

    @model_validator(mode="after")
    def _one_way_to_choose(self) -> "PcaConfig":
        if self.variance is not None and "n_components" in self.model_fields_set:
            raise ValueError("give n_components or variance, not both")
        return self


# Op name -> its config: what `check_run_config` looks at before anything runs.
CONFIGS: dict[str, type[dg.Config]] = {
    "sampled_images": SamplingConfig,
    "feature_extractor": ExtractorConfig,
    "image_features": FeaturesConfig,
    "pca_model": PcaConfig,
}


def check_run_config(ops: dict[str, Any]) -> None:
    """Check the values of all ops at once, before the first of them starts.

    Args:
        ops: the `ops` section of the run config.

    Raises:
        InputError: lists every wrong value.
    """
    problems = []
    for name, config in CONFIGS.items():
        try:
            config(**(ops.get(name) or {}).get("config", {}))
        except ValidationError as error:
            problems += [f"ops.{name}.config{_where(item['loc'])}: {_message(item)}" for item in error.errors()]
    if problems:
        listed = "\n".join(f"  - {problem}" for problem in problems)
        raise InputError(f"{len(problems)} value(s) of the run config need attention:\n{listed}")


def _where(location: tuple[int | str, ...]) -> str:
    return "".join(f".{part}" for part in location)


def _message(item: Any) -> str:
    message = str(item["msg"]).removeprefix("Value error, ")
    return message if item["type"] == "value_error" else f"{message} (it is {item['input']!r})"
