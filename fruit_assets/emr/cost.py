"""Prices and the arithmetic of costs, from a small dated table that a file can override.

Put here what every service shares. Usage is measured by each service (`ec2/instance_hours.py`). Every
figure is an estimate: list prices, no discounts, no storage, no transfer.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from itertools import pairwise
from pathlib import Path

from fruit_assets.emr.errors import PermanentError


@dataclass(frozen=True)
class Cost:
    """An estimate.

    Attributes:
        usd: dollars; usage without a price counts as zero and is listed in `unpriced`.
        usage: quantities by name: instance hours by `type market`, or vCPU and GB hours.
        unit: what the quantities are, as a metadata key: `instance_hours` or `billed_hours`.
        payer: what is billed: the cluster, or the job run. Overlapping steps of one payer are paid once.
        unpriced: names that are missing from the price table.
        prices_of: date of the price table.
    """

    usd: float
    usage: Mapping[str, float]
    unit: str
    payer: str
    unpriced: tuple[str, ...]
    prices_of: str


@dataclass(frozen=True)
class StepCost:
    """What one step cost; times are seconds since the epoch, `payer` as in `Cost`."""

    payer: str
    start: float
    end: float
    usd: float

    @property
    def usd_per_second(self) -> float:
        return self.usd / max(1e-9, self.end - self.start)


@dataclass(frozen=True)
class Prices:
    """List prices in dollars, Linux.

    Attributes:
        date: of the table.
        region: the region that the prices hold for.
        spot_share: assumed price of Spot instances, as a share of the on-demand price.
        per_hour: by instance type: EC2's and EMR's charge, which AWS bills separately.
        serverless: by architecture (`X86_64`, `ARM64`), an hour of `vcpu`, `memory_gb` and `storage_gb`.
    """

    date: str
    region: str
    spot_share: float
    per_hour: Mapping[str, tuple[float, float]]
    serverless: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def rate(self, instance_type: str, market: str) -> float | None:
        if instance_type not in self.per_hour:
            return None
        ec2, emr = self.per_hour[instance_type]
        return (ec2 * self.spot_share if market == "SPOT" else ec2) + emr

    def per_core_hour(self, instance_type: str, cores: int) -> float:
        """Dollars for an hour of one of the cores of an on-demand instance.

        Raises:
            PermanentError: the table has no such type.
        """
        rate = self.rate(instance_type, "ON_DEMAND")
        if rate is None:
            raise PermanentError(f"The price table of {self.date} has no {instance_type}: add it.")
        return rate / cores


@cache
def load_prices(override: str | None = None) -> Prices:
    """The package's price table, updated with the entries of `override`.

    Args:
        override: path of a JSON file of the same form; its entries replace the package's or add to them.

    Raises:
        PermanentError: the file cannot be read or has another form.
    """
    table = json.loads(files(__package__).joinpath("prices.json").read_text())
    if override is not None:
        try:
            ours = json.loads(Path(override).read_text())
            parts = {part: {**table[part], **ours.get(part, {})} for part in ("instances", "serverless")}
            table = {**table, **ours, **parts}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise PermanentError(
                f"The price table {override} cannot be used: {error!r}. Copy the form of emr/prices.json."
            ) from error
    per_hour = {name: (float(row["ec2"]), float(row["emr"])) for name, row in table["instances"].items()}
    return Prices(table["date"], table["region"], float(table["spot_share"]), per_hour, table["serverless"])


def total_usd(steps: Iterable[StepCost]) -> float:
    """Dollars of several steps: time in which steps of one payer overlap is paid once."""
    usd = 0.0
    by_payer: dict[str, list[StepCost]] = {}
    for step in steps:
        by_payer.setdefault(step.payer, []).append(step)
    for group in by_payer.values():
        moments = sorted({moment for step in group for moment in (step.start, step.end)})
        for start, end in pairwise(moments):
            rates = [step.usd_per_second for step in group if step.start <= start and end <= step.end]
            usd += (end - start) * max(rates, default=0.0)
    return usd
