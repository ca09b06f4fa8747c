"""An AWS account to deploy into: moto's server, with what deploy and doctor need and moto lacks.

Put here the fixture `aws` and the gaps it fills: outputs of change sets, tags of KMS keys, EC2 quotas, IAM's policy
simulator, conditions in bucket policies. The bucket's properties that moto's CloudFormation leaves out are put
through S3's own API, as the template says them. Moto keeps one state for the whole process, so the account has a number
that no other test uses, and only that is emptied.
"""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from cfnlint.decode import cfn_yaml
from moto.cloudformation.models import CloudFormationBackend
from moto.core.base_backend import BackendDict, backend_lock
from moto.core.responses import ActionResult
from moto.emr.models import ElasticMapReduceBackend
from moto.iam.access_control import PermissionResult
from moto.iam.models import iam_backends
from moto.iam.responses import IamResponse
from moto.kms.models import Key
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from moto.s3.models import FakeBucket, s3_backends
from moto.servicequotas.models import ServiceQuotasBackend
from werkzeug.serving import make_server

from fruit_assets.deploy.stack import TEMPLATE
from fruit_assets_tests.deploy.iam import decide

ACCOUNT = "210987654321"
REGION = "us-east-1"


class AwsAccount:
    """Knobs of the account, and its clients."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.quotas = {"L-1216C47A": 64.0, "L-34B43A08": 64.0}

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
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto_server)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIATESTTESTTESTTEST")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-a-secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.setenv("AWS_REGION", REGION)
    monkeypatch.chdir(tmp_path)
    account = AwsAccount(moto_server)
    _fill_gaps(monkeypatch, account)
    boto3.DEFAULT_SESSION = None
    yield account
    empty_account()


def _fill_gaps(monkeypatch: pytest.MonkeyPatch, account: AwsAccount) -> None:
    execute = CloudFormationBackend.execute_change_set

    def execute_change_set(self: Any, change_set_name: str, stack_name: str | None = None) -> None:
        change_set = self.describe_change_set(change_set_name)
        execute(self, change_set_name, stack_name)
        stack = self.stacks[change_set.stack_id]
        stack.template_dict, stack.parameters = change_set.template_dict, change_set.parameters
        stack.output_map = stack._create_output_map()

    create_configuration = ElasticMapReduceBackend.create_security_configuration
    create_key = Key.create_from_cloudformation_json.__func__

    def create_from_cloudformation_json(cls: Any, name: str, resource: Any, *args: Any, **kwargs: Any) -> Any:
        tags = [{"TagKey": tag["Key"], "TagValue": tag["Value"]} for tag in resource["Properties"].get("Tags", [])]
        properties = {**resource["Properties"], "Tags": tags}
        properties["KeyPolicy"] = json.dumps(properties["KeyPolicy"])
        return create_key(cls, name, {**resource, "Properties": properties}, *args, **kwargs)

    def create_security_configuration(self: Any, name: str, security_configuration: Any) -> Any:
        # EMR keeps text; moto keeps what CloudFormation holds.
        is_text = isinstance(security_configuration, str)
        return create_configuration(
            self, name, security_configuration if is_text else json.dumps(security_configuration)
        )

    def get_service_quota(_: Any, service_code: str, quota_code: str) -> dict[str, Any]:
        assert service_code == "ec2"
        return {"QuotaCode": quota_code, "Value": account.quotas[quota_code]}

    def get_permission(self: Any, action: str, resource: str) -> PermissionResult:
        policy = [json.loads(self.policy)] if self.policy else []
        # moto looks at no conditions; the tests talk plain HTTP to it, and mean TLS.
        decision = decide(policy, action, resource, {"aws:SecureTransport": "true", "s3:TlsVersion": "1.3"})
        answers = {"explicitDeny": PermissionResult.DENIED, "allowed": PermissionResult.PERMITTED}
        return answers.get(decision, PermissionResult.NEUTRAL)

    monkeypatch.setattr(FakeBucket, "get_permission", get_permission)
    monkeypatch.setattr(CloudFormationBackend, "execute_change_set", execute_change_set)
    monkeypatch.setattr(ElasticMapReduceBackend, "create_security_configuration", create_security_configuration)
    monkeypatch.setattr(Key, "create_from_cloudformation_json", classmethod(create_from_cloudformation_json))
    monkeypatch.setattr(ServiceQuotasBackend, "get_service_quota", get_service_quota)
    monkeypatch.setattr(IamResponse, "simulate_principal_policy", _simulate, raising=False)


def _simulate(self: Any) -> ActionResult:
    """IAM's SimulatePrincipalPolicy over the managed policies that are attached to the user or role."""
    kind, _, name = self._get_param("PolicySourceArn").rsplit(":", 1)[1].partition("/")
    backend = iam_backends[ACCOUNT]["global"]
    principal = backend.get_role(name) if kind == "role" else backend.get_user(name)
    documents = [
        json.loads(version.document)
        for policy in principal.managed_policies.values()
        for version in policy.versions
        if version.version_id == policy.default_version_id
    ]
    context = {entry["ContextKeyName"]: entry["ContextKeyValues"][0] for entry in self._get_param("ContextEntries", [])}
    results = [
        {
            "EvalActionName": action,
            "EvalResourceName": resource,
            "EvalDecision": decide(documents, action, resource, context),
        }
        for action in self._get_param("ActionNames")
        for resource in self._get_param("ResourceArns")
    ]
    return ActionResult({"EvaluationResults": results, "IsTruncated": False})
