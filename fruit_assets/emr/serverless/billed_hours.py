"""Billed usage of a job run: vCPU, memory and storage hours.

Put here how it is read and priced. Prices are in `../cost.py`.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any

from fruit_assets.emr.aws import interruptible_sleep
from fruit_assets.emr.cost import Cost, Prices

# Name of a quantity in the API, and in the price table.
_QUANTITIES = {"vCPUHour": "vcpu", "memoryGBHour": "memory_gb", "storageGBHour": "storage_gb"}


def await_hours(job_run: Callable[[], Mapping[str, Any]], patience: float) -> dict[str, float] | None:
    """The billed hours by name of the price table; the used hours if billing is late; None without either.

    EMR Serverless reports billed hours some seconds after the end of a job run.

    Args:
        job_run: calls GetJobRun.
        patience: seconds to wait for the billed hours.
    """
    deadline = time.monotonic() + patience
    while True:
        found = job_run()
        billed = found.get("billedResourceUtilization")
        if billed or time.monotonic() >= deadline:
            hours = billed or found.get("totalResourceUtilization") or {}
            return {name: float(hours.get(key, 0.0)) for key, name in _QUANTITIES.items()} if hours else None
        interruptible_sleep(1.0)


def cost_of_hours(hours: Mapping[str, float], architecture: str, payer: str, prices: Prices) -> Cost:
    """Dollars of vCPU, memory and storage hours on one architecture (`X86_64` or `ARM64`)."""
    rates = prices.serverless.get(architecture)
    unpriced = () if rates is not None else (f"EMR Serverless on {architecture}",)
    usd = sum(quantity * (rates or {}).get(name, 0.0) for name, quantity in hours.items())
    return Cost(usd, dict(hours), "billed_hours", payer, unpriced, prices.date)
