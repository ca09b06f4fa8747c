"""The EC2 instances of a simulated cluster, as a RunJobFlow request asks for them.

Put here fleets, groups and instances and how the API describes them. They start and end with
their cluster; nothing scales.
"""

import secrets
from dataclasses import dataclass
from typing import Any

from fruit_assets_tests.emr_simulator.steps import new_id


@dataclass(frozen=True)
class Collection:
    """An instance fleet or group.

    Attributes:
        kind: `fleet` or `group`.
        role: `MASTER`, `CORE` or `TASK`.
        request: its configuration in the request.
        instances: what it consists of.
    """

    id: str
    kind: str
    role: str
    request: dict[str, Any]
    instances: list[dict[str, Any]]

    def description(self, state: str) -> dict[str, Any]:
        """The `InstanceFleet` or `InstanceGroup` of the API."""
        common = {"Id": self.id, "Name": self.request.get("Name", self.role.title()), "Status": {"State": state}}
        if self.kind == "group":
            count = len(self.instances)
            return common | {
                "InstanceGroupType": self.role,
                "InstanceType": self.request["InstanceType"],
                "Market": self.request.get("Market", "ON_DEMAND"),
                "RequestedInstanceCount": count,
                "RunningInstanceCount": count,
            }
        specifications = [
            {key: value for key, value in config.items() if key != "EbsConfiguration"}
            for config in self.request.get("InstanceTypeConfigs", [])
        ]
        demands = {
            f"Target{kind}Capacity": self.request.get(f"Target{kind}Capacity", 0) for kind in ("OnDemand", "Spot")
        }
        provisioned = {name.replace("Target", "Provisioned"): capacity for name, capacity in demands.items()}
        launch = {key: self.request[key] for key in ("LaunchSpecifications",) if key in self.request}
        return (
            common
            | {"InstanceFleetType": self.role, "InstanceTypeSpecifications": specifications}
            | demands
            | provisioned
            | launch
        )


def collections_of(instances: dict[str, Any]) -> list[Collection]:
    """The fleets or groups of the `Instances` of a RunJobFlow request, with an instance for each unit of capacity."""
    fleets = [_fleet(fleet) for fleet in instances.get("InstanceFleets", [])]
    groups = [_group(group) for group in instances.get("InstanceGroups", [])]
    if not fleets and not groups:
        groups = [
            _group({"InstanceRole": role, "InstanceType": instances[key], "InstanceCount": count})
            for role, key, count in (
                ("MASTER", "MasterInstanceType", 1),
                ("CORE", "SlaveInstanceType", instances.get("InstanceCount", 1) - 1),
            )
            if key in instances and count
        ]
    return fleets + groups


def _fleet(fleet: dict[str, Any]) -> Collection:
    fleet_id = new_id("if")
    configs = fleet.get("InstanceTypeConfigs") or [{"InstanceType": "m5.xlarge"}]
    first, weight = configs[0]["InstanceType"], configs[0].get("WeightedCapacity", 1)
    instances = [
        _instance(first, market, {"InstanceFleetId": fleet_id})
        for market, target in (("ON_DEMAND", "TargetOnDemandCapacity"), ("SPOT", "TargetSpotCapacity"))
        # The last instance may exceed the capacity, as with EMR.
        for _ in range(-(-fleet.get(target, 0) // weight))
    ]
    return Collection(fleet_id, "fleet", fleet["InstanceFleetType"], fleet, instances)


def _group(group: dict[str, Any]) -> Collection:
    group_id = new_id("ig")
    market = group.get("Market", "ON_DEMAND")
    count = group.get("InstanceCount", 1)
    instances = [_instance(group["InstanceType"], market, {"InstanceGroupId": group_id}) for _ in range(count)]
    return Collection(group_id, "group", group["InstanceRole"], group, instances)


def _instance(instance_type: str, market: str, collection: dict[str, str]) -> dict[str, Any]:
    number = secrets.randbelow(250) + 4
    return {
        "Id": new_id("ci"),
        "Ec2InstanceId": f"i-{secrets.token_hex(9)[:17]}",
        "PrivateDnsName": f"ip-10-0-0-{number}.ec2.internal",
        "PrivateIpAddress": f"10.0.0.{number}",
        "Market": market,
        "InstanceType": instance_type,
        **collection,
    }
