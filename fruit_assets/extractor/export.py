"""Building the extractor with Keras and exporting it, in a process of its own.

Run as `python -m fruit_assets.extractor.export SPEC FOLDER`. A process of its own keeps
TensorFlow's memory and threads out of the Spark driver, and lets the export overlap with the start of
the JVM. Nothing here runs on a cluster's nodes.
"""

import hashlib
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fruit_assets.errors import InputError
from fruit_assets.extractor.architectures import Architecture, architecture_named
from fruit_assets.extractor.export_process import ExportProcess, reporting
from fruit_assets.extractor.specification import (
    DESCRIPTION_FILE,
    KERAS_MODEL,
    MODEL,
    ExtractorDescription,
    ExtractorSpec,
)
from fruit_assets.extractor.weights import WeightsSource
from fruit_assets.object_store.stores import open_store
from fruit_assets.settings import set_variables

_SEED = 0


class Export:
    """A running export; `files()` waits for it.

    Args:
        spec: what to export.
    """

    def __init__(self, spec: ExtractorSpec) -> None:
        self.spec = spec
        request = {
            "weights": asdict(spec.weights),
            "input_size": spec.input_size,
            "architecture": spec.architecture.name,
        }
        self._process = ExportProcess(__name__, json.dumps(request))

    def files(self) -> dict[str, bytes]:
        """The exported files by name, `extractor.json` among them.

        Raises:
            InputError: the weights do not fit, or cannot be had.
        """
        self._process.finish()
        folder = self._process.folder
        names = sorted(file.name for file in folder.iterdir() if file.suffix in (".xml", ".bin", ".keras", ".json"))
        return {name: (folder / name).read_bytes() for name in names}


def export(spec: ExtractorSpec, folder: Path) -> None:
    """Build the network, export it for OpenVINO and for Keras, and describe it.

    The exported model takes uint8 pixels (n, size, size, 3) and has the preprocessing built in.

    Raises:
        InputError: the weights cannot be loaded into the network, or cannot be downloaded.
    """
    network = _network(spec)
    _save_openvino(network, spec.architecture, folder / MODEL)
    _with_preprocessing(network, spec).save(folder / KERAS_MODEL)
    files = {file.name: _sha256(file) for file in sorted(folder.glob("extractor.*")) if file.suffix != ".json"}
    description = ExtractorDescription(
        fingerprint=spec.fingerprint,
        architecture=spec.architecture.name,
        input_size=spec.input_size,
        features=spec.architecture.features,
        preprocessing=spec.preprocessing,
        weights=asdict(spec.weights),
        parameters=int(network.count_params()),
        files=files,
        versions={name: version(name) for name in ("tensorflow", "keras", "openvino")},
    )
    (folder / DESCRIPTION_FILE).write_bytes(description.to_json())


def _network(spec: ExtractorSpec) -> Any:
    import keras

    keras.utils.set_random_seed(_SEED)
    shape = (spec.input_size, spec.input_size, 3)
    weights = "imagenet" if spec.weights.kind == "imagenet" else None
    try:
        build = getattr(keras.applications, spec.architecture.name)
        network = build(weights=weights, include_top=False, pooling="avg", input_shape=shape)
    # Keras reports a failed download as a bare Exception.
    except Exception as error:
        if weights is None:
            raise
        raise InputError(
            f"The ImageNet weights cannot be downloaded ({error}). Set FRUIT_ASSETS_WEIGHTS to a Keras weights file "
            "you have, or to 'auto' to go on with untrained weights and a failing check."
        ) from error
    if spec.weights.kind == "file":
        _load_weights(network, spec)
    return network


def _load_weights(network: Any, spec: ExtractorSpec) -> None:
    location = spec.weights.location
    folder, _, name = location.rpartition("/")
    with tempfile.TemporaryDirectory() as temporary:
        # Keras chooses between its own format and the older one by the suffix.
        local = Path(temporary, name if name.endswith(".h5") else f"{name}.h5")
        local.write_bytes(open_store(folder or "/").get(name))
        try:
            network.load_weights(local)
        # h5py and Keras raise many types here, all of which mean that the file does not fit the network.
        except Exception as error:
            raise InputError(
                f"The weights in {location} do not fit {spec.architecture.name} without its top: "
                f"{str(error).splitlines()[0][:300]} FRUIT_ASSETS_WEIGHTS needs a file that "
                f"keras.applications.{spec.architecture.name}(include_top=False).save_weights() wrote. For weights of "
                "another network, choose its name as `model` of feature_extractor."
            ) from error


def _with_preprocessing(network: Any, spec: ExtractorSpec) -> Any:
    import keras

    divisor, offset = spec.architecture.scaling or (1.0, 0.0)
    pixels = keras.Input((spec.input_size, spec.input_size, 3), dtype="uint8", name="pixels")
    scaled = keras.layers.Rescaling(1 / divisor, offset=offset, name="preprocess_input")(pixels)
    return keras.Model(pixels, network(scaled), name="feature_extractor")


def _save_openvino(network: Any, architecture: Architecture, target: Path) -> None:
    import numpy as np
    import openvino as ov
    from openvino import opset13 as operations
    from openvino.preprocess import PrePostProcessor

    def scaled(pixels: Any) -> Any:
        if architecture.scaling is None:
            return pixels
        divisor, offset = architecture.scaling
        return operations.add(operations.multiply(pixels, np.float32(1 / divisor)), np.float32(offset)).output(0)

    # Before the network's own transposition, which then costs nothing. Converted with the network, the preprocessing
    # ends up behind it, and the pixels are reordered twice: 3 to 4 % of the time of an image.
    processor = PrePostProcessor(ov.convert_model(network))
    processor.input().tensor().set_element_type(ov.Type.u8)
    processor.input().preprocess().convert_element_type(ov.Type.f32).custom(scaled)
    model = processor.build()
    model.input().set_names({"pixels"})
    # Half-precision weights would cost the 1e-3 parity with Keras.
    ov.save_model(model, target, compress_to_fp16=False)


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def main(arguments: Sequence[str]) -> int:
    """Export what the first argument describes (JSON) into the folder named by the second."""
    set_variables({"TF_CPP_MIN_LOG_LEVEL": "2", "CUDA_VISIBLE_DEVICES": "-1"}, override=False)
    value = json.loads(arguments[0])
    architecture = architecture_named(value["architecture"])
    spec = ExtractorSpec(WeightsSource(**value["weights"]), value["input_size"], architecture)
    folder = Path(arguments[1])
    return reporting(folder, partial(export, spec, folder))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
