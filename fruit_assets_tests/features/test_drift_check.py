"""Tests of the guard: its figures follow from the features, and its limits are those that are documented."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fruit_assets.extractor.architectures import DriftLimits
from fruit_assets.features.comparison import figures_of, images_to_compare
from fruit_assets.features.drift_check import DriftFigures, choose_precision

LIMITS = DriftLimits()
GOOD = DriftFigures(
    "int8", 256, 0.95, 0.87, 0.79, 0.87, 0.875, 0.01, 2.9, True, ("int8 by avx512 kernels on ...",), LIMITS
)


def _rows(reference: np.ndarray, features: np.ndarray, labels: list[str], flags: str = "avx512_vnni") -> pa.Table:
    count = len(labels)
    return pa.table(
        {
            "label": labels,
            "reference": pa.array(reference.tolist(), pa.list_(pa.float32())),
            "features": pa.array(features.tolist(), pa.list_(pa.float32())),
            "reference_us": pa.array([9000] * count, pa.int64()),
            "features_us": pa.array([3000] * count, pa.int64()),
            "arithmetic": ["int8 by avx512 kernels on avx512_vnni"] * count,
            "flags": [flags] * count,
        }
    )


def _features(count: int) -> np.ndarray:
    return np.random.default_rng(7).random((count, 6), dtype=np.float32)


def test_equal_features_pass_whatever_their_scale():
    rows, labels = _features(20), [f"label {number // 2}" for number in range(20)]
    figures = figures_of("int8", _rows(rows, 3 * rows, labels), LIMITS)
    assert (figures.mean_cosine, figures.least_cosine) == (pytest.approx(1), pytest.approx(1))
    assert (figures.neighbour_agreement, figures.accuracy_change, figures.accuracy_error) == (1, 0, 0)
    assert figures.speedup == pytest.approx(3)
    assert figures.problems() == []


def test_figures_are_those_of_scikit_learn():
    from sklearn.metrics.pairwise import cosine_similarity
    from sklearn.neighbors import NearestNeighbors

    reference, rng = _features(40), np.random.default_rng(1)
    features = (reference + rng.normal(0, 0.2, reference.shape)).astype(np.float32)
    labels = [f"label {number % 5}" for number in range(40)]
    figures = figures_of("bf16", _rows(reference, features, labels), LIMITS)
    cosines = np.diag(cosine_similarity(reference, features))
    assert (figures.mean_cosine, figures.least_cosine) == (
        pytest.approx(cosines.mean(), abs=1e-6), pytest.approx(cosines.min(), abs=1e-6),
    )  # fmt: skip
    nearest = [
        NearestNeighbors(n_neighbors=2, metric="cosine").fit(rows).kneighbors(rows)[1][:, 1]
        for rows in (reference, features)
    ]
    names = np.array(labels)
    assert figures.neighbour_agreement == (nearest[0] == nearest[1]).mean()
    assert figures.reference_accuracy == (names[nearest[0]] == names).mean()
    assert figures.accuracy == (names[nearest[1]] == names).mean()
    assert not figures.native  # avx512_vnni has no bf16


@pytest.mark.parametrize(
    ("change", "reported"),
    [
        ({"mean_cosine": 0.9}, "mean cosine 0.900 is below 0.92"),
        ({"least_cosine": 0.7}, "least cosine 0.700 is below 0.75"),
        ({"neighbour_agreement": 0.3}, "nearest-neighbour agreement 0.300 is below 0.44"),
        ({"accuracy": 0.8}, "recognition accuracy falls by 7.5%, more than 4.0%"),
        ({"mean_cosine": float("nan")}, "mean cosine nan is below 0.92"),
    ],
)
def test_every_limit_is_reported_with_its_figure(change, reported):
    assert replace(GOOD, **change).problems() == [reported]


@pytest.mark.parametrize(
    ("int8", "bf16", "why"),
    [
        (2.9, 1.9, "int8 is 2.9 times as fast as f32 here and passes the guard; bf16 is 1.9 times as fast"),
        (2.2, 2.5, "bf16 is 2.5 times as fast as f32 here and passes the guard; int8 is 2.2 times as fast"),
    ],
)
def test_auto_takes_the_fastest_of_those_that_are_native_and_pass(int8, bf16, why):
    measured = {"int8": replace(GOOD, speedup=int8), "bf16": replace(GOOD, precision="bf16", speedup=bf16)}
    choice = choose_precision(["int8", "bf16"], measured.__getitem__)
    assert (choice.figures, choice.why) == (measured[choice.precision], why)
    assert choice.precision == why.partition(" ")[0]


@pytest.mark.parametrize(
    ("change", "reported"),
    [
        ({"native": False}, "int8 was not taken: not every processor has instructions for it"),
        ({"speedup": 0.7}, "int8 was not taken: it is only 0.70 times as fast as f32"),
        ({"mean_cosine": 0.5}, "int8 was not taken: mean cosine 0.500"),
        ({"images": 0}, "int8 was not taken: no image could be read"),
    ],
)
def test_auto_says_why_it_passed_over_a_faster_precision(change, reported):
    measured = {"int8": replace(GOOD, **change), "bf16": replace(GOOD, precision="bf16")}
    choice = choose_precision(["int8", "bf16"], measured.__getitem__)
    assert choice.precision == "bf16"
    assert reported in choice.why
    alone = choose_precision(["int8"], measured.__getitem__, "something is not installed")
    assert (alone.precision, alone.figures) == ("f32", None)
    assert alone.why.startswith("something is not installed; int8 was not taken")


def test_figures_survive_the_manifest():
    import json

    assert DriftFigures.from_json(json.loads(json.dumps(GOOD.to_json()))) == GOOD


def test_without_a_readable_image_there_is_nothing_to_hold_against_it():
    figures = figures_of("int8", _rows(np.empty((0, 6)), np.empty((0, 6)), []), LIMITS)
    assert (figures.images, figures.problems()) == (0, [])


@given(st.integers(0, 10**7))
def test_few_images_are_compared_and_never_more_than_there_are(sampled):
    count = images_to_compare(sampled)
    assert count <= min(sampled, 256)
    assert count >= min(sampled, 64)
