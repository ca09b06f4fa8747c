"""Cost of a cluster's EC2 instances: instance hours by type and market.

Put here the arithmetic. A cluster's instances are listed in `compute.py`; prices are in `../cost.py`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from fruit_assets.emr.cost import Cost, Prices, load_prices


@dataclass(frozen=True)
class RunningInstance:
    """One machine: its type, market (`ON_DEMAND` or `SPOT`) and the time it is billed for."""

    instance_type: str
    market: str
    since: datetime
    until: datetime | None = None

    def hours_within(self, start: datetime, end: datetime) -> float:
        seconds = (min(self.until or end, end) - max(self.since, start)).total_seconds()
        return max(0.0, seconds) / 3600


def cost_between(
    start: datetime, end: datetime, instances: Iterable[RunningInstance], prices: Prices | None = None, payer: str = ""
) -> Cost:
    """Cost of the instances between two moments."""
    prices = prices or load_prices()
    hours: dict[str, float] = {}
    usd, unpriced = 0.0, set()
    for instance in instances:
        spent = instance.hours_within(start, end)
        label = f"{instance.instance_type} {instance.market.lower().replace('_', '-')}"
        hours[label] = hours.get(label, 0.0) + spent
        rate = prices.rate(instance.instance_type, instance.market)
        if rate is None:
            unpriced.add(instance.instance_type)
        usd += (rate or 0.0) * spent
    return Cost(usd, hours, "instance_hours", payer, tuple(sorted(unpriced)), prices.date)


def cost_of(seconds: float, instances: Mapping[str, int], *, spot: bool = False, prices: Prices | None = None) -> Cost:
    """Cost of a number of instances of each type.

    Args:
        seconds: the time they run.
        instances: count by instance type, such as `{"m7g.xlarge": 3}`.
        spot: at the table's share of the on-demand price.
        prices: the price table; None is the package's.
    """
    start, market = datetime.fromtimestamp(0, UTC), "SPOT" if spot else "ON_DEMAND"
    machines = [RunningInstance(kind, market, start) for kind, count in instances.items() for _ in range(count)]
    return cost_between(start, datetime.fromtimestamp(seconds, UTC), machines, prices)
