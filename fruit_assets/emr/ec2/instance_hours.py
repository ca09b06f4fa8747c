"""Cost of a cluster's EC2 instances: instance hours by type and market.

Put here the arithmetic. A cluster's instances are listed in `compute.py`; prices are in `../cost.py`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from fruit_assets.emr.cost import Cost, Prices


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
    start: datetime, end: datetime, instances: Iterable[RunningInstance], prices: Prices, payer: str = ""
) -> Cost:
    """Cost of the instances between two moments."""
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
