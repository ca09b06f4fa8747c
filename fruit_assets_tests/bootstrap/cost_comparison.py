"""What a run costs on a cluster and on EMR Serverless, from the price table and the two specs in `bootstrap/`.

Put here the arithmetic behind the table in `bootstrap/README.md`; run as a script it prints the table.
"""

import json
from collections.abc import Iterator
from typing import Any

from fruit_assets.emr.cost import load_prices
from fruit_assets.emr.serverless.billed_hours import cost_of_hours
from fruit_assets.infra.bootstrap_folder import BOOTSTRAP

IMAGES = (1_000, 1_000_000, 100_000_000)
# Two cores process 546 images a second at f32 (docs/performance.md); two vCPUs of these machines share a core.
IMAGES_PER_VCPU_SECOND = 546 / 4
STEPS, STEP_SECONDS = 4, 45.0  # Spark assets of a run, and what each takes beside its images
CLUSTER_START_SECONDS = 420.0
_INSTANCE, _INSTANCE_VCPUS = "m8i.xlarge", 4


def cluster_cost(images: int) -> tuple[float, float]:
    """Dollars and seconds: start, steps, and the idle time before the cluster ends by itself."""
    spec = _spec("cluster.json")
    limits = spec["ManagedScalingPolicy"]["ComputeLimits"]
    spot = _workers(images, limits["MaximumCapacityUnits"], _INSTANCE_VCPUS) - 1
    seconds = CLUSTER_START_SECONDS + STEPS * STEP_SECONDS + _work(images, (1 + spot) * _INSTANCE_VCPUS)
    paid = seconds + spec["AutoTerminationPolicy"]["IdleTimeout"]
    # The primary and the core node for all of it; task nodes are given back when idle.
    on_demand_rate, spot_rate = (load_prices().rate(_INSTANCE, market) or 0.0 for market in ("ON_DEMAND", "SPOT"))
    return (2 * on_demand_rate * paid + spot * spot_rate * seconds) / 3600, seconds


def serverless_cost(images: int) -> tuple[float, float]:
    """Dollars and seconds: every job run has a driver and an executor, the one with the images as many as it takes."""
    conf = _spec("application.json")["jobRuns"]["sparkConf"]
    executor = _worker(conf, "executor")
    most = int(conf["spark.dynamicAllocation.maxExecutors"])
    executors = _workers(images, most, int(executor["vcpu"]))
    work = _work(images, executors * executor["vcpu"])
    hours = {"vcpu": 0.0, "memory_gb": 0.0, "storage_gb": 0.0}
    for step in range(STEPS):
        seconds = STEP_SECONDS + (work if step == 0 else 0.0)
        for worker, count in ((_worker(conf, "driver"), 1), (executor, executors if step == 0 else 1)):
            for name, quantity in worker.items():
                hours[name] += count * quantity * max(60.0, seconds) / 3600
    architecture = _spec("application.json")["architecture"]
    usd = cost_of_hours(hours, architecture, "", load_prices()).usd
    return usd, STEPS * (STEP_SECONDS + 60.0) + work  # a worker takes about a minute to start; it is not billed


def table() -> Iterator[str]:
    """The lines of the table in the README."""
    yield "| images | cluster | | EMR Serverless | |"
    yield "|---:|---:|---:|---:|---:|"
    for images in IMAGES:
        cells = [f"{images:,}"]
        for usd, seconds in (cluster_cost(images), serverless_cost(images)):
            cells += [f"{usd:.2f} USD", _time(seconds)]
        yield f"| {' | '.join(cells)} |"


def _work(images: int, vcpus: float) -> float:
    return images / (IMAGES_PER_VCPU_SECOND * vcpus)


def _workers(images: int, most: int, vcpus: int) -> int:
    """As many as keep each busy for a minute, at least two."""
    return max(2, min(most, round(_work(images, vcpus) / 60)))


def _worker(conf: dict[str, str], kind: str) -> dict[str, float]:
    memory = [float(conf[f"spark.{kind}.{part}"].removesuffix("g")) for part in ("memory", "memoryOverhead")]
    return {"vcpu": float(conf[f"spark.{kind}.cores"]), "memory_gb": sum(memory)}


def _time(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _spec(name: str) -> dict[str, Any]:
    return dict(json.loads((BOOTSTRAP / name).read_text()))


if __name__ == "__main__":
    print("\n".join(table()))
