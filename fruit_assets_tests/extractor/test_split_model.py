"""Tests of the network in two parts: where it is split, and that the features are the same."""

from pathlib import Path

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as operations

from fruit_assets.extractor import engines
from fruit_assets.extractor.specification import MODEL
from fruit_assets.extractor.split_model import halves


@pytest.fixture(scope="module")
def folder(extractor_folder) -> Path:
    return extractor_folder


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (37, 224, 224, 3), np.uint8)


def test_mobilenet_is_taken_apart_between_two_blocks_where_it_hands_over_little(folder):
    model = ov.Core().read_model(folder / MODEL)
    first, second = halves(model, 2)
    assert list(first.input().shape) == [2, 224, 224, 3]
    assert list(first.output().shape) == [2, 14, 14, 64]
    assert str(second.input().partial_shape) == "[?,14,14,64]"
    assert str(second.output().partial_shape) == "[?,1280]"
    # Nothing is there twice, and nothing is missing.
    counts = [
        sum(node.get_type_name() in ("Convolution", "GroupConvolution") for node in part.get_ops())
        for part in (model, first, second)
    ]
    assert counts[0] == counts[1] + counts[2] == 52
    assert counts[1] == 21  # the first seven of the seventeen blocks
    assert list(model.input().partial_shape)[1:] == [224, 224, 3], "the model itself stays as it was"


@pytest.mark.parametrize("size", [96, 160, 192])
def test_other_input_sizes_are_taken_apart_at_the_same_place(folder, size):
    model = ov.Core().read_model(folder / MODEL)
    model.reshape([-1, size, size, 3])
    _, second = halves(model, 2)
    assert str(second.input().partial_shape) == f"[?,{size // 16},{size // 16},64]"


def test_features_are_the_same_to_the_last_bit_for_any_number_of_images(folder, pixels):
    in_halves, whole = (engines.load_engine(folder, 224, "openvino", "f32", size) for size in (None, 1))
    expected = whole(pixels)
    assert np.ptp(expected) > 0
    for count in (37, 1, 7, 15, 16, 17, 0, 37):
        assert np.array_equal(in_halves(pixels[:count]), expected[:count]), count
    assert in_halves.arithmetic == whole.arithmetic
    assert in_halves.arithmetic.precision == "f32"


def test_what_is_left_of_a_batch_is_not_filled_up_for_the_second_half(folder, pixels, monkeypatch):
    seen = []

    class Seen:
        def __init__(self, request):
            self.request = request

        def infer(self, part, share_inputs):
            seen.append(part.shape[:3])
            return self.request.infer(part, share_inputs=share_inputs)

        def __getattr__(self, name):
            return getattr(self.request, name)

    in_batches = engines._in_batches
    monkeypatch.setattr(engines, "_in_batches", lambda request, size: in_batches(Seen(request), size))
    engines.load_engine(folder, 224, "openvino", "f32")(pixels[:19])
    assert [shape for shape in seen if shape[1] == 14] == [(16, 14, 14), (3, 14, 14)]
    assert [shape for shape in seen if shape[1] == 224] == [(1, 224, 224)] * 19


def test_the_network_runs_in_halves_unless_a_batch_size_is_wanted(folder, monkeypatch):
    taken = []
    monkeypatch.setattr(engines, "halves", lambda *arguments: taken.append(arguments[1:]) or halves(*arguments))
    for batch_size in (None, 1, 5):
        engines.load_engine(folder, 224, "openvino", "f32", batch_size)
    assert taken == [(1,)]


@pytest.mark.parametrize(("precision", "batch_size"), [("bf16", 1), ("int8", 4)])
def test_other_precisions_stay_whole(int8_extractor, pixels, monkeypatch, precision, batch_size):
    monkeypatch.setattr(engines, "halves", None)
    by_default, whole = (
        engines.load_engine(int8_extractor, 224, "openvino", precision, size) for size in (None, batch_size)
    )
    assert np.array_equal(by_default(pixels[:3]), whole(pixels[:3]))


def test_a_network_without_a_narrow_place_stays_whole(folder, pixels, monkeypatch):
    given = operations.parameter([1, 32, 32, 3], ov.Type.u8)
    wide = operations.convert(operations.transpose(given, [0, 3, 1, 2]), "f32")
    assert halves(ov.Model([operations.reduce_mean(wide, [2, 3], keep_dims=False)], [given]), 1) is None
    monkeypatch.setattr(engines, "halves", lambda *arguments: None)
    assert engines.load_engine(folder, 224, "openvino", "f32")(pixels[:2]).shape == (2, 1280)


def test_a_branch_that_passes_the_waist_by_is_seen():
    """A sum is no waist when something before it is needed after it as well."""
    given = operations.parameter([1, 32, 32, 3], ov.Type.f32)
    inside = operations.transpose(given, [0, 3, 1, 2])
    block = operations.add(operations.avg_pool(inside, [16, 16], [0, 0], [0, 0], [16, 16], True), np.float32(1))
    passed_by = operations.add(operations.reduce_mean(block, [2, 3]), operations.reduce_mean(inside, [2, 3]))
    assert halves(ov.Model([passed_by], [given]), 1) is None
    alone = operations.reduce_mean(block, [2, 3])
    assert halves(ov.Model([alone], [given]), 1) is not None
