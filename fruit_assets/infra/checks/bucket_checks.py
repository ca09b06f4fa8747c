"""One bucket: reachable, in our region, writable, encrypted, versioned, closed to the public, TLS only.

Put here what is asked of S3 about a bucket. What the bucket should be like is in `bootstrap/template.yaml`.
"""

import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from fruit_assets.emr.aws import AwsRefusedError, call_with_retries, client
from fruit_assets.infra.checks.findings import Finding, ok, problem, warning

_AGAIN = "Run `fruit-assets deploy`, whose template sets this, or set it on the bucket."
_ABSENT = {
    "ServerSideEncryptionConfigurationNotFoundError", "NoSuchPublicAccessBlockConfiguration", "NoSuchBucketPolicy",
}  # fmt: skip


def check_bucket(
    bucket: str, region: str, *, write_to: str | None, encryption: Mapping[str, Any] | None = None
) -> Iterator[Finding]:
    """Look at one bucket.

    Args:
        bucket: its name.
        region: where clusters run; data elsewhere is slow and billed per gigabyte.
        write_to: prefix to try a write below; None for a bucket that is only read.
        encryption: what runs ask for on their writes, as arguments of PutObject.
    """
    subject = "Bucket"
    s3 = client("s3", region)
    try:
        place = (
            call_with_retries(s3.get_bucket_location, patience=5, Bucket=bucket).get("LocationConstraint")
            or "us-east-1"
        )
    except AwsRefusedError as error:
        missing = error.code in ("NoSuchBucket", "404")
        remedy = "Correct the name, or run `fruit-assets deploy`." if missing else "Allow s3:GetBucketLocation on it."
        yield problem(subject, f"{bucket}: {error}", remedy)
        return
    if place == region:
        yield ok(subject, f"{bucket} in {place}")
    else:
        yield warning(
            subject, f"{bucket} in {place}, clusters in {region}", "Move one to the other: traffic between is billed."
        )
    if write_to is not None:
        yield _write(s3, bucket, write_to, encryption or {})
        yield from _safety(s3, bucket)


def _write(s3: Any, bucket: str, prefix: str, encryption: Mapping[str, Any]) -> Finding:
    key = f"{prefix.strip('/')}/doctor-{uuid.uuid4().hex}".lstrip("/")
    place = f"s3://{bucket}/{prefix.strip('/')}".rstrip("/")
    try:
        call_with_retries(s3.put_object, patience=5, Bucket=bucket, Key=key, Body=b"doctor", **encryption)
        call_with_retries(s3.delete_object, patience=5, Bucket=bucket, Key=key)
    except AwsRefusedError as error:
        return problem("Write", f"{place}: {error}", "Attach the orchestrator policy that deploy created.")
    return ok("Write", place)


def _safety(s3: Any, bucket: str) -> Iterator[Finding]:
    """Four properties; one that the caller may not read is reported as such."""
    yield _property("Encryption", lambda: _encryption(s3, bucket))
    yield _property("Versioning", lambda: _versioning(s3, bucket))
    yield _property("Public access", lambda: _public_access(s3, bucket))
    yield _property("TLS only", lambda: _tls_only(s3, bucket))


def _property(subject: str, look: Callable[[], Finding]) -> Finding:
    try:
        return look()
    except AwsRefusedError as error:
        return warning(subject, f"cannot be read: {error}", "Attach the orchestrator policy that deploy created.")


def _encryption(s3: Any, bucket: str) -> Finding:
    found = _read(s3.get_bucket_encryption, bucket)
    rules = found.get("ServerSideEncryptionConfiguration", {}).get("Rules", [])
    if not rules:
        return problem("Encryption", f"{bucket} has no default encryption", _AGAIN)
    return ok("Encryption", str(rules[0]["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"]))


def _versioning(s3: Any, bucket: str) -> Finding:
    if _read(s3.get_bucket_versioning, bucket).get("Status") == "Enabled":
        return ok("Versioning", "on: overwritten objects can be restored")
    return warning("Versioning", "off: an overwritten object is lost", _AGAIN)


def _public_access(s3: Any, bucket: str) -> Finding:
    found = _read(s3.get_public_access_block, bucket).get("PublicAccessBlockConfiguration", {})
    open_doors = [
        name
        for name in ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")
        if not found.get(name)
    ]
    if open_doors:
        return problem("Public access", f"not blocked: {', '.join(open_doors)}", _AGAIN)
    return ok("Public access", "blocked")


def _tls_only(s3: Any, bucket: str) -> Finding:
    policy = _read(s3.get_bucket_policy, bucket).get("Policy")
    statements = json.loads(policy)["Statement"] if policy else []
    for statement in statements:
        secure = statement.get("Condition", {}).get("Bool", {}).get("aws:SecureTransport")
        if statement["Effect"] == "Deny" and str(secure).lower() == "false":
            return ok("TLS only", "plain HTTP is refused")
    return warning("TLS only", "plain HTTP is accepted", _AGAIN)


def _read(method: Callable[..., dict[str, Any]], bucket: str) -> dict[str, Any]:
    """S3's answer; empty when the property was never configured."""
    try:
        return call_with_retries(method, patience=5, Bucket=bucket)
    except AwsRefusedError as error:
        if error.code in _ABSENT:
            return {}
        raise
