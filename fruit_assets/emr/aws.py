"""Calls to AWS: clients, retries with jitter, and error messages with advice.

Put here what all calls share. Calls to S3 are in `staging.py`, calls to EMR in `ec2/` and `serverless/`.
"""

import random
import re
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import dagster as dg

from fruit_assets.emr.errors import PermanentError, TransientError

T = TypeVar("T")

_THROTTLED = {
    "ThrottlingException", "Throttling", "ThrottledException", "TooManyRequestsException", "RequestLimitExceeded",
    "SlowDown", "RequestThrottled", "RequestThrottledException", "BandwidthLimitExceeded", "PriorRequestNotComplete",
}  # fmt: skip
_SERVER_ERRORS = {
    "InternalError", "InternalFailure", "InternalServerException", "InternalServerError", "ServiceUnavailable",
}  # fmt: skip
_EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"}
_UNKNOWN_IDENTITY = {
    "InvalidClientTokenId", "UnrecognizedClientException", "InvalidAccessKeyId", "SignatureDoesNotMatch",
}  # fmt: skip
_DENIED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AllAccessDisabled"}
# The token in a page of a listing, and the argument that requests the next page with it.
_NEXT_PAGE = {
    "Marker": "Marker", "NextToken": "NextToken", "nextToken": "nextToken",
    "NextContinuationToken": "ContinuationToken", "NextKeyMarker": "KeyMarker",
    "NextUploadIdMarker": "UploadIdMarker", "NextVersionIdMarker": "VersionIdMarker",
}  # fmt: skip
_SECRET = re.compile(r"(?i)\b((?:ASIA|AKIA)[A-Z0-9]{12,}|(?:aws_)?(?:secret|session)\w*\s*[=:]\s*\S+)")


class AwsRefusedError(PermanentError):
    """AWS refused the call; `code` is AWS's error code."""

    def __init__(self, message: str, code: str) -> None:
        self.code = code
        super().__init__(message)


class LostAnswerError(TransientError):
    """The connection broke before an answer arrived; AWS may have carried out the call."""


def client(service: str, region: str | None) -> Any:
    """A boto3 client without retries of its own: `call_with_retries` retries, and knows which calls may be repeated.

    Credentials, endpoint and, when `region` is None, the region come from boto3's own chain.
    """
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError

    # One connection per concurrent use is enough; short timeouts keep a dead connection from stalling a step.
    config = Config(retries={"total_max_attempts": 1}, connect_timeout=10, read_timeout=60, max_pool_connections=20)
    try:
        session: Any = boto3.session.Session()  # the stubs know services by literal names only
        return session.client(service, region_name=region, config=config)
    except BotoCoreError as error:
        raise PermanentError(f"{service}: {error} Set AWS_DEFAULT_REGION, or the launcher's region.") from error


def interruptible_sleep(seconds: float) -> None:
    """Sleep; a run that is terminated interrupts the sleep."""
    with dg.raise_execution_interrupts():
        time.sleep(seconds)


def call_with_retries(
    function: Callable[..., T],
    *,
    repeatable: bool = True,
    patience: float = 60.0,
    **arguments: Any,
) -> T:
    """Call AWS; retry transient failures with full jitter and exponential backoff.

    Args:
        function: a bound client method.
        repeatable: False for calls that create something: then a broken connection raises `LostAnswerError`.
        patience: seconds spent on retries before giving up.
        arguments: passed to the function.

    Raises:
        AwsRefusedError: AWS refused the call; the message has the advice.
        TransientError: still failing after `patience` seconds.
    """
    deadline = time.monotonic() + patience
    attempt = 0
    while True:
        try:
            return function(**arguments)
        except Exception as error:  # boto3 raises per-client classes; errors that are not AWS's are re-raised
            translated = translate(error, _operation(function), repeatable=repeatable)
            if translated is None:
                raise
            if isinstance(translated, PermanentError | LostAnswerError) or time.monotonic() >= deadline:
                raise translated from error
        attempt += 1
        # The lower bound avoids bursts against a token bucket that refills every two seconds.
        interruptible_sleep(min(20.0, random.uniform(0.1, 0.5) * 2**attempt))  # noqa: S311


def pages(function: Callable[..., dict[str, Any]], *, patience: float = 60.0, **arguments: Any) -> Iterator[Any]:
    """All pages of a listing, each by `call_with_retries`; boto3's paginators cannot retry one page."""
    while True:
        page = call_with_retries(function, patience=patience, **arguments)
        yield page
        following = {argument: page[token] for token, argument in _NEXT_PAGE.items() if page.get(token)}
        if not following or page.get("IsTruncated") is False:
            return
        arguments |= following


def translate(error: Exception, operation: str, *, repeatable: bool = True) -> PermanentError | TransientError | None:
    """The launcher's error for an error of boto3; None for an error of something else."""
    from botocore.exceptions import (
        BotoCoreError,
        ClientError,
        ConnectionClosedError,
        FlexibleChecksumError,
        HTTPClientError,
        IncompleteReadError,
        NoCredentialsError,
        NoRegionError,
        ParamValidationError,
        ReadTimeoutError,
        TokenRetrievalError,
        UnauthorizedSSOTokenError,
    )

    if isinstance(error, ClientError):
        return _from_answer(error, operation)
    if isinstance(error, NoCredentialsError | TokenRetrievalError | UnauthorizedSSOTokenError):
        return AwsRefusedError(f"{operation}: {error} Sign in again (aws sso login, aws configure).", "NoCredentials")
    if isinstance(error, NoRegionError | ParamValidationError):
        return PermanentError(f"{operation}: {error}")
    if isinstance(error, HTTPClientError | ConnectionError):
        lost = isinstance(error, ReadTimeoutError | ConnectionClosedError | ConnectionError)
        if lost and not repeatable:
            return LostAnswerError(f"{operation}: the connection broke before AWS answered ({error}).")
        return TransientError(f"{operation}: AWS cannot be reached ({error}).")
    if isinstance(error, IncompleteReadError | FlexibleChecksumError):
        return TransientError(f"{operation}: the answer broke off or arrived damaged ({error}).")
    if isinstance(error, BotoCoreError):
        return PermanentError(f"{operation}: {error}")
    return None


def redact(text: str) -> str:
    """The text with everything that looks like a credential replaced by `***`."""
    return _SECRET.sub("***", text)


def _from_answer(error: Any, operation: str) -> PermanentError | TransientError:
    code = error.response.get("Error", {}).get("Code", "Unknown")
    message = redact(error.response.get("Error", {}).get("Message", "") or "no message")
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code in _THROTTLED or status == 429:
        return TransientError(f"{operation}: AWS throttled the call ({code}: {message}).")
    if code in _SERVER_ERRORS or status >= 500:
        return TransientError(f"{operation}: AWS failed internally ({code}: {message}).")
    if code in _EXPIRED:
        return AwsRefusedError(
            f"{operation}: the AWS session token has expired. Sign in again (aws sso login, or new temporary "
            f"credentials) and run again. AWS's message: {message}",
            code,
        )
    if code in _UNKNOWN_IDENTITY:
        return AwsRefusedError(
            f"{operation}: AWS does not know these credentials ({code}: {message}). Check AWS_*.", code
        )
    if code in _DENIED or status == 403:
        return AwsRefusedError(
            f"{operation}: access denied ({message}). Allow this operation to the role in use, and check the account.",
            code,
        )
    if code in ("PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"):
        return AwsRefusedError(
            f"{operation}: wrong region ({message}). Set the region the bucket or cluster is in.", code
        )
    return AwsRefusedError(f"{operation}: AWS refused ({code}: {message}).", code)


def _operation(function: Callable[..., object]) -> str:
    owner = getattr(function, "__self__", None)
    service = getattr(getattr(owner, "meta", None), "service_model", None)
    name = getattr(function, "__name__", "call")
    words = "".join(part.capitalize() for part in name.split("_"))
    return f"{service.service_name.upper()} {words}" if service is not None else words
