"""Tests of the checks of all assets, decided from figures alone."""

import dagster as dg
import numpy as np
import pytest

from fruit_assets.assets.check_set import CheckSet
from fruit_assets.assets.components.checks import orthonormal_components, variance_explained
from fruit_assets.assets.features.checks import few_featureless, few_rejected
from fruit_assets.assets.fruit_recognition import better_than_chance
from fruit_assets.assets.graph import ASSETS
from fruit_assets.assets.sample.checks import class_coverage

_CHECKS = CheckSet("image_features", blocking=dict.fromkeys(["rows_reconcile", "dimensions", "finite_values"], ""))


def test_lost_rows_are_counted_and_the_check_blocks():
    result = _CHECKS.rows_reconcile(10, {"featurised": 7, "rejected": 2})
    assert (result.passed, result.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert result.description == "10 rows expected, 7 featurised + 2 rejected found: 1 are missing."
    assert _CHECKS.rows_reconcile(9, {"featurised": 7, "rejected": 2}).passed


def test_a_row_of_another_width_is_noticed():
    assert _CHECKS.dimensions(1280, 1280, 1280).passed
    assert not _CHECKS.dimensions(1280, 1279, 1280).passed
    assert not _CHECKS.dimensions(1280, 1280, 1281).passed


def test_values_that_are_not_finite_block_with_an_example():
    result = _CHECKS.finite_values(3, "a/b.jpg")
    assert (result.passed, result.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert "3 row(s)" in str(result.description)
    assert "a/b.jpg" in str(result.description)


def test_components_that_are_not_orthonormal_block():
    assert orthonormal_components(np.eye(5)[:3]).passed
    assert not orthonormal_components(np.eye(5)[:3] * 1.001).passed
    assert not orthonormal_components(np.full((3, 5), np.nan)).passed


@pytest.mark.parametrize(
    ("result", "passed", "words"),
    [
        (few_rejected(100, 5), True, "5 of 100 images (5.0%)"),
        (few_rejected(100, 6), False, "rejected_images lists them"),
        (few_rejected(0, 0), True, "0 of 0"),
        (few_featureless(300, 3), True, "3 of the 300 images computed by this run (1.0%) show next to nothing"),
        (few_featureless(300, 4), False, "all their pixels have nearly the same level"),
        (few_featureless(0, 0), True, "0 of the 0"),
        (class_coverage({"a": 9, "b": 2}, {"a": 9, "b": 2}), True, "2 of 2 classes"),
        (class_coverage({"a": 9, "b": 1, "c": 3}, {"a": 9, "b": 1}), False, "Raise min_per_class"),
        (variance_explained(0.5, 80), True, "80 components explain 50.0%"),
        (variance_explained(0.49, 80), False, "49.0%"),
        (better_than_chance(0.5, 0.1, 30), True, "50.0% on 30 images"),
        (better_than_chance(0.1, 0.1, 30), False, "10.0%"),
        (better_than_chance(0.0, 0.0, 0), False, "Raise min_per_class"),
    ],
)
def test_a_warning_says_what_a_person_should_look_at_and_never_blocks(result, passed, words):
    assert result.passed == passed
    assert result.severity is dg.AssetCheckSeverity.WARN
    assert words in result.description


def test_a_blocking_check_may_be_downgraded_to_a_warning():
    result = _CHECKS.result("dimensions", False, "One row differs.", blocks=False)
    assert (result.passed, result.severity) == (False, dg.AssetCheckSeverity.WARN)


def test_every_declared_check_is_decided_in_a_run_of_the_graph(published):
    made = [asset for asset in ASSETS if isinstance(asset, dg.AssetsDefinition)]
    declared = {(spec.asset_key.path[-1], spec.name) for asset in made for spec in asset.check_specs}
    decided = {(check.asset_key.path[-1], check.check_name): check for check in published.check_evaluations}
    assert set(decided) == declared
    assert all(check.passed for check in decided.values() if check.severity is dg.AssetCheckSeverity.ERROR)
