"""Tests of the entries: each is what Keras Applications says of its network, and every engine gives Keras' features."""

from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import pytest

from fruit_assets.errors import InputError
from fruit_assets.extractor.architectures import ARCHITECTURES, DEFAULT, architecture_named
from fruit_assets.extractor.engines import load_engine
from fruit_assets.extractor.export import export
from fruit_assets.extractor.quantization import quantize
from fruit_assets.extractor.specification import INT8_MODEL, KERAS_MODEL, MODEL, ExtractorDescription, ExtractorSpec
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
    # With another one, every published extractor and feature would be computed again.
    assert ExtractorSpec(random).fingerprint == "f29d19be15268948462f85d964acb6d7"


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> tuple[Path, np.ndarray, np.ndarray]:
    """A folder with EfficientNetV2B0 exported, pixels, and what Keras makes of them."""
    folder = tmp_path_factory.mktemp("efficientnet")
    network = calibrated_network(EFFICIENT_NET, SIZE)
    network.save_weights(folder / "calibrated.weights.h5")
    spec = ExtractorSpec(resolve_weights(str(folder / "calibrated.weights.h5")), SIZE, EFFICIENT_NET)
    export(spec, folder)
    pixels = blocks_of_pixels(19, SIZE)
    return folder, pixels, np.asarray(network(keras_input(EFFICIENT_NET, pixels), training=False))


def test_features_of_efficientnet_are_those_of_keras_with_either_engine(exported):
    import keras

    folder, pixels, expected = exported
    assert expected.std(axis=0).mean() > 0.05
    for batch_size in (None, 1, 5):
        features = load_engine(folder, SIZE, "openvino", "f32", batch_size)(pixels)
        assert np.abs(features - expected).max() < 1e-3, batch_size
    reference = keras.saving.load_model(folder / KERAS_MODEL, compile=False)
    assert np.abs(np.asarray(reference(pixels, training=False)) - expected).max() < 1e-3


def test_efficientnet_is_described_by_its_entry(exported):
    folder, _, _ = exported
    description = ExtractorDescription.from_json((folder / "extractor.json").read_bytes())
    assert (description.architecture, description.features) == ("EfficientNetV2B0", EFFICIENT_NET.features)
    assert description.preprocessing == "rgb, PIL bicubic, scaled by the network"
    assert description.parameters == 5_919_312


def test_efficientnet_in_two_parts_gives_the_same_bits(exported):
    folder, pixels, _ = exported
    parts = halves(ov.Core().read_model(folder / MODEL), 1)
    assert parts is not None
    assert list(parts[0].output().shape) == [1, SIZE // 16, SIZE // 16, 96]
    in_parts, whole = (load_engine(folder, SIZE, "openvino", "f32", size)(pixels) for size in (None, 1))
    assert np.array_equal(in_parts, whole)


def test_efficientnet_runs_at_bf16_and_int8(exported):
    folder, pixels, expected = exported
    quantize(folder / MODEL, pixels, folder / INT8_MODEL)
    for precision in ("bf16", "int8"):
        features = load_engine(folder, SIZE, "openvino", precision)(pixels)
        lengths = np.linalg.norm(features, axis=1) * np.linalg.norm(expected, axis=1)
        assert ((features * expected).sum(axis=1) / lengths).mean() > 0.85, precision
