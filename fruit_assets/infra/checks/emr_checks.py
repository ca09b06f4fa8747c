"""What a cluster needs from the account: release, roles, PassRole, network, quotas, bootstrap files.

Put here checks of EMR, IAM, EC2 and Service Quotas. The facts come from what `deploy` published.
"""

from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from fruit_assets.emr.aws import AwsRefusedError, call_with_retries, client
from fruit_assets.errors import FruitAssetsError
from fruit_assets.infra.bootstrap_files import bootstrap_uri, missing_files
from fruit_assets.infra.checks.findings import Finding, ok, problem, warning
from fruit_assets.infra.identity import Identity

# Release label -> minor version of its Spark. From the EMR release guide; a checked pair with pyspark's pin.
SPARK_OF_RELEASE = {"emr-spark-8.1.0": "4.1", "emr-spark-8.0.0": "4.0", "emr-7.14.0": "3.5", "emr-7.13.0": "3.5"}
# Running On-Demand Standard instances, and the Spot ones, in vCPU. New accounts often have 5.
QUOTAS = {"On-Demand vCPU": "L-1216C47A", "Spot vCPU": "L-34B43A08"}
MANAGED_POLICY_TAG = "for-use-with-amazon-emr-managed-policies"


def check_release(label: str, region: str) -> Iterator[Finding]:
    """The release label must exist here, and its Spark must be the one that is installed here."""
    yield from check_spark_pair(label)
    emr = client("emr", region)
    labels = call_with_retries(emr.list_release_labels, patience=5, Filters={"Prefix": label}).get("ReleaseLabels", [])
    if label not in labels:
        yield problem("Release", f"{region} does not offer {label}", "Choose another region or release label.")


def check_spark_pair(label: str) -> Iterator[Finding]:
    """A release label's Spark must be the one that is installed here."""
    try:
        installed = version("pyspark")
    except PackageNotFoundError:
        installed = "absent"
    expected = SPARK_OF_RELEASE.get(label)
    if expected is None:
        yield warning("Release", f"{label}: its Spark version is not known here", "Use one of the tested labels.")
    elif not installed.startswith(f"{expected}."):
        remedy = f"Install pyspark {expected}, or choose the release label that has Spark {installed}."
        yield problem("Release", f"{label} has Spark {expected}, here is pyspark {installed}", remedy)
    else:
        yield ok("Release", f"{label} has Spark {expected}, here is pyspark {installed}")


def check_roles(facts: Mapping[str, str], region: str) -> Iterator[Finding]:
    """The two roles must exist, and be assumed by the services that need them."""
    iam = client("iam", region)
    for name, role_of, service in (
        (facts["service_role"], "Service role", "elasticmapreduce.amazonaws.com"),
        (facts["instance_profile"], "Node role", "ec2.amazonaws.com"),
    ):
        try:
            role = _role(iam, name, profile=role_of == "Node role")
        except AwsRefusedError as error:
            yield problem(role_of, f"{name}: {error}", "Run `fruit-assets deploy`.")
            continue
        if service in str(role.get("AssumeRolePolicyDocument", "")):
            yield ok(role_of, name)
        else:
            yield problem(role_of, f"{name} cannot be assumed by {service}", "Run `fruit-assets deploy`.")


def check_pass_role(facts: Mapping[str, str], caller: Identity) -> Iterator[Finding]:
    """Whether the caller may pass the two roles to EMR and to EC2."""
    iam = client("iam", caller.region)
    for name, subject, service in (
        (facts["service_role"], "Pass service role", "elasticmapreduce.amazonaws.com"),
        (facts["instance_profile"], "Pass node role", "ec2.amazonaws.com"),
    ):
        try:
            arn = str(_role(iam, name, profile=subject == "Pass node role")["Arn"])
        except FruitAssetsError as error:
            yield _not_checked(subject, error)
        else:
            yield passing(iam, subject, (name, arn), service, caller, "orchestrator")


def passing(iam: Any, subject: str, role: tuple[str, str], service: str, caller: Identity, policy: str) -> Finding:
    """Whether the caller may pass a role to a service, by IAM's own simulator.

    Args:
        iam: the client.
        subject: of the finding.
        role: its name in the finding, and its ARN.
        service: the service's principal.
        caller: the principal that runs Dagster.
        policy: which of deploy's policies allows it.
    """
    name, arn = role
    passed_to = {"ContextKeyName": "iam:PassedToService", "ContextKeyValues": [service], "ContextKeyType": "string"}
    try:
        answer = call_with_retries(
            iam.simulate_principal_policy,
            patience=5,
            PolicySourceArn=caller.role_or_user_arn,
            ActionNames=["iam:PassRole"],
            ResourceArns=[arn],
            ContextEntries=[passed_to],
        )
    except FruitAssetsError as error:
        return _not_checked(subject, error)
    decision = answer["EvaluationResults"][0]["EvalDecision"]
    if decision == "allowed":
        return ok(subject, name)
    remedy = f"Attach the {policy} policy that deploy created to the role that runs Dagster."
    return problem(subject, f"{caller.role_or_user_arn} may not pass {name} to {service}: {decision}", remedy)


def _not_checked(subject: str, error: FruitAssetsError) -> Finding:
    return warning(subject, f"cannot be checked: {error}", "Not needed for runs; allow it to have it checked.")


def check_network(facts: Mapping[str, str], region: str) -> Iterator[Finding]:
    """Subnets must exist, have free addresses, and carry the tag that EMR's managed policy requires."""
    subnets = [subnet for subnet in facts.get("subnets", "").split(",") if subnet]
    if not subnets:
        remedy = f"Name subnets in bootstrap/cluster.json, tagged {MANAGED_POLICY_TAG}=true, as is their VPC."
        yield warning("Network", "the stack has none", remedy)
        return
    found = call_with_retries(client("ec2", region).describe_subnets, patience=5, SubnetIds=subnets)["Subnets"]
    for subnet in found:
        tags = {tag["Key"]: tag["Value"] for tag in subnet.get("Tags", [])}
        free = subnet["AvailableIpAddressCount"]
        place = f"{subnet['SubnetId']} in {subnet['AvailabilityZone']}"
        if tags.get(MANAGED_POLICY_TAG) != "true":
            yield problem("Network", f"{place} lacks a tag", f"Tag it {MANAGED_POLICY_TAG}=true.")
        elif free < 8:
            yield problem("Network", f"{place} has {free} addresses left", "End clusters, or use larger subnets.")
        else:
            yield ok("Network", f"{place}, {free} addresses free")


def check_quotas(vcpus: Mapping[str, int], region: str) -> Iterator[Finding]:
    """The account's vCPU quotas, compared with the vCPUs of one cluster.

    Args:
        vcpus: quota name, as in `QUOTAS`, -> vCPU of the cluster in the spec.
        region: quotas are regional.
    """
    quotas = client("service-quotas", region)
    for name, code in QUOTAS.items():
        needed = vcpus.get(name, 0)
        try:
            answer = call_with_retries(quotas.get_service_quota, patience=5, ServiceCode="ec2", QuotaCode=code)
        except FruitAssetsError as error:
            yield warning(name, f"cannot be read: {error}", f"Look at quota {code} in the Service Quotas console.")
            continue
        allowed = int(answer["Quota"]["Value"])
        if allowed < needed:
            remedy = f"Ask for {max(64, 2 * needed)} in the Service Quotas console ({code}); it takes hours to days."
            report = problem if name == "On-Demand vCPU" else warning
            yield report(name, f"{allowed} allowed, a cluster takes {needed}", remedy)
        else:
            yield ok(name, f"{allowed} allowed, a cluster takes {needed}")


def check_bootstrap(staging: str, facts: Mapping[str, str], region: str) -> Iterator[Finding]:
    """The present script and requirements must be in S3, and be what new clusters will use."""
    remedy = "Run `fruit-assets deploy`: it uploads what is missing."
    missing = missing_files(staging, ["x86_64"], region)
    if missing:
        yield problem("Bootstrap files", f"{bootstrap_uri(staging)} lacks {', '.join(missing)}", remedy)
    elif facts["bootstrap_uri"] != bootstrap_uri(staging):
        yield problem("Bootstrap files", f"clusters would use {facts['bootstrap_uri']}, an older version", remedy)
    else:
        yield ok("Bootstrap files", bootstrap_uri(staging))


def check_cluster(cluster_id: str, region: str) -> Iterator[Finding]:
    """A cluster that the settings name must be able to take steps."""
    remedy = "Correct FRUIT_ASSETS_EMR_CLUSTER, or unset it: clusters then come from the spec."
    try:
        found = call_with_retries(client("emr", region).describe_cluster, patience=5, ClusterId=cluster_id)["Cluster"]
    except AwsRefusedError as error:
        yield problem("Cluster", f"{cluster_id}: {error}", remedy)
        return
    state = found["Status"]["State"]
    if state in ("STARTING", "BOOTSTRAPPING", "RUNNING", "WAITING"):
        yield ok("Cluster", f"{cluster_id} is {state}, {found.get('ReleaseLabel', 'unknown release')}")
    else:
        yield problem("Cluster", f"{cluster_id} is {state}", remedy)


def _role(iam: Any, name: str, *, profile: bool) -> dict[str, Any]:
    """The role itself, or the one inside the instance profile of that name."""
    if not profile:
        return dict(call_with_retries(iam.get_role, patience=5, RoleName=name)["Role"])
    return dict(
        call_with_retries(iam.get_instance_profile, patience=5, InstanceProfileName=name)["InstanceProfile"]["Roles"][0]
    )
