"""Files that nodes fetch when they start: script, requirements and wheels, under one content address.

Put here the keys of these files in S3 and their upload. The address is the digest of script and
requirements, so nodes that a cluster adds later install the same files as its first nodes.

    <staging>/bootstrap/<digest>/install_runtime.sh           the bootstrap action
    <staging>/bootstrap/<digest>/requirements-node*.txt
    <staging>/bootstrap/<digest>/wheels/<architecture>/*.whl
    <staging>/bootstrap/environments/<sha256>-<architecture>.tar.gz   packed for EMR Serverless, named by content
    <staging>/bootstrap/deployment.json                       roles, subnets and log folder of the stack
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from fruit_assets.emr.aws import AwsRefusedError, call_with_retries, client, pages
from fruit_assets.infra.bootstrap_folder import BOOTSTRAP
from fruit_assets.infra.node_requirements import FILES
from fruit_assets.infra.packed_environment import digest_of
from fruit_assets.object_store.s3_location import parse_s3_uri

SCRIPT = "install_runtime.sh"
_UPLOADS_AT_ONCE = 8


def bootstrap_digest(folder: Path = BOOTSTRAP) -> str:
    """Sixteen characters that change with the script or any requirements file."""
    digest = hashlib.sha256()
    for name in (SCRIPT, *FILES):
        digest.update((folder / name).read_bytes())
    return digest.hexdigest()[:16]


def bootstrap_uri(staging: str, folder: Path = BOOTSTRAP) -> str:
    """Where the present files lie below `staging`: the `--source` of install_runtime.sh, its own folder too."""
    return f"{staging}/bootstrap/{bootstrap_digest(folder)}"


def deployment_uri(staging: str) -> str:
    """The facts about the stack that a cluster needs, as JSON."""
    return f"{staging}/bootstrap/deployment.json"


def environment_uri(staging: str, digest: str, architecture: str) -> str:
    """Where the packed environment of these bytes lies."""
    return f"{staging}/bootstrap/environments/{digest}-{architecture}.tar.gz"


def deployment_facts(
    outputs: Mapping[str, str], *, project: str, region: str, environments: Mapping[str, str] | None = None
) -> dict[str, str]:
    """What a cluster or an application is made from, out of the stack's outputs.

    Args:
        outputs: of the stack.
        project: its name.
        region: its region.
        environments: architecture -> URI of the packed environment.

    Returns:
        project, region, service_role, instance_profile, security_configuration, subnets (comma-separated, empty
        without a network of ours), log_uri, bootstrap_uri, bucket, kms_key (empty without one), vpc (likewise),
        job_role_arn, and environment_<architecture> for each.
    """
    packed = {f"environment_{architecture}": uri for architecture, uri in (environments or {}).items()}
    return {
        "project": project,
        "region": region,
        "service_role": outputs["ServiceRole"],
        "instance_profile": outputs["NodeProfile"],
        "security_configuration": outputs["SecurityConfiguration"],
        "subnets": outputs.get("SubnetIds", ""),
        "log_uri": outputs["LogUri"],
        "bootstrap_uri": bootstrap_uri(outputs["StagingUri"]),
        "bucket": outputs["BucketName"],
        "kms_key": outputs.get("KeyArn", ""),
        "vpc": outputs.get("VpcId", ""),
        "job_role_arn": outputs.get("JobRoleArn", ""),
        **packed,
    }


def upload_bootstrap(
    staging: str,
    wheelhouses: Mapping[str, Path],
    report: Callable[[int, int], None] = lambda _done, _all: None,
    region: str | None = None,
) -> tuple[int, int]:
    """Upload the files that the bucket lacks.

    Args:
        staging: `s3://bucket/prefix`.
        wheelhouses: architecture -> folder of wheels.
        report: called with files done and files in all.
        region: None takes the region from the AWS settings.

    Returns:
        Files uploaded, files that the bucket had already.
    """
    s3 = client("s3", region)
    bucket, prefix = parse_s3_uri(bootstrap_uri(staging))
    files = {name: BOOTSTRAP / name for name in (SCRIPT, *FILES)}
    for architecture, folder in wheelhouses.items():
        files |= {f"wheels/{architecture}/{wheel.name}": wheel for wheel in folder.glob("*.whl")}
    present = _sizes(s3, bucket, prefix + "/")
    # Names below the digest never change their content, so name and size identify a finished upload.
    missing = {name: path for name, path in files.items() if present.get(name) != path.stat().st_size}
    done = 0
    with ThreadPoolExecutor(_UPLOADS_AT_ONCE) as pool:
        for _ in pool.map(lambda item: _put(s3, bucket, f"{prefix}/{item[0]}", item[1]), missing.items()):
            done += 1
            report(done, len(missing))
    return len(missing), len(files) - len(missing)


def upload_environment(staging: str, packed: Path, architecture: str, region: str | None = None) -> str:
    """Upload a packed environment unless the bucket has these bytes; returns its URI."""
    uri = environment_uri(staging, digest_of(packed), architecture)
    s3 = client("s3", region)
    bucket, key = parse_s3_uri(uri)
    if _sizes(s3, bucket, key).get("") != packed.stat().st_size:
        _put(s3, bucket, key, packed)
    return uri


def read_facts(staging: str, region: str | None = None) -> dict[str, str] | None:
    """What `write_facts` published, or None where nothing was deployed to this staging prefix."""
    bucket, key = parse_s3_uri(deployment_uri(staging))
    try:
        body = call_with_retries(client("s3", region).get_object, patience=5, Bucket=bucket, Key=key)["Body"].read()
    except AwsRefusedError as error:
        if error.code in ("NoSuchKey", "NoSuchBucket", "404"):
            return None
        raise
    return {name: str(value) for name, value in json.loads(body).items()}


def write_facts(staging: str, facts: Mapping[str, str], region: str | None = None) -> None:
    """Publish the facts about the stack for programs that start clusters."""
    bucket, key = parse_s3_uri(deployment_uri(staging))
    body = json.dumps(facts, indent=1, sort_keys=True).encode()
    call_with_retries(
        client("s3", region).put_object, Bucket=bucket, Key=key, Body=body, ContentType="application/json"
    )


def missing_files(staging: str, architectures: Iterable[str], region: str | None = None) -> list[str]:
    """What of the present script and requirements is not in S3; an architecture without wheels counts as one."""
    bucket, prefix = parse_s3_uri(bootstrap_uri(staging))
    present = _sizes(client("s3", region), bucket, prefix + "/")
    missing = [name for name in (SCRIPT, *FILES) if name not in present]
    return missing + [
        f"wheels/{architecture}/"
        for architecture in architectures
        if not any(name.startswith(f"wheels/{architecture}/") for name in present)
    ]


def _put(s3: Any, bucket: str, key: str, path: Path) -> None:
    def put_object() -> None:
        # Opened for each attempt: a second one must not go on where the first stopped reading.
        with path.open("rb") as body:
            s3.put_object(Bucket=bucket, Key=key, Body=body, ChecksumAlgorithm="SHA256")

    call_with_retries(put_object)


def _sizes(s3: Any, bucket: str, prefix: str) -> dict[str, int]:
    listed = pages(s3.list_objects_v2, Bucket=bucket, Prefix=prefix)
    return {item["Key"].removeprefix(prefix): item["Size"] for page in listed for item in page.get("Contents", [])}
