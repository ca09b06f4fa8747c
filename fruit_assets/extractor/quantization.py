"""The int8 model of an exported extractor, made in a process of its own.

Run as `python -m fruit_assets.extractor.quantization REQUEST FOLDER`. It prepares itself while the extractor
is still being exported, and begins when a line arrives on its input. NNCF is needed here and nowhere else.
"""

import hashlib
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from fruit_assets.errors import InputError
from fruit_assets.extractor.calibration import Calibration, calibration_pixels
from fruit_assets.extractor.export_process import ExportProcess, reporting
from fruit_assets.extractor.specification import (
    DESCRIPTION_FILE,
    INT8_MODEL,
    MODEL,
    ExtractorDescription,
    QuantizedModel,
)

if TYPE_CHECKING:
    import numpy as np

# Symmetric weights, asymmetric activations; biases corrected from averages of the activations.
METHOD = "NNCF post-training quantization, mixed preset, fast bias correction"
_WEIGHTS_OF = {MODEL: "extractor.bin", INT8_MODEL: "extractor-int8.bin"}


def can_quantize() -> bool:
    """Whether NNCF is installed here."""
    return find_spec("nncf") is not None


def int8_fingerprint(extractor: str, calibration: Calibration) -> str:
    """Names the int8 model of an extractor: equal where the same features come out."""
    identity = [extractor, METHOD, calibration.identity]
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:32]


class Quantization:
    """A quantization that is getting ready; `added_to(files)` lets it begin and waits for it.

    Args:
        calibration: what to calibrate on.
        input_size: of the extractor.

    Raises:
        InputError: NNCF is not installed.
    """

    def __init__(self, calibration: Calibration, input_size: int) -> None:
        if not can_quantize():
            raise InputError(
                "Exporting an int8 model needs NNCF, which is not installed here. "
                "Run pip install 'fruit_assets[quantize]', or choose the precision f32 or bf16."
            )
        self._calibration = calibration
        request = json.dumps({"calibration": asdict(calibration), "input_size": input_size})
        self._process = ExportProcess(__name__, request)

    def added_to(self, files: dict[str, bytes]) -> dict[str, bytes]:
        """The exported files of an extractor, its int8 model among them.

        Args:
            files: those of an export without it, by name.

        Raises:
            InputError: hardly any calibration image can be read, or NNCF fails.
        """
        folder = self._process.folder
        for name in (MODEL, _WEIGHTS_OF[MODEL]):
            (folder / name).write_bytes(files[name])
        self._process.finish(b"begin\n")
        made = {name: (folder / name).read_bytes() for name in (INT8_MODEL, _WEIGHTS_OF[INT8_MODEL])}
        return {**files, **made, DESCRIPTION_FILE: self._described(files[DESCRIPTION_FILE], made).to_json()}

    def stop(self) -> None:
        """Give up; what it would have made is not wanted any more."""
        self._process.stop()

    def _described(self, description_file: bytes, made: dict[str, bytes]) -> ExtractorDescription:
        description = ExtractorDescription.from_json(description_file)
        quantized = QuantizedModel(
            fingerprint=int8_fingerprint(description.fingerprint, self._calibration),
            method=METHOD,
            calibration=str(self._calibration),
            images=int((self._process.folder / "images").read_text()),
            versions={name: version(name) for name in ("nncf", "openvino")},
        )
        digests = {name: hashlib.sha256(content).hexdigest() for name, content in made.items()}
        return replace(description, files={**description.files, **digests}, quantized=quantized)


def quantize(model: Path, pixels: "np.ndarray", target: Path) -> None:
    """Write the int8 model of `model`, calibrated on uint8 pixels (n, size, size, 3)."""
    import nncf
    import openvino as ov

    network = ov.Core().read_model(model)
    dataset = nncf.Dataset([image[None] for image in pixels])
    quantized = nncf.quantize(network, dataset, preset=nncf.QuantizationPreset.MIXED, subset_size=len(pixels))
    ov.save_model(quantized, target, compress_to_fp16=False)


def main(arguments: Sequence[str]) -> int:
    """Prepare what the first argument asks for (JSON); quantise the model in the second when a line arrives."""
    request, folder = json.loads(arguments[0]), Path(arguments[1])
    wanted = request["calibration"]
    calibration = Calibration(wanted["source"], wanted["identity"], tuple(wanted["paths"]))
    return reporting(folder, partial(_quantized_on_request, calibration, request["input_size"], folder))


def _quantized_on_request(calibration: Calibration, input_size: int, folder: Path) -> None:
    import nncf  # noqa: F401  seconds of imports and rendering, while the extractor is still being exported

    pixels = calibration_pixels(calibration, input_size)
    if sys.stdin.readline():  # else the parent has ended
        quantize(folder / MODEL, pixels, folder / INT8_MODEL)
        (folder / "images").write_text(str(len(pixels)))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
