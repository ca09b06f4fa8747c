"""`feature_extractor`: the network without its top, exported once.

Put here the asset with its config and checks. Building and exporting belong in
`extractor/export.py`, which runs in a process of its own.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from functools import partial
from typing import Any, cast

import dagster as dg
from pydantic import Field, model_validator

from fruit_assets.assets.check_set import CheckSet
from fruit_assets.assets.config_inheritance import RUN_CONFIG, config_of_run
from fruit_assets.assets.publishing import PhaseTimer, publish_results, translate_errors
from fruit_assets.assets.resources import WeightsSetting
from fruit_assets.assets.run_selection import FEATURES, makes
from fruit_assets.assets.sample.checks import NAME as SAMPLE
from fruit_assets.errors import InputError
from fruit_assets.extractor.architectures import ARCHITECTURES, DEFAULT, architecture_named
from fruit_assets.extractor.calibration import Calibration, resolve_calibration
from fruit_assets.extractor.export import Export
from fruit_assets.extractor.quantization import Quantization, can_quantize, int8_fingerprint
from fruit_assets.extractor.specification import DESCRIPTION_FILE, ExtractorDescription, ExtractorSpec
from fruit_assets.extractor.weights import resolve_weights
from fruit_assets.spark.resource import SparkResource
from fruit_assets.storage.artifacts import read_file, stage_files
from fruit_assets.storage.delta.staged_commit import StagedCommit
from fruit_assets.storage.delta.version import Version
from fruit_assets.storage.io_managers import AssetStorage
from fruit_assets.storage.staging import VersionWriter, republish

NAME = "feature_extractor"
CHECKS = CheckSet(
    NAME, warnings={"weights_are_pretrained": "The weights were trained on photographs, not drawn at random."}
)


class ExtractorConfig(dg.Config):
    """Which extractor to export."""

    model: str = Field(
        default=DEFAULT.name,
        description=f"Network of Keras Applications: {' or '.join(entry.name for entry in ARCHITECTURES)}.",
    )
    input_size: int = Field(
        default=224,
        description="Height and width in pixels: smaller is faster and less accurate. "
        + "; ".join(f"{entry.name}: {', '.join(map(str, entry.input_sizes))}" for entry in ARCHITECTURES)
        + ".",
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
    def _network_takes_the_size(self) -> "ExtractorConfig":
        try:
            sizes = architecture_named(self.model).input_sizes
        except InputError as error:
            raise ValueError(str(error)) from error
        if self.input_size not in sizes:
            listed = ", ".join(map(str, sizes))
            raise ValueError(f"input_size is {self.input_size}: choose one of {listed} for {self.model}")
        return self


def weights_are_pretrained(weights: Mapping[str, str]) -> dg.AssetCheckResult:
    """Random weights show here, with the reason why they were taken."""
    passed = weights["kind"] != "random"
    text = weights["warning"] or f"Weights: {weights['kind']} {weights['location']}".strip() + "."
    return CHECKS.result("weights_are_pretrained", passed, text, {"kind": weights["kind"]})


@dg.asset(
    name=NAME,
    group_name="extractor",
    kinds={"tensorflow", "keras", "openvino"},
    owners=["team:image-features"],
    code_version="1",
    check_specs=CHECKS.specs(),
)
def feature_extractor(
    context: dg.AssetExecutionContext,
    config: ExtractorConfig,
    weights: WeightsSetting,
    storage: AssetStorage,
    spark: SparkResource,
) -> Iterator[Any]:
    """A network of Keras Applications without its top, average-pooled, with the preprocessing built in.

    Built with Keras, exported once for OpenVINO and once as a Keras model, and as an int8 model when one is
    asked for. `extractor.json` names weights, preprocessing, calibration and digests of the files; its
    fingerprint decides which features may be reused.

    ```python
    import openvino as ov; from pathlib import Path; from deltalake import DeltaTable
    for row in DeltaTable("data/assets/feature_extractor").to_pyarrow_table().to_pylist():
        Path(row["name"]).write_bytes(row["content"])
    infer = ov.compile_model("extractor.xml")
    features = infer(pixels)[0]   # uint8 (n, 224, 224, 3) -> float32 (n, features)
    ```
    """
    with translate_errors():
        phases = PhaseTimer()
        writing = storage.writing(NAME, context)
        config = config_of_run(context, config, writing.base)
        with phases("weights"):
            spec = _specification(context, config, weights)
        calibration = _calibration(context, config)
        config = config.model_copy(update={"quantize": calibration is not None})  # what a run that repeats needs
        with phases("export"):
            staged, exported = _staged(context, spec, calibration, writing, storage, spark)
        staged = staged.with_facts(**{RUN_CONFIG: config.model_dump(mode="json")})
        # A reused export names its weights as its own run did; the metadata shows what this run was given.
        description = replace(_description(staged.version), weights=asdict(spec.weights))
        metadata = {**_described(description), "exported_by_this_run": exported, **phases.metadata()}
        version = dg.DataVersion(spec.fingerprint)
        yield from publish_results(
            [dg.MaterializeResult(asset_key=NAME, value=staged, metadata=metadata, data_version=version)],
            [weights_are_pretrained(description.weights)],
        )


def _specification(
    context: dg.AssetExecutionContext, config: ExtractorConfig, weights: WeightsSetting
) -> ExtractorSpec:
    """What to export: the configured network with the weights that can be had."""
    architecture = architecture_named(config.model)
    source = resolve_weights(weights.value, config.input_size, architecture)
    if source.warning:
        context.log.warning(source.warning)
    return ExtractorSpec(source, config.input_size, architecture)


def _calibration(context: dg.AssetExecutionContext, config: ExtractorConfig) -> Calibration | None:
    """What to calibrate an int8 model on, when one is wanted: by this config, or by the features of this run."""
    ops = cast("dict[str, Any]", context.run.run_config.get("ops") or {})
    precision = ((ops.get("image_features") or {}).get("config") or {}).get("precision")
    if not config.quantize and precision not in ("int8", "auto"):
        return None
    if precision == "auto" and not config.quantize and not can_quantize():
        context.log.warning("NNCF is not installed, so no int8 model is exported: `auto` will choose without it.")
        return None
    return resolve_calibration(config.calibration_images)


def _staged(
    context: dg.AssetExecutionContext,
    spec: ExtractorSpec,
    calibration: Calibration | None,
    writing: VersionWriter,
    storage: AssetStorage,
    spark: SparkResource,
) -> tuple[StagedCommit, bool]:
    """The extractor as a staged version, and whether anything had to be exported; announces work to Spark."""
    facts = {"fingerprint": spec.fingerprint}
    if calibration is not None:
        facts["int8"] = int8_fingerprint(spec.fingerprint, calibration)
    if (before := writing.find_latest(**facts)) is not None:
        if makes(context, FEATURES) and storage.table(SAMPLE).current_or_none() is None:
            spark.prepare()  # the run makes the first sample, whose images are all new
        context.log.info(f"Extractor {spec.fingerprint} was exported before: nothing to build.")
        return republish(before, writing), False
    files = _exported(context, spec, calibration, writing, spark)
    return stage_files(files, writing).with_facts(**facts), True


def _exported(
    context: dg.AssetExecutionContext,
    spec: ExtractorSpec,
    calibration: Calibration | None,
    writing: VersionWriter,
    spark: SparkResource,
) -> dict[str, bytes]:
    """The files of the extractor, taken from an earlier version where that exported them."""
    quantization = Quantization(calibration, spec.input_size) if calibration is not None else None
    try:
        before = writing.find_latest(fingerprint=spec.fingerprint)
        finish = partial(_without_int8, before) if before is not None else Export(spec).files
        if makes(context, FEATURES):
            # Another extractor means new features: Spark starts beside the export, which begins first and takes longer.
            spark.prepare()
        files = finish()
        return files if quantization is None else quantization.added_to(files)
    except BaseException:
        if quantization is not None:
            quantization.stop()
        raise


def _without_int8(version: Version) -> dict[str, bytes]:
    """The files of a published extractor but for its int8 model, which was calibrated on something else."""
    description = _description(version)
    kept = {name: digest for name, digest in description.files.items() if "int8" not in name}
    reduced = replace(description, files=kept, quantized=None)
    return {DESCRIPTION_FILE: reduced.to_json(), **{name: read_file(version, name) for name in kept}}


def _description(version: Version) -> ExtractorDescription:
    return ExtractorDescription.from_json(read_file(version, DESCRIPTION_FILE))


def _described(description: ExtractorDescription) -> dict[str, Any]:
    weights = description.weights
    name = weights["location"] or weights["identity"]
    metadata: dict[str, Any] = {
        "fingerprint": description.fingerprint,
        "architecture": description.architecture,
        "input_size": description.input_size,
        "features": description.features,
        "parameters": description.parameters,
        "preprocessing": description.preprocessing,
        "weights": f"{weights['kind']}: {name}",
        "versions": dg.MetadataValue.json(description.versions),
    }
    if (quantized := description.quantized) is not None:
        metadata["int8"] = f"calibrated on {quantized.calibration}: {quantized.method}"
    if weights["warning"]:
        metadata["warning"] = dg.MetadataValue.md(f"**{weights['warning']}**")
    return metadata
