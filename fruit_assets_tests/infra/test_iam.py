"""The evaluator itself, on cases whose answer the IAM user guide gives."""

import pytest

from fruit_assets_tests.infra.iam import decide

ALLOW_ALL = {"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}


def _one(effect: str, action: str, resource: str = "*", **condition: dict[str, str]) -> dict[str, object]:
    return {"Statement": {"Effect": effect, "Action": action, "Resource": resource, "Condition": condition}}


@pytest.mark.parametrize(
    ("policies", "action", "resource", "context", "decision"),
    [
        ([], "s3:GetObject", "arn:aws:s3:::b/k", {}, "implicitDeny"),
        ([ALLOW_ALL, _one("Deny", "s3:Get*")], "s3:GetObject", "arn:aws:s3:::b/k", {}, "explicitDeny"),
        ([_one("Allow", "S3:getobject")], "s3:GetObject", "arn:aws:s3:::b/k", {}, "allowed"),
        ([_one("Allow", "s3:*", "arn:aws:s3:::b/a/*")], "s3:GetObject", "arn:aws:s3:::b/A/x", {}, "implicitDeny"),
        ([_one("Allow", "s3:*", "arn:aws:s3:::b/a/*")], "s3:GetObject", "arn:aws:s3:::b/a/x/y", {}, "allowed"),
        ([_one("Allow", "a:b", StringEquals={"k": "v"})], "a:b", "*", {}, "implicitDeny"),
        ([_one("Allow", "a:b", StringEqualsIfExists={"k": "v"})], "a:b", "*", {}, "allowed"),
        ([_one("Allow", "a:b", StringEqualsIfExists={"k": "v"})], "a:b", "*", {"k": "w"}, "implicitDeny"),
        ([_one("Allow", "a:b", StringEquals={"K": "v"})], "a:b", "*", {"k": "v"}, "allowed"),
        ([_one("Deny", "a:b", NumericLessThan={"v": "1.2"})], "a:b", "*", {"v": "1.2"}, "implicitDeny"),
    ],
)
def test_a_call_is_decided_as_the_user_guide_says(
    policies: list[dict[str, object]], action: str, resource: str, context: dict[str, str], decision: str
) -> None:
    assert decide(policies, action, resource, context) == decision


def test_an_operator_that_is_not_known_is_refused_rather_than_guessed() -> None:
    with pytest.raises(NotImplementedError, match="IpAddress"):
        decide(
            [_one("Allow", "a:b", IpAddress={"aws:SourceIp": "10.0.0.0/8"})], "a:b", "*", {"aws:SourceIp": "10.1.1.1"}
        )
