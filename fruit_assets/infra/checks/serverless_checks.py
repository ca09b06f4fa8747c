"""What EMR Serverless needs from the account: release, job role, packed environment, vCPU quota, application.

Put here checks for the `emr-serverless` deployment. Those of clusters are in `emr_checks.py`.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fruit_assets.emr.aws import AwsRefusedError, call_with_retries, client
from fruit_assets.emr.serverless.compute import EmrServerless
from fruit_assets.errors import FruitAssetsError
from fruit_assets.infra.bootstrap_folder import BOOTSTRAP
from fruit_assets.infra.checks.emr_checks import check_spark_pair, passing
from fruit_assets.infra.checks.findings import Finding, ok, problem, warning
from fruit_assets.infra.identity import Identity

SPEC = BOOTSTRAP / "application.json"
# "Max concurrent vCPUs per account"; new accounts have 16. Job runs beyond it fail minutes after their start.
VCPU_QUOTA = "L-D05C8A75"
_ENVIRONMENTS = {"X86_64": "environment_x86_64", "ARM64": "environment_aarch64"}


def check_release(spec: Path = SPEC) -> Iterator[Finding]:
    """The Spark of the application's release must be the one that is installed here."""
    return check_spark_pair(str(_read(spec)["releaseLabel"]))


def check_job_role(facts: Mapping[str, str], caller: Identity) -> Iterator[Finding]:
    """The execution role must exist, be assumed by EMR Serverless, and be one that the caller may pass."""
    arn = facts.get("job_role_arn", "")
    if not arn:
        yield problem("Job role", "the deployment has none", "Run `fruit-assets deploy`.")
        return
    iam = client("iam", caller.region)
    try:
        role = call_with_retries(iam.get_role, patience=5, RoleName=arn.rpartition("/")[2])["Role"]
    except AwsRefusedError as error:
        yield problem("Job role", f"{arn}: {error}", "Run `fruit-assets deploy`.")
        return
    service = "emr-serverless.amazonaws.com"
    if service in str(role.get("AssumeRolePolicyDocument", "")):
        yield ok("Job role", arn)
    else:
        yield problem("Job role", f"{arn} cannot be assumed by {service}", "Run `fruit-assets deploy`.")
    yield passing(iam, "Pass job role", (arn, arn), service, caller, "serverless")


def check_environment(facts: Mapping[str, str], region: str, spec: Path = SPEC) -> Iterator[Finding]:
    """The packed environment of the application's architecture must be in S3, and be the one that the spec names."""
    content = _read(spec)
    if content.get("imageConfiguration", {}).get("imageUri", "").endswith("amazonaws.com"):
        yield ok("Environment", "comes from the image of the application")
        return
    architecture = content.get("architecture", "X86_64")
    name = _ENVIRONMENTS[architecture]
    archives = content["jobRuns"]["sparkConf"].get("spark.archives", "")
    others = [other for other in _ENVIRONMENTS.values() if other != name and other in archives]
    if others:
        remedy = f"Write ${{{name}}} into spark.archives."
        yield problem("Environment", f"{spec.name} is for {architecture} and names ${{{others[0]}}}", remedy)
        return
    remedy = "Run `fruit-assets deploy --deployment emr-serverless`: it packs and uploads the environment."
    uri = facts.get(name)
    if uri is None:
        yield problem("Environment", f"none for {architecture} was deployed", remedy)
        return
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    try:
        size = call_with_retries(client("s3", region).head_object, patience=5, Bucket=bucket, Key=key)["ContentLength"]
    except AwsRefusedError:
        yield problem("Environment", f"{uri} is missing", remedy)
        return
    yield ok("Environment", f"{uri}, {size / 1e6:.0f} MB")


def check_vcpu_quota(region: str, spec: Path = SPEC) -> Iterator[Finding]:
    """The account's quota of concurrent vCPUs against the application's maximum capacity."""
    wanted = int(str(_read(spec)["maximumCapacity"]["cpu"]).split()[0])
    quotas = client("service-quotas", region)
    try:
        answer = call_with_retries(
            quotas.get_service_quota, patience=5, ServiceCode="emr-serverless", QuotaCode=VCPU_QUOTA
        )
    except FruitAssetsError as error:
        yield warning("vCPU", f"cannot be read: {error}", f"Look at quota {VCPU_QUOTA} in the Service Quotas console.")
        return
    allowed = int(answer["Quota"]["Value"])
    if allowed < wanted:
        remedy = (
            f"Ask for {wanted} in the Service Quotas console ({VCPU_QUOTA}), or lower maximumCapacity and "
            f"spark.dynamicAllocation.maxExecutors in {spec.name}: job runs beyond the quota fail while they run."
        )
        yield warning("vCPU", f"{allowed} allowed in the account, the application may take {wanted}", remedy)
    else:
        yield ok("vCPU", f"{allowed} allowed in the account, the application may take {wanted}")


def check_application(application_id: str, region: str) -> Iterator[Finding]:
    """An application that the settings name must be able to take job runs."""
    remedy = "Correct FRUIT_ASSETS_EMR_APPLICATION, or unset it: applications then come from the spec."
    try:
        compute = EmrServerless(application_id, region)
        failure, found = compute.failure(), compute.describe()
    except FruitAssetsError as error:
        yield problem("Application", str(error), remedy)
        return
    if failure is not None:
        yield problem("Application", failure.message, remedy)
    else:
        yield ok("Application", f"{application_id} is {found['state']}, {found['releaseLabel']}")


def _read(spec: Path) -> dict[str, Any]:
    return dict(json.loads(spec.read_text()))
