"""Tests of the entries: each is what Keras Applications says of its network, and every engine gives Keras' features."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import pytest

from fruit_assets.errors import InputError
from fruit_assets.extractor.architectures import ARCHITECTURES, DEFAULT, Architecture, architecture_named
from fruit_assets.extractor.engines import load_engine
from fruit_assets.extractor.export import export
from fruit_assets.extractor.quantization import quantize
from fruit_assets.extractor.specification import (
    DECODING,
    DESCRIPTION_FILE,
    INT8_MODEL,
    KERAS_MODEL,
    MODEL,
    ExtractorDescription,
    ExtractorSpec,
)
from fruit_assets.extractor.split_model import halves
from fruit_assets.extractor.weights import resolve_weights
from fruit_assets_tests.extractor.calibrated_network import (
    blocks_of_pixels,
    calibrated_network,
    keras_input,
    network_without_top,
)

SIZE = 96
EFFICIENT_NET = architecture_named("EfficientNetV2B0")

each_architecture = pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda entry: entry.name)


@each_architecture
def test_an_entry_has_the_features_and_the_scaling_of_keras(architecture):
    assert network_without_top(architecture, min(architecture.input_sizes)).output_shape == (
        None,
        architecture.features,
    )
    pixels = blocks_of_pixels(2, SIZE)
    divisor, offset = architecture.scaling or (1.0, 0.0)
    assert np.abs(pixels / divisor + offset - keras_input(architecture, pixels)).max() < 1e-6


@each_architecture
def test_an_entry_names_the_file_that_keras_downloads(architecture, monkeypatch):
    import importlib

    import keras

    class Asked(Exception):
        pass

    def get_file(name: str, origin: str, **options: Any) -> None:
        raise Asked(name, origin)

    build = getattr(keras.applications, architecture.name)
    monkeypatch.setattr(importlib.import_module(build.__module__).file_utils, "get_file", get_file)
    for size in (architecture.input_sizes[0], architecture.input_sizes[-1]):
        with pytest.raises(Asked) as asked:
            build(weights="imagenet", include_top=False, input_shape=(size, size, 3))
        url = architecture.weights_url(size)
        assert asked.value.args == (url.rpartition("/")[2], url)


def test_auto_asks_for_the_weights_of_the_network_that_was_chosen(monkeypatch):
    from fruit_assets.extractor import weights

    asked: list[str] = []
    monkeypatch.setattr(weights, "_why_unreachable", lambda url, patience: asked.append(url))
    monkeypatch.setattr(weights, "_keras_cache", lambda: Path("/nowhere"))
    resolve_weights("auto", 128, EFFICIENT_NET)
    resolve_weights("auto", 128)
    assert asked == [EFFICIENT_NET.weights_url(128), DEFAULT.weights_url(128)]
    assert "_1.0_128_" in asked[1]


def test_an_unknown_network_is_refused_with_those_there_are():
    with pytest.raises(InputError, match=r"no network 'ResNet50': choose one of MobileNetV2, EfficientNetV2B0\."):
        architecture_named("ResNet50")


def test_networks_have_different_fingerprints_and_that_of_mobilenet_stays():
    random = resolve_weights("random")
    fingerprints = {ExtractorSpec(random, 224, architecture).fingerprint for architecture in ARCHITECTURES}
    assert len(fingerprints) == len(ARCHITECTURES)
    # What it was before there was a second one: else every published extractor and feature is computed again.
    identity = ["MobileNetV2", "random", "seed 0", 224, f"{DECODING}, x/127.5-1"]
    assert ExtractorSpec(random).fingerprint == hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Exported:
    """A network with calibrated weights as it was exported, pixels, and what Keras makes of them."""

    architecture: Architecture
    folder: Path
    pixels: np.ndarray
    expected: np.ndarray


# The default network is compared with Keras on all images of the collection, in `features/test_featurization.py`.
@pytest.fixture(scope="module", params=ARCHITECTURES[1:], ids=lambda entry: entry.name)
def exported(request, tmp_path_factory) -> Exported:
    architecture, folder = request.param, tmp_path_factory.mktemp("exported")
    network = calibrated_network(architecture, SIZE)
    weights = folder / "calibrated.weights.h5"
    network.save_weights(weights)
    export(ExtractorSpec(resolve_weights(str(weights), SIZE, architecture), SIZE, architecture), folder)
    pixels = blocks_of_pixels(19, SIZE)
    expected = np.asarray(network(keras_input(architecture, pixels), training=False))
    return Exported(architecture, folder, pixels, expected)


def test_features_are_those_of_keras_with_either_engine(exported):
    import keras

    assert exported.expected.std(axis=0).mean() > 0.05
    for batch_size in (None, 1, 5):
        features = load_engine(exported.folder, SIZE, "openvino", "f32", batch_size)(exported.pixels)
        assert np.abs(features - exported.expected).max() < 1e-3, batch_size
    reference = keras.saving.load_model(exported.folder / KERAS_MODEL, compile=False)
    assert np.abs(np.asarray(reference(exported.pixels, training=False)) - exported.expected).max() < 1e-3


def test_an_extractor_is_described_by_its_entry(exported):
    description = ExtractorDescription.from_json((exported.folder / DESCRIPTION_FILE).read_bytes())
    entry = exported.architecture
    assert (description.architecture, description.features) == (entry.name, entry.features)
    assert description.preprocessing == f"{DECODING}, {entry.scaling_name}"


def test_a_network_in_two_parts_gives_the_same_bits(exported):
    model = ov.Core().read_model(exported.folder / MODEL)
    assert halves(model, 1) is not None
    in_parts, whole = (load_engine(exported.folder, SIZE, "openvino", "f32", size) for size in (None, 1))
    assert np.array_equal(in_parts(exported.pixels), whole(exported.pixels))


def test_lower_precisions_give_nearly_the_same_features(exported):
    quantize(exported.folder / MODEL, exported.pixels, exported.folder / INT8_MODEL)
    for precision in ("bf16", "int8"):
        engine = load_engine(exported.folder, SIZE, "openvino", precision)
        features, expected = engine(exported.pixels), exported.expected
        lengths = np.linalg.norm(features, axis=1) * np.linalg.norm(expected, axis=1)
        assert ((features * expected).sum(axis=1) / lengths).mean() > 0.85, precision
    assert engine.arithmetic.precision == "int8"
