"""Tests of the checks themselves, decided from figures alone."""

import dagster as dg
import numpy as np
import pytest

from fruit_assets import checks


def test_lost_rows_are_counted_and_the_check_blocks():
    result = checks.rows_reconcile("image_features", 10, {"featurised": 7, "rejected": 2})
    assert (result.passed, result.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert result.description == "10 rows expected, 7 featurised + 2 rejected found: 1 are missing."
    assert checks.rows_reconcile("image_features", 9, {"featurised": 7, "rejected": 2}).passed


def test_a_row_of_another_width_is_noticed():
    assert checks.dimensions("image_features", 1280, 1280, 1280).passed
    assert not checks.dimensions("image_features", 1280, 1279, 1280).passed
    assert not checks.dimensions("image_features", 1280, 1280, 1281).passed


def test_values_that_are_not_finite_block_with_an_example():
    result = checks.finite_values("pca_components", 3, "a/b.jpg")
    assert (result.passed, result.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert "3 row(s)" in str(result.description)
    assert "a/b.jpg" in str(result.description)


def test_components_that_are_not_orthonormal_block():
    assert checks.orthonormal_components(np.eye(5)[:3]).passed
    assert not checks.orthonormal_components(np.eye(5)[:3] * 1.001).passed
    assert not checks.orthonormal_components(np.full((3, 5), np.nan)).passed


@pytest.mark.parametrize(
    ("result", "passed", "words"),
    [
        (checks.few_rejected(100, 5), True, "5 of 100 images (5.0%)"),
        (checks.few_rejected(100, 6), False, "rejected_images says which and why"),
        (checks.few_rejected(0, 0), True, "0 of 0"),
        (checks.class_coverage({"a": 9, "b": 2}, {"a": 9, "b": 2}), True, "2 of 2 classes"),
        (checks.class_coverage({"a": 9, "b": 1, "c": 3}, {"a": 9, "b": 1}), False, "Raise min_per_class"),
        (checks.variance_explained(0.5, 80), True, "80 components explain 50.0%"),
        (checks.variance_explained(0.49, 80), False, "49.0%"),
        (checks.better_than_chance(0.5, 0.1, 30), True, "50.0% on 30 images"),
        (checks.better_than_chance(0.1, 0.1, 30), False, "10.0%"),
        (checks.better_than_chance(0.0, 0.0, 0), False, "Raise min_per_class"),
    ],
)
def test_a_warning_says_what_a_person_should_look_at_and_never_blocks(result, passed, words):
    assert result.passed == passed
    assert result.severity is dg.AssetCheckSeverity.WARN
    assert words in result.description


def test_every_declared_check_is_decided_in_a_run_of_the_graph(published):
    declared = {(name, spec.name) for name in _assets() for spec in checks.specs_for(name)}
    decided = {(check.asset_key.path[-1], check.check_name): check for check in published.check_evaluations}
    assert set(decided) == declared
    assert all(check.passed for check in decided.values() if check.severity is dg.AssetCheckSeverity.ERROR)


def _assets() -> list[str]:
    from fruit_assets.definitions import ASSETS

    return [key.path[-1] for asset in ASSETS if isinstance(asset, dg.AssetsDefinition) for key in asset.keys]
