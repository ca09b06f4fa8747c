"""Checks of a bucket, each in its good and its bad case."""

import json

import pytest

from fruit_assets.infra.checks.bucket_checks import check_bucket
from fruit_assets_tests.infra.account import REGION, AwsAccount


def found(bucket: str, write_to: str | None = "staging/runs") -> dict[str, str]:
    return {finding.subject: finding.status for finding in check_bucket(bucket, REGION, write_to=write_to)}


def test_a_bucket_as_the_template_makes_it_is_in_order(aws: AwsAccount) -> None:
    aws.client("s3").create_bucket(Bucket="orchard")
    aws.finish_bucket("orchard")
    assert set(found("orchard").values()) == {"ok"}
    assert aws.client("s3").list_objects_v2(Bucket="orchard")["KeyCount"] == 0


def test_an_unsafe_bucket_is_reported_line_by_line(aws: AwsAccount) -> None:
    aws.client("s3").create_bucket(Bucket="orchard")
    aws.client("s3").delete_bucket_encryption(Bucket="orchard")
    assert found("orchard") == {
        "Bucket": "ok",
        "Write": "ok",
        "Encryption": "problem",
        "Versioning": "warning",
        "Public access": "problem",
        "TLS only": "warning",
    }


def test_a_bucket_that_is_not_there_is_a_problem(aws: AwsAccount) -> None:
    (finding,) = check_bucket("nobody", REGION, write_to=None)
    assert finding.status == "problem"
    assert "fruit-assets deploy" in finding.remedy


def test_a_bucket_in_another_region_costs_money(aws: AwsAccount) -> None:
    aws.client("s3").create_bucket(Bucket="orchard", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    (finding,) = check_bucket("orchard", REGION, write_to=None)
    assert finding.status == "warning"
    assert "in eu-west-1, clusters in us-east-1" in finding.detail


@pytest.mark.parametrize(
    ("action", "subject", "status"),
    [
        ("s3:PutObject", "Write", "problem"),
        ("s3:GetEncryptionConfiguration", "Encryption", "warning"),
        ("s3:GetBucketVersioning", "Versioning", "warning"),
    ],
)
def test_what_may_not_be_read_or_written_is_reported(
    aws: AwsAccount, monkeypatch: pytest.MonkeyPatch, action: str, subject: str, status: str
) -> None:
    aws.client("s3").create_bucket(Bucket="orchard")
    aws.finish_bucket("orchard")
    _refuse(monkeypatch, action)
    assert {name: value for name, value in found("orchard").items() if value != "ok"} == {subject: status}


def _refuse(monkeypatch: pytest.MonkeyPatch, action: str) -> None:
    """AWS's answer to one operation is a refusal: moto checks few S3 actions against policies."""
    import botocore.client
    from botocore.exceptions import ClientError

    operations = {
        "s3:PutObject": "PutObject",
        "s3:GetEncryptionConfiguration": "GetBucketEncryption",
        "s3:GetBucketVersioning": "GetBucketVersioning",
    }
    make = botocore.client.BaseClient._make_api_call

    def refusing(self: object, operation: str, arguments: object) -> object:
        if operation == operations[action]:
            answer = {"Error": {"Code": "AccessDenied", "Message": f"not authorized to perform {action}"}}
            raise ClientError(json.loads(json.dumps(answer)), operation)
        return make(self, operation, arguments)

    monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", refusing)
