"""What AWS answers, in words for the person who must act."""

from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, EndpointConnectionError, NoCredentialsError

from fruit_assets.emr.aws import AwsRefusedError, LostAnswerError, call_with_retries, redact, translate
from fruit_assets.errors import PermanentError, TransientError


def refused(code: str, message: str = "reason", status: int = 400) -> ClientError:
    answer: Any = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(answer, "DescribeStep")


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("ExpiredTokenException", "session token has expired. Sign in again"),
        ("ExpiredToken", "session token has expired"),
        ("AccessDeniedException", "access denied"),
        ("InvalidClientTokenId", "does not know these credentials"),
        ("PermanentRedirect", "wrong region"),
        ("ValidationException", "AWS refused (ValidationException: reason)"),
    ],
)
def test_refusals_are_permanent_and_have_advice(code: str, words: str) -> None:
    error = translate(refused(code), "EMR DescribeStep")
    assert isinstance(error, AwsRefusedError)
    assert error.code == code
    assert words in str(error)


@pytest.mark.parametrize("code", ["ThrottlingException", "SlowDown", "InternalError", "ServiceUnavailable"])
def test_throttling_and_server_errors_are_transient(code: str) -> None:
    assert isinstance(translate(refused(code), "S3 GetObject"), TransientError)


def test_a_broken_connection_is_a_lost_answer_only_for_calls_that_must_not_be_repeated() -> None:
    broken = ConnectionClosedError(endpoint_url="https://x")
    assert isinstance(translate(broken, "x", repeatable=False), LostAnswerError)
    assert not isinstance(translate(broken, "x"), LostAnswerError)
    unreached = EndpointConnectionError(endpoint_url="https://x")
    assert not isinstance(translate(unreached, "x", repeatable=False), LostAnswerError), "nothing was sent"


def test_missing_credentials_are_permanent() -> None:
    assert isinstance(translate(NoCredentialsError(), "x"), PermanentError)


def test_errors_that_are_not_of_aws_pass_through() -> None:
    def broken() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        call_with_retries(broken)


def test_throttled_calls_are_repeated_until_they_succeed() -> None:
    answers = [refused("ThrottlingException"), refused("SlowDown", status=503), None]

    def flaky() -> str:
        error = answers.pop(0)
        if error:
            raise error
        return "done"

    assert call_with_retries(flaky) == "done"


def test_retries_end_after_the_patience() -> None:
    def throttled() -> None:
        raise refused("ThrottlingException")

    with pytest.raises(TransientError, match="throttled"):
        call_with_retries(throttled, patience=0)


def test_credentials_in_messages_are_masked() -> None:
    redacted = redact("key AKIAIOSFODNN7EXAMPLE and aws_secret_access_key=abc/def was wrong")
    assert "AKIAIOSFODNN7EXAMPLE" not in redacted
    assert "abc/def" not in redacted
