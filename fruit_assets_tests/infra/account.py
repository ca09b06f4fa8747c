"""An AWS account to deploy into: moto's server, with what deploy and doctor need and moto lacks.

Put here the fixture `aws` and its server. The bucket's properties that moto's CloudFormation leaves out are put
through S3's own API, as the template says them; what else moto lacks is in `moto_gaps`. Moto keeps one state for the
whole process, so the account has a number that no other test uses, and only that is emptied. The heavy parts of moto
are imported where they are used: every process of the tests imports this module.
"""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.core.base_backend import BackendDict, backend_lock
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

from fruit_assets.infra.stack import TEMPLATE

ACCOUNT = "210987654321"
REGION = "us-east-1"


class AwsAccount:
    """Knobs of the account, and its clients."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.quotas = {"L-1216C47A": 64.0, "L-34B43A08": 64.0, "L-D05C8A75": 100.0}

    def client(self, service: str) -> Any:
        return boto3.client(service, region_name=REGION, endpoint_url=self.url)

    def finish_bucket(self, bucket: str) -> None:
        """What moto's CloudFormation leaves out of a bucket, as the template says it."""
        properties = template()["Resources"]["Bucket"]["Properties"]
        s3 = self.client("s3")
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration=properties["VersioningConfiguration"])
        rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
        s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [rule]})
        s3.put_public_access_block(
            Bucket=bucket, PublicAccessBlockConfiguration=properties["PublicAccessBlockConfiguration"]
        )
        statements = template()["Resources"]["BucketPolicy"]["Properties"]["PolicyDocument"]
        resources = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
        policy = {**statements, "Statement": [{**one, "Resource": resources} for one in statements["Statement"]]}
        s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))


def template() -> dict[str, Any]:
    """The template as plain data; intrinsic functions in their long form."""
    from cfnlint.decode import cfn_yaml

    return json.loads(json.dumps(cfn_yaml.load(str(TEMPLATE))))


@pytest.fixture(scope="session")
def moto_server() -> Iterator[str]:
    """URL of a server whose requests all belong to `ACCOUNT`."""
    moto = DomainDispatcherApplication(create_backend_app)

    def in_account(environ: dict[str, Any], start_response: Any) -> Any:
        return moto({**environ, "HTTP_X_MOTO_ACCOUNT_ID": ACCOUNT}, start_response)

    server = make_server("127.0.0.1", 0, in_account, threaded=True, request_handler=_Quiet)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()


class _Quiet(MotoRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002
        return


def empty_account() -> None:
    """Forget what the account holds, and nothing of other accounts."""
    from moto.s3.models import s3_backends

    with backend_lock:
        for backends in list(BackendDict._instances):
            if ACCOUNT in list(backends):
                backends[ACCOUNT].reset()
        for name, (_, owner) in list(s3_backends.bucket_accounts.items()):
            if owner == ACCOUNT:
                del s3_backends.bucket_accounts[name]


@pytest.fixture
def aws(moto_server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[AwsAccount]:
    """An empty account that boto3 finds through the environment; the working directory is empty too."""
    from fruit_assets_tests.infra.moto_gaps import fill_gaps

    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto_server)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIATESTTESTTESTTEST")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-a-secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.setenv("AWS_REGION", REGION)
    monkeypatch.chdir(tmp_path)
    account = AwsAccount(moto_server)
    fill_gaps(monkeypatch, lambda code: account.quotas[code], ACCOUNT)
    boto3.DEFAULT_SESSION = None
    yield account
    empty_account()
