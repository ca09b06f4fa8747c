"""Places for storage tests: a folder and a bucket, the same tests on both."""

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

# Everything that has a meaning somewhere: to Hadoop globs, to URLs, to partition discovery.
AWKWARD = "année 2026 #1 [fruit]=50%, {all}+ô"


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3_environment(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The environment of a person whose AWS is moto."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)  # it remembers the credentials of another test
    return s3_endpoint


@pytest.fixture
def bucket(s3_environment: str) -> str:
    name = f"storage-{secrets.token_hex(6)}"
    where = {"LocationConstraint": os.environ["AWS_DEFAULT_REGION"]}
    boto3.client("s3").create_bucket(Bucket=name, CreateBucketConfiguration=where)
    return name


@pytest.fixture(params=["folder", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A URI to store at, with a name that is hard to handle."""
    if request.param == "folder":
        return str(tmp_path / AWKWARD)
    return f"s3://{request.getfixturevalue('bucket')}/{AWKWARD}"
