"""Tests of the figures by which a basis is kept or fitted again."""

from dataclasses import replace

import numpy as np
import pytest

from fruit_assets.analysis.drift import ENOUGH_NEW_ROWS, Drift, Spread, largest_angle
from fruit_assets.analysis.moments import Moments
from fruit_assets.analysis.pca import PcaModel, fit
from fruit_assets_tests.analysis.conftest import random_rows


@pytest.fixture(scope="module")
def model() -> PcaModel:
    return fit(Moments.of(random_rows(500, 20)), 4, None, standardize=True)


def _share(model: PcaModel, rows: np.ndarray) -> float:
    """By the rows themselves rather than by their moments."""
    return float((model.project(rows) ** 2).sum() / (((rows - model.mean) / model.scale) ** 2).sum())


def test_the_share_of_new_rows_is_that_of_their_projections(model):
    one, other = random_rows(30, 20, 1), random_rows(40, 20, 2, offset=3)
    both = Spread.of(Moments.of(one), model) + Spread.of(Moments.of(other), model)
    assert both.rows == 70
    assert both.share == pytest.approx(_share(model, np.concatenate([one, other])), rel=1e-6)


def test_the_rows_of_the_fit_have_the_share_that_the_model_states(model):
    share = model.explained_variance_ratio[:4].sum()
    assert Spread.of(Moments.of(random_rows(500, 20)), model).share == pytest.approx(share, rel=1e-9)


def test_rows_of_the_same_kind_drift_little_and_rows_of_another_kind_much(model):
    fitted = float(model.explained_variance_ratio[:4].sum())
    same = Drift(fitted, Spread.of(Moments.of(random_rows(400, 20, 3)), model))
    noise = np.random.default_rng(0).normal(size=(400, 20)) * model.scale + model.mean
    other = Drift(fitted, Spread.of(Moments.of(noise), model))
    assert same.figure < 0.05
    assert other.figure > 0.3
    assert not same.exceeds(0.2)
    assert other.exceeds(0.2)


def test_few_rows_never_exceed_the_drift_allowed():
    assert not Drift(0.9, Spread(ENOUGH_NEW_ROWS - 1, 100.0, 1.0)).exceeds(0.0)
    assert Drift(0.9, Spread(ENOUGH_NEW_ROWS, 100.0, 1.0)).exceeds(0.5)


def test_no_new_rows_and_rows_without_variance_are_no_drift():
    assert Drift(0.9, Spread()).figure == 0.0
    assert Drift(0.9, Spread(5, 0.0, 0.0)).figure == 0.0


def test_the_largest_angle_measures_how_far_apart_two_bases_are(model):
    assert largest_angle(model, model) < 1e-3
    turned = replace(model, components=model.components[[3, 2, 1, 0]])
    assert largest_angle(model, turned) < 1e-3
    axes = np.eye(20)
    tilted = np.array([np.cos(np.radians(30)) * axes[1] + np.sin(np.radians(30)) * axes[9]])
    one, other = replace(model, components=axes[:2]), replace(model, components=np.vstack([axes[:1], tilted]))
    assert largest_angle(one, other) == pytest.approx(30)
    assert largest_angle(one, replace(model, components=axes[5:7])) == pytest.approx(90)
