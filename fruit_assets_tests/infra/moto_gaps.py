"""What deploy and doctor need and moto lacks, filled in for one test.

Put here outputs of change sets, tags of KMS keys, EMR's security configurations, job runs of
an application that has none, EC2 quotas, IAM's policy
simulator, conditions in bucket policies.
The account itself, its server and its bucket are in `account`.
"""

import json
from collections.abc import Callable
from typing import Any

import pytest
from moto.cloudformation.models import CloudFormationBackend
from moto.core.responses import ActionResult
from moto.emr.models import ElasticMapReduceBackend
from moto.emrserverless.models import EMRServerlessBackend
from moto.iam.access_control import PermissionResult
from moto.iam.models import iam_backends
from moto.iam.responses import IamResponse
from moto.kms.models import Key
from moto.s3.models import FakeBucket
from moto.servicequotas.models import ServiceQuotasBackend

from fruit_assets_tests.infra.iam import decide


def fill_gaps(monkeypatch: pytest.MonkeyPatch, quota: Callable[[str], float], account: str) -> None:
    """Fill the gaps for one test.

    Args:
        monkeypatch: of the test.
        quota: EC2's, by code.
        account: whose users and roles the policy simulator knows.
    """
    execute = CloudFormationBackend.execute_change_set

    def execute_change_set(self: Any, change_set_name: str, stack_name: str | None = None) -> None:
        change_set = self.describe_change_set(change_set_name)
        execute(self, change_set_name, stack_name)
        stack = self.stacks[change_set.stack_id]
        stack.template_dict, stack.parameters = change_set.template_dict, change_set.parameters
        stack.output_map = stack._create_output_map()

    create_key = Key.create_from_cloudformation_json.__func__

    def create_from_cloudformation_json(cls: Any, name: str, resource: Any, *args: Any, **kwargs: Any) -> Any:
        tags = [{"TagKey": tag["Key"], "TagValue": tag["Value"]} for tag in resource["Properties"].get("Tags", [])]
        properties = {**resource["Properties"], "Tags": tags}
        properties["KeyPolicy"] = json.dumps(properties["KeyPolicy"])
        return create_key(cls, name, {**resource, "Properties": properties}, *args, **kwargs)

    create_configuration = ElasticMapReduceBackend.create_security_configuration

    def create_security_configuration(self: Any, name: str, security_configuration: Any) -> Any:
        # EMR keeps text; moto keeps what CloudFormation holds.
        is_text = isinstance(security_configuration, str)
        return create_configuration(
            self, name, security_configuration if is_text else json.dumps(security_configuration)
        )

    def get_service_quota(_: Any, service_code: str, quota_code: str) -> dict[str, Any]:
        assert service_code in ("ec2", "emr-serverless")
        return {"QuotaCode": quota_code, "Value": quota(quota_code)}

    def get_permission(self: Any, action: str, resource: str) -> PermissionResult:
        policy = [json.loads(self.policy)] if self.policy else []
        # moto looks at no conditions; the tests talk plain HTTP to it, and mean TLS.
        decision = decide(policy, action, resource, {"aws:SecureTransport": "true", "s3:TlsVersion": "1.3"})
        answers = {"explicitDeny": PermissionResult.DENIED, "allowed": PermissionResult.PERMITTED}
        return answers.get(decision, PermissionResult.NEUTRAL)

    list_job_runs = EMRServerlessBackend.list_job_runs

    def list_job_runs_of_any(self: Any, application_id: str, *arguments: Any, **named: Any) -> Any:
        # moto takes an application without job runs for one that does not exist.
        self.job_runs.setdefault(application_id, [])
        return list_job_runs(self, application_id, *arguments, **named)

    monkeypatch.setattr(EMRServerlessBackend, "list_job_runs", list_job_runs_of_any)
    monkeypatch.setattr(FakeBucket, "get_permission", get_permission)
    monkeypatch.setattr(CloudFormationBackend, "execute_change_set", execute_change_set)
    monkeypatch.setattr(Key, "create_from_cloudformation_json", classmethod(create_from_cloudformation_json))
    monkeypatch.setattr(ElasticMapReduceBackend, "create_security_configuration", create_security_configuration)
    monkeypatch.setattr(ServiceQuotasBackend, "get_service_quota", get_service_quota)

    def simulate_principal_policy(self: Any) -> ActionResult:
        return _simulate(self, account)

    monkeypatch.setattr(IamResponse, "simulate_principal_policy", simulate_principal_policy, raising=False)


def _simulate(self: Any, account: str) -> ActionResult:
    """IAM's SimulatePrincipalPolicy over the managed policies that are attached to the user or role."""
    kind, _, name = self._get_param("PolicySourceArn").rsplit(":", 1)[1].partition("/")
    backend = iam_backends[account]["global"]
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
