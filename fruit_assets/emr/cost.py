"""What machines cost: instance hours by type, from a small dated table that a file can override.

Put here prices and arithmetic. Which instances a cluster has is asked in `ec2.py`. Every figure is
an estimate: list prices, no discounts, no storage, no transfer.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from itertools import pairwise
from pathlib import Path

from fruit_assets.errors import InputError


@dataclass(frozen=True)
class RunningInstance:
    """One machine: its type, market (`ON_DEMAND` or `SPOT`) and the time it has been paid for."""

    instance_type: str
    market: str
    since: datetime
    until: datetime | None = None

    def hours_within(self, start: datetime, end: datetime) -> float:
        seconds = (min(self.until or end, end) - max(self.since, start)).total_seconds()
        return max(0.0, seconds) / 3600


@dataclass(frozen=True)
class Cost:
    """An estimate.

    Attributes:
        usd: dollars; types without a price count as nothing and are listed.
        hours: instance hours by `type market`.
        unpriced: instance types the table does not know.
        prices_of: date of the price table.
    """

    usd: float
    hours: Mapping[str, float]
    unpriced: tuple[str, ...]
    prices_of: str


@dataclass(frozen=True)
class StepCost:
    """What a cluster cost while one step ran on it; times are seconds since the epoch."""

    cluster: str
    start: float
    end: float
    usd: float

    @property
    def usd_per_second(self) -> float:
        return self.usd / max(1e-9, self.end - self.start)


@dataclass(frozen=True)
class Prices:
    """Dollars per instance hour, list price, Linux; EC2 and the EMR charge apart, as AWS bills them."""

    date: str
    region: str
    spot_share: float
    per_hour: Mapping[str, tuple[float, float]]

    def rate(self, instance_type: str, market: str) -> float | None:
        if instance_type not in self.per_hour:
            return None
        ec2, emr = self.per_hour[instance_type]
        return (ec2 * self.spot_share if market == "SPOT" else ec2) + emr

    def per_core_hour(self, instance_type: str, cores: int) -> float:
        """Dollars for an hour of one of the cores of an on-demand instance.

        Raises:
            InputError: the table has no such type.
        """
        rate = self.rate(instance_type, "ON_DEMAND")
        if rate is None:
            raise InputError(f"The price table of {self.date} has no {instance_type}: add it.")
        return rate / cores


@cache
def load_prices(override: str | None = None) -> Prices:
    """The price table that comes with the package, with the entries of `override` over it.

    Args:
        override: path of a JSON file of the same form; its instances replace or add to ours.

    Raises:
        InputError: the file cannot be read or has another form.
    """
    table = json.loads(files(__package__).joinpath("prices.json").read_text())
    if override is not None:
        try:
            ours = json.loads(Path(override).read_text())
            table = {**table, **ours, "instances": {**table["instances"], **ours["instances"]}}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"The price table {override} cannot be used: {error!r}. Copy the form of ours.") from error
    per_hour = {name: (float(row["ec2"]), float(row["emr"])) for name, row in table["instances"].items()}
    return Prices(table["date"], table["region"], float(table["spot_share"]), per_hour)


def cost_between(
    start: datetime, end: datetime, instances: Iterable[RunningInstance], prices: Prices | None = None
) -> Cost:
    """What the instances cost between two moments."""
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
    return Cost(usd, hours, tuple(sorted(unpriced)), prices.date)


def spent_together(spent: Iterable[StepCost]) -> float:
    """Dollars of several steps: time in which steps ran side by side on a cluster is paid once."""
    usd = 0.0
    by_cluster: dict[str, list[StepCost]] = {}
    for item in spent:
        by_cluster.setdefault(item.cluster, []).append(item)
    for items in by_cluster.values():
        moments = sorted({moment for item in items for moment in (item.start, item.end)})
        for start, end in pairwise(moments):
            rates = [item.usd_per_second for item in items if item.start <= start and end <= item.end]
            usd += (end - start) * max(rates, default=0.0)
    return usd


def cost_of(seconds: float, instances: Mapping[str, int], *, spot: bool = False, prices: Prices | None = None) -> Cost:
    """What so many instances of each type cost for so many seconds.

    Args:
        seconds: how long.
        instances: count by instance type, such as `{"m7g.xlarge": 3}`.
        spot: at the table's share of the on-demand price.
        prices: another table than the package's.
    """
    start, market = datetime.fromtimestamp(0, UTC), "SPOT" if spot else "ON_DEMAND"
    machines = [RunningInstance(kind, market, start) for kind, count in instances.items() for _ in range(count)]
    return cost_between(start, datetime.fromtimestamp(seconds, UTC), machines, prices)
