"""What EMR refuses in a RunJobFlow request before it makes a cluster.

Put here limits and contradictions that botocore's model does not know.
"""

from typing import Any

from fruit_assets_tests.emr_simulator.releases import instance_types, release_labels
from fruit_assets_tests.emr_simulator.serialisation import validation_error


def refuse_request(params: dict[str, Any]) -> None:
    """Raise EMR's error for the first thing wrong with a request.

    Raises:
        EmrError: a `ValidationException`.
    """
    for check in (_wrong_name, _wrong_release, _wrong_instances, _wrong_bootstrap):
        if problem := check(params):
            raise validation_error(problem)
    refuse_idle_timeout(params.get("AutoTerminationPolicy", {}))
    refuse_concurrency(params.get("StepConcurrencyLevel", 1))


def refuse_idle_timeout(policy: dict[str, Any]) -> None:
    if not 60 <= policy.get("IdleTimeout", 3600) <= 604_800:
        raise validation_error("The idle timeout must be between 60 and 604800 seconds.")


def refuse_concurrency(level: int) -> None:
    if not 1 <= level <= 256:
        raise validation_error("StepConcurrencyLevel must be between 1 and 256.")


def _wrong_release(params: dict[str, Any]) -> str | None:
    label = params.get("ReleaseLabel", "")
    return None if label in release_labels() else f"The supplied release label is invalid: {label}."


def _wrong_instances(params: dict[str, Any]) -> str | None:
    instances = params["Instances"]
    if instances.get("InstanceFleets") and instances.get("InstanceGroups"):
        return "Instance fleets and instance groups are mutually exclusive. Please specify only one."
    groups = instances.get("InstanceFleets", []) + instances.get("InstanceGroups", [])
    if groups and not any("MASTER" in (g.get("InstanceFleetType"), g.get("InstanceRole")) for g in groups):
        return "The master instance fleet or group is required."
    if instances.get("InstanceFleets") and "Ec2SubnetId" in instances:
        return "Ec2SubnetId is for instance groups; instance fleets take Ec2SubnetIds."
    types = {config["InstanceType"] for group in groups for config in group.get("InstanceTypeConfigs", [group])}
    unknown = sorted(types - {entry["Type"] for entry in instance_types(params.get("ReleaseLabel", ""))})
    return f"Instance type '{unknown[0]}' is not supported." if unknown else None


def _wrong_name(params: dict[str, Any]) -> str | None:
    return "The cluster name contains one of < > $ | `." if set(params["Name"]) & set("<>$|`") else None


def _wrong_bootstrap(params: dict[str, Any]) -> str | None:
    return "At most 16 bootstrap actions can be specified." if len(params.get("BootstrapActions", [])) > 16 else None
