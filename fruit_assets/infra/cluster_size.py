"""Requirements of the cluster spec: release label and vCPUs.

Put here figures from `bootstrap/cluster.json` that need no call to AWS. Creating clusters from it is in
`fruit_assets/emr/`.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fruit_assets.infra.bootstrap_folder import BOOTSTRAP

SPEC = BOOTSTRAP / "cluster.json"
# vCPU by size, the same in every family that EMR offers.
_VCPUS = {"large": 2, "xlarge": 4}


def release_label(spec: Path = SPEC) -> str:
    """The release label that new clusters get."""
    return str(json.loads(spec.read_text())["ReleaseLabel"])


def vcpus_of_spec(spec: Path = SPEC) -> dict[str, int]:
    """The vCPUs of the spec's smallest cluster by quota, named as in `emr_checks.QUOTAS`."""
    instances = json.loads(spec.read_text())["Instances"]
    taken = {"On-Demand vCPU": 0, "Spot vCPU": 0}
    for fleet in instances.get("InstanceFleets", []):
        for quota, key in (("On-Demand vCPU", "TargetOnDemandCapacity"), ("Spot vCPU", "TargetSpotCapacity")):
            taken[quota] += max((_fleet_vcpus(kind, fleet.get(key, 0)) for kind in _kinds(fleet)), default=0)
    for group in instances.get("InstanceGroups", []):
        quota = "Spot vCPU" if group.get("Market") == "SPOT" else "On-Demand vCPU"
        taken[quota] += vcpus(group["InstanceType"]) * int(group["InstanceCount"])
    return taken


def vcpus(instance_type: str) -> int:
    """The vCPU of an instance type, from its size: m8i.xlarge has 4, m8i.4xlarge 16."""
    size = instance_type.split(".")[-1]
    many = re.fullmatch(r"(\d+)xlarge", size)
    return 4 * int(many[1]) if many else _VCPUS.get(size, 4)


def _kinds(fleet: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return list(fleet.get("InstanceTypeConfigs", []))


def _fleet_vcpus(kind: Mapping[str, Any], capacity: int) -> int:
    """A fleet is filled in units; each instance counts for its weight, and the last may overshoot."""
    weight = int(kind.get("WeightedCapacity", 1))
    return vcpus(kind["InstanceType"]) * -(-int(capacity) // weight)
