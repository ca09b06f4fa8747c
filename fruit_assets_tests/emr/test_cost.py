"""Instance hours and dollars, from a dated table that a file can override."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fruit_assets.emr.cost import StepCost, load_prices, total_usd
from fruit_assets.emr.ec2.instance_hours import RunningInstance, cost_between
from fruit_assets.errors import PermanentError

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def test_only_the_time_within_the_window_counts() -> None:
    early = RunningInstance("m8i.xlarge", "ON_DEMAND", NOON - timedelta(hours=5))
    late = RunningInstance("m8i.xlarge", "SPOT", NOON + timedelta(minutes=30))
    ended = RunningInstance("m8i.xlarge", "SPOT", NOON - timedelta(hours=2), NOON - timedelta(hours=1))
    prices = load_prices()
    cost = cost_between(NOON, NOON + timedelta(hours=1), [early, late, ended], prices)
    ec2, emr = prices.per_hour["m8i.xlarge"]
    assert cost.usage == {"m8i.xlarge on-demand": 1.0, "m8i.xlarge spot": 0.5}
    assert cost.usd == pytest.approx(ec2 + emr + 0.5 * (ec2 * prices.spot_share + emr))
    assert cost.prices_of == prices.date


def test_a_type_without_a_price_is_listed_and_not_guessed() -> None:
    instances = [RunningInstance(name, "ON_DEMAND", NOON) for name in ("x9.metal", "x9.metal", "m8i.xlarge")]
    cost = cost_between(NOON, NOON + timedelta(hours=1), instances, load_prices())
    assert cost.unpriced == ("x9.metal",)
    assert cost.usd == pytest.approx(sum(load_prices().per_hour["m8i.xlarge"]))
    assert cost.usage["x9.metal on-demand"] == 2.0


def test_time_that_steps_share_of_a_cluster_is_paid_once() -> None:
    side_by_side = [StepCost("j-1", 0, 100, 1.0), StepCost("j-1", 50, 150, 1.0)]
    elsewhere = StepCost("j-2", 0, 100, 3.0)
    later = StepCost("j-1", 1000, 1100, 2.0)
    assert total_usd([*side_by_side, elsewhere, later]) == pytest.approx(1.5 + 3.0 + 2.0)
    assert total_usd([]) == 0


def test_a_file_overrides_and_adds_prices(tmp_path: Path) -> None:
    path = tmp_path / "prices.json"
    path.write_text(json.dumps({"date": "2027-01-01", "instances": {"x9.metal": {"ec2": 10, "emr": 1}}}))
    prices = load_prices(str(path))
    cost = cost_between(NOON, NOON + timedelta(minutes=30), [RunningInstance("x9.metal", "ON_DEMAND", NOON)], prices)
    assert cost.usd == pytest.approx(5.5)
    assert "m8i.xlarge" in prices.per_hour
    assert prices.date == "2027-01-01"


def test_a_price_file_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    with pytest.raises(PermanentError, match=r"nowhere\.json"):
        load_prices(str(tmp_path / "nowhere.json"))
