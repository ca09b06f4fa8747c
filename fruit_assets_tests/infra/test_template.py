"""The template: lint, what it promises about data and network, and who may do what."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore import xform_name
from moto.iam.access_control import IAMPolicy, PermissionResult

import fruit_assets
from fruit_assets.infra.stack import TEMPLATE, Stack
from fruit_assets_tests.infra.account import ACCOUNT, REGION, AwsAccount, template
from fruit_assets_tests.infra.iam import decide

BUCKET = f"arn:aws:s3:::fruit-assets-{ACCOUNT}-{REGION}"
CLUSTER = f"arn:aws:elasticmapreduce:{REGION}:{ACCOUNT}:cluster/j-2AXXXXXXGAPLF"
SERVICE_ROLE = f"arn:aws:iam::{ACCOUNT}:role/fruit-assets-emr-service-{REGION}"
NODE_ROLE = f"arn:aws:iam::{ACCOUNT}:role/fruit-assets-emr-nodes-{REGION}"
ADMIN_ROLE = f"arn:aws:iam::{ACCOUNT}:role/admin"
OURS = {"elasticmapreduce:ResourceTag/project": "fruit-assets"}
THEIRS = {"elasticmapreduce:ResourceTag/project": "payroll"}
TAGGED = {
    "aws:RequestTag/for-use-with-amazon-emr-managed-policies": "true",
    "aws:RequestTag/project": "fruit-assets",
}
TO_EMR = {"iam:PassedToService": "elasticmapreduce.amazonaws.com"}
TO_EC2 = {"iam:PassedToService": "ec2.amazonaws.com"}
TO_LAMBDA = {"iam:PassedToService": "lambda.amazonaws.com"}

ORCHESTRATOR_MAY: list[tuple[str, str, dict[str, str]]] = [
    ("elasticmapreduce:RunJobFlow", "*", TAGGED),
    ("elasticmapreduce:AddTags", CLUSTER, {"aws:RequestTag/project": "fruit-assets"}),
    ("elasticmapreduce:AddTags", CLUSTER, {"aws:RequestTag/project": "fruit-assets", **OURS}),
    ("elasticmapreduce:AddJobFlowSteps", CLUSTER, OURS),
    ("elasticmapreduce:CancelSteps", CLUSTER, OURS),
    ("elasticmapreduce:DescribeCluster", CLUSTER, OURS),
    ("elasticmapreduce:DescribeStep", CLUSTER, OURS),
    ("elasticmapreduce:ListSteps", CLUSTER, OURS),
    ("elasticmapreduce:ListInstances", CLUSTER, OURS),
    ("elasticmapreduce:ListInstanceFleets", CLUSTER, OURS),
    ("elasticmapreduce:TerminateJobFlows", CLUSTER, OURS),
    ("elasticmapreduce:PutAutoTerminationPolicy", CLUSTER, OURS),
    ("elasticmapreduce:ListClusters", "*", {}),
    ("elasticmapreduce:ListReleaseLabels", "*", {}),
    ("elasticmapreduce:DescribeSecurityConfiguration", "*", {}),
    ("ec2:GetEbsEncryptionByDefault", "*", {}),
    ("servicequotas:GetServiceQuota", f"arn:aws:servicequotas:{REGION}:{ACCOUNT}:ec2/L-1216C47A", {}),
    ("ec2:DescribeSubnets", "*", {}),
    ("iam:PassRole", SERVICE_ROLE, TO_EMR),
    ("iam:PassRole", NODE_ROLE, TO_EC2),
    ("iam:GetRole", SERVICE_ROLE, {}),
    (
        "iam:CreateServiceLinkedRole",
        f"arn:aws:iam::{ACCOUNT}:role/aws-service-role/elasticmapreduce.amazonaws.com/AWSServiceRoleForEMRCleanup",
        {"iam:AWSServiceName": "elasticmapreduce.amazonaws.com"},
    ),
    ("s3:ListBucket", BUCKET, {}),
    ("s3:GetEncryptionConfiguration", BUCKET, {}),
    ("s3:GetObject", f"{BUCKET}/images/Apple/1.jpg", {}),
    ("s3:GetObject", f"{BUCKET}/logs/j-2AXXXXXXGAPLF/steps/s-1/stderr.gz", {}),
    ("s3:PutObject", f"{BUCKET}/assets/image_features/_delta_log/00000000000000000000.json", {}),
    ("s3:DeleteObject", f"{BUCKET}/assets/image_features/data/1-0/part-0.parquet", {}),
    ("s3:PutObject", f"{BUCKET}/staging/runs/1/step/request.json", {}),
    ("s3:PutObject", f"{BUCKET}/staging/code/abc.zip", {}),
    ("s3:PutObject", f"{BUCKET}/staging/clusters/abc.json", {}),
]
ORCHESTRATOR_MAY_NOT: list[tuple[str, str, dict[str, str]]] = [
    ("elasticmapreduce:RunJobFlow", "*", {}),
    ("elasticmapreduce:RunJobFlow", "*", {**TAGGED, "aws:RequestTag/project": "payroll"}),
    ("elasticmapreduce:AddJobFlowSteps", CLUSTER, THEIRS),
    ("elasticmapreduce:AddJobFlowSteps", CLUSTER, {}),
    ("elasticmapreduce:TerminateJobFlows", CLUSTER, THEIRS),
    ("elasticmapreduce:AddTags", CLUSTER, {"aws:RequestTag/project": "fruit-assets", **THEIRS}),
    ("elasticmapreduce:RemoveTags", CLUSTER, THEIRS),
    ("elasticmapreduce:PutBlockPublicAccessConfiguration", "*", {}),
    ("iam:PassRole", ADMIN_ROLE, TO_EMR),
    ("iam:PassRole", ADMIN_ROLE, TO_EC2),
    ("iam:PassRole", NODE_ROLE, TO_LAMBDA),
    ("iam:PassRole", NODE_ROLE, {}),
    ("iam:PassRole", SERVICE_ROLE, TO_EC2),
    ("iam:CreateRole", ADMIN_ROLE, {}),
    ("iam:AttachRolePolicy", NODE_ROLE, {}),
    ("sts:AssumeRole", ADMIN_ROLE, {}),
    ("ec2:RunInstances", "*", {}),
    ("ec2:DisableEbsEncryptionByDefault", "*", {}),
    ("elasticmapreduce:DeleteSecurityConfiguration", "*", {}),
    ("s3:PutObject", f"{BUCKET}/staging/bootstrap/abc/install_runtime.sh", {}),
    ("s3:PutObject", f"{BUCKET}/images/Apple/1.jpg", {}),
    ("s3:DeleteObject", f"{BUCKET}/images/Apple/1.jpg", {}),
    ("s3:DeleteObjectVersion", f"{BUCKET}/assets/image_features/_delta_log/00000000000000000000.json", {}),
    ("s3:DeleteBucket", BUCKET, {}),
    ("s3:PutBucketPolicy", BUCKET, {}),
    ("s3:PutBucketVersioning", BUCKET, {}),
    ("s3:GetObject", "arn:aws:s3:::payroll/salaries.csv", {}),
    ("kms:ScheduleKeyDeletion", "*", {}),
    ("cloudformation:UpdateStack", "*", {}),
]
APPLICATION = f"arn:aws:emr-serverless:{REGION}:{ACCOUNT}:/applications/00fruit"
JOB_RUN = f"{APPLICATION}/jobruns/00run"
JOB_ROLE = f"arn:aws:iam::{ACCOUNT}:role/fruit-assets-emr-jobs-{REGION}"
TO_SERVERLESS = {"iam:PassedToService": "emr-serverless.amazonaws.com"}
OUR_TAG, THEIR_TAG = {"aws:ResourceTag/project": "fruit-assets"}, {"aws:ResourceTag/project": "payroll"}
NEW_TAG = {"aws:RequestTag/project": "fruit-assets"}
SERVERLESS_MAY: list[tuple[str, str, dict[str, str]]] = [
    ("emr-serverless:CreateApplication", "*", NEW_TAG),
    ("emr-serverless:TagResource", APPLICATION, NEW_TAG),
    ("emr-serverless:TagResource", JOB_RUN, NEW_TAG | OUR_TAG),
    ("emr-serverless:ListApplications", "*", {}),
    ("emr-serverless:GetApplication", APPLICATION, OUR_TAG),
    ("emr-serverless:StopApplication", APPLICATION, OUR_TAG),
    ("emr-serverless:DeleteApplication", APPLICATION, OUR_TAG),
    ("emr-serverless:StartJobRun", APPLICATION, OUR_TAG),
    ("emr-serverless:ListJobRuns", APPLICATION, OUR_TAG),
    ("emr-serverless:GetJobRun", JOB_RUN, OUR_TAG),
    ("emr-serverless:CancelJobRun", JOB_RUN, OUR_TAG),
    ("emr-serverless:GetDashboardForJobRun", JOB_RUN, OUR_TAG),
    ("servicequotas:GetServiceQuota", f"arn:aws:servicequotas:{REGION}:{ACCOUNT}:emr-serverless/L-D05C8A75", {}),
    ("iam:PassRole", JOB_ROLE, TO_SERVERLESS),
    ("iam:GetRole", JOB_ROLE, {}),
    (
        "iam:CreateServiceLinkedRole",
        f"arn:aws:iam::{ACCOUNT}:role/aws-service-role/ops.emr-serverless.amazonaws.com/AWSServiceRoleForAmazonEMRServerless",
        {"iam:AWSServiceName": "ops.emr-serverless.amazonaws.com"},
    ),
]
SERVERLESS_MAY_NOT: list[tuple[str, str, dict[str, str]]] = [
    ("emr-serverless:CreateApplication", "*", {}),
    ("emr-serverless:CreateApplication", "*", {"aws:RequestTag/project": "payroll"}),
    ("emr-serverless:TagResource", APPLICATION, NEW_TAG | THEIR_TAG),
    ("emr-serverless:UntagResource", APPLICATION, OUR_TAG),
    ("emr-serverless:UpdateApplication", APPLICATION, OUR_TAG),
    ("emr-serverless:StartJobRun", APPLICATION, THEIR_TAG),
    ("emr-serverless:StartJobRun", APPLICATION, {}),
    ("emr-serverless:CancelJobRun", JOB_RUN, THEIR_TAG),
    ("emr-serverless:GetDashboardForJobRun", JOB_RUN, THEIR_TAG),
    ("emr-serverless:DeleteApplication", APPLICATION, THEIR_TAG),
    ("iam:PassRole", JOB_ROLE, TO_EC2),
    ("iam:PassRole", JOB_ROLE, {}),
    ("iam:PassRole", NODE_ROLE, TO_SERVERLESS),
    ("iam:PassRole", ADMIN_ROLE, TO_SERVERLESS),
    ("elasticmapreduce:RunJobFlow", "*", TAGGED),
    ("s3:GetObject", f"{BUCKET}/images/Apple/1.jpg", {}),
]
_CATALOG = f"arn:aws:glue:{REGION}:{ACCOUNT}"
GLUE_MAY: list[tuple[str, str, dict[str, str]]] = [
    ("glue:CreateDatabase", f"{_CATALOG}:database/fruit", {}),
    ("glue:GetDatabase", f"{_CATALOG}:catalog", {}),
    ("glue:CreateTable", f"{_CATALOG}:table/fruit/pca_components", {}),
    ("glue:UpdateTable", f"{_CATALOG}:table/fruit/pca_components", {}),
]
GLUE_MAY_NOT: list[tuple[str, str, dict[str, str]]] = [
    ("glue:UpdateTable", f"{_CATALOG}:table/payroll/salaries", {}),
    ("glue:DeleteTable", f"{_CATALOG}:table/fruit/pca_components", {}),
    ("glue:CreateDatabase", f"{_CATALOG}:database/payroll", {}),
]
NODES_MAY: list[tuple[str, str, dict[str, str]]] = [
    ("s3:ListBucket", BUCKET, {}),
    ("s3:GetObject", f"{BUCKET}/images/Apple/1.jpg", {}),
    ("s3:GetObject", f"{BUCKET}/staging/bootstrap/abc/install_runtime.sh", {}),
    ("s3:GetObject", f"{BUCKET}/staging/code/abc.zip", {}),
    ("s3:GetObject", f"{BUCKET}/weights/mobilenet.h5", {}),
    ("s3:PutObject", f"{BUCKET}/assets/image_features/_delta_log/00000000000000000000.json", {}),
    ("s3:DeleteObject", f"{BUCKET}/assets/image_features/data/1-0/part-0.parquet", {}),
    ("s3:AbortMultipartUpload", f"{BUCKET}/assets/image_features/data/1-0/part-0.parquet", {}),
    ("s3:PutObject", f"{BUCKET}/staging/runs/1/step/events/1.json", {}),
    ("s3:PutObject", f"{BUCKET}/logs/j-2AXXXXXXGAPLF/steps/s-1/stderr.gz", {}),
    ("s3:PutObject", f"{BUCKET}/jupyter/jovyan/explore.ipynb", {}),
    ("secretsmanager:GetSecretValue", f"arn:aws:secretsmanager:us-east-1:{ACCOUNT}:secret:fruit-assets/db-AbCdEf", {}),
    ("ssm:GetParameter", f"arn:aws:ssm:us-east-1:{ACCOUNT}:parameter/fruit-assets/db", {}),
]
NODES_MAY_NOT: list[tuple[str, str, dict[str, str]]] = [
    ("secretsmanager:GetSecretValue", f"arn:aws:secretsmanager:us-east-1:{ACCOUNT}:secret:payroll/db-AbCdEf", {}),
    ("secretsmanager:PutSecretValue", f"arn:aws:secretsmanager:us-east-1:{ACCOUNT}:secret:fruit-assets/db-AbCdEf", {}),
    ("ssm:GetParameter", f"arn:aws:ssm:us-east-1:{ACCOUNT}:parameter/payroll/db", {}),
    ("ssm:PutParameter", f"arn:aws:ssm:us-east-1:{ACCOUNT}:parameter/fruit-assets/db", {}),
    ("s3:PutObject", f"{BUCKET}/staging/bootstrap/abc/install_runtime.sh", {}),
    ("s3:PutObject", f"{BUCKET}/staging/code/abc.zip", {}),
    ("s3:PutObject", f"{BUCKET}/staging/clusters/abc.json", {}),
    ("s3:PutObject", f"{BUCKET}/images/Apple/1.jpg", {}),
    ("s3:DeleteObject", f"{BUCKET}/logs/j-2AXXXXXXGAPLF/steps/s-1/stderr.gz", {}),
    ("s3:GetObject", "arn:aws:s3:::payroll/salaries.csv", {}),
    ("s3:DeleteObjectVersion", f"{BUCKET}/assets/image_features/_delta_log/00000000000000000000.json", {}),
    ("s3:PutBucketPolicy", BUCKET, {}),
    ("elasticmapreduce:RunJobFlow", "*", TAGGED),
    ("elasticmapreduce:TerminateJobFlows", CLUSTER, OURS),
    ("iam:PassRole", NODE_ROLE, TO_EC2),
    ("sts:AssumeRole", ADMIN_ROLE, {}),
    ("ec2:RunInstances", "*", {}),
]


def test_cfn_lint_finds_nothing() -> None:
    command = [
        str(Path(sys.executable).with_name("cfn-lint")),
        "--regions",
        "us-east-1",
        "eu-west-1",
        "--",
        str(TEMPLATE),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_template_and_policy_stay_below_the_limits_of_aws(aws: AwsAccount) -> None:
    """A template sent as text may have 51,200 bytes, a managed policy 6,144 characters without blanks."""
    assert len(TEMPLATE.read_bytes()) < 51_200
    outputs = _deployed(aws, Encryption="kms", ImagesBucket="a-bucket-with-quite-a-long-name-for-images")
    policy = json.dumps(_orchestrator(aws, outputs), separators=(",", ":"))
    assert len(policy) < 6_144


def test_data_outlives_the_stack_is_encrypted_versioned_and_closed() -> None:
    bucket = template()["Resources"]["Bucket"]
    assert (bucket["DeletionPolicy"], bucket["UpdateReplacePolicy"]) == ("Retain", "Retain")
    properties = bucket["Properties"]
    assert properties["VersioningConfiguration"] == {"Status": "Enabled"}
    assert all(properties["PublicAccessBlockConfiguration"].values())
    rules = properties["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rules[0]["ServerSideEncryptionByDefault"]["SSEAlgorithm"] == {"Fn::If": ["HasKey", "aws:kms", "AES256"]}
    key = template()["Resources"]["Key"]
    assert key["DeletionPolicy"] == "Retain"
    assert key["Properties"]["EnableKeyRotation"] is True


def test_nothing_that_a_running_cluster_needs_expires() -> None:
    rules = {
        rule["Id"]: rule for rule in template()["Resources"]["Bucket"]["Properties"]["LifecycleConfiguration"]["Rules"]
    }
    expiring = [rule["Prefix"] for rule in rules.values() if "ExpirationInDays" in rule]
    assert expiring == ["staging/runs/", "logs/"]
    assert "DaysAfterInitiation" in rules["incomplete-uploads"]["AbortIncompleteMultipartUpload"]
    assert rules["old-versions"]["NoncurrentVersionExpiration"] == {"NoncurrentDays": {"Ref": "OldVersionDays"}}


@pytest.mark.parametrize(
    ("context", "decision"),
    [
        ({"aws:SecureTransport": "false"}, "explicitDeny"),
        ({"aws:SecureTransport": "true", "s3:TlsVersion": "1.1"}, "explicitDeny"),
        ({"aws:SecureTransport": "true", "s3:TlsVersion": "1.3"}, "implicitDeny"),
    ],
)
def test_the_bucket_refuses_plain_http_and_old_tls(aws: AwsAccount, context: dict[str, str], decision: str) -> None:
    name = BUCKET.removeprefix("arn:aws:s3:::")
    aws.client("s3").create_bucket(Bucket=name)
    aws.finish_bucket(name)
    policy = json.loads(aws.client("s3").get_bucket_policy(Bucket=name)["Policy"])
    assert decide([policy], "s3:GetObject", f"{BUCKET}/images/a.jpg", context) == decision


def test_the_orchestrator_may_do_its_work_and_nothing_else(aws: AwsAccount) -> None:
    policies = [_orchestrator(aws, _deployed(aws))]
    denied = [call for call in ORCHESTRATOR_MAY if decide(policies, *call) != "allowed"]
    allowed = [call for call in ORCHESTRATOR_MAY_NOT if decide(policies, *call) == "allowed"]
    assert (denied, allowed) == ([], [])


def test_tables_may_be_registered_in_one_database_of_glue_where_that_is_wanted(aws: AwsAccount) -> None:
    assert template()["Resources"]["GluePolicy"]["Condition"] == "HasGlueDatabase"
    policies = [_managed(aws, _deployed(aws, GlueDatabase="fruit")["GluePolicyArn"])]
    assert [call for call in GLUE_MAY if decide(policies, *call) != "allowed"] == []
    assert [call for call in GLUE_MAY_NOT if decide(policies, *call) == "allowed"] == []


def test_every_emr_call_in_the_code_is_one_that_the_orchestrator_is_tested_for() -> None:
    """So that a new call cannot work in tests and be refused on an account."""
    operations = {
        xform_name(name): name for name in botocore.session.get_session().get_service_model("emr").operation_names
    }
    sources = (Path(fruit_assets.__file__).parent / "emr").rglob("*.py")
    called = {
        f"elasticmapreduce:{operations[name]}"
        for source in sources
        for name in re.findall(r"emr\.([a-z_]+)", source.read_text())
        if name in operations
    }
    assert "elasticmapreduce:AddJobFlowSteps" in called
    assert called <= {action for action, _, _ in ORCHESTRATOR_MAY}


def test_the_orchestrator_may_drive_applications_of_this_project_and_nothing_else(aws: AwsAccount) -> None:
    policies = [_managed(aws, _deployed(aws)["ServerlessPolicyArn"])]
    denied = [call for call in SERVERLESS_MAY if decide(policies, *call) != "allowed"]
    allowed = [call for call in SERVERLESS_MAY_NOT if decide(policies, *call) == "allowed"]
    assert (denied, allowed) == ([], [])
    assert len(json.dumps(policies[0], separators=(",", ":"))) < 6_144


def test_every_call_to_emr_serverless_in_the_code_is_one_that_the_orchestrator_is_tested_for() -> None:
    model = botocore.session.get_session().get_service_model("emr-serverless")
    operations = {xform_name(name): name for name in model.operation_names}
    sources = (Path(fruit_assets.__file__).parent / "emr" / "serverless").rglob("*.py")
    words = {word for source in sources for word in re.findall(r"\.([a-z_]+)", source.read_text())}
    called = {f"emr-serverless:{operations[word]}" for word in words if word in operations}
    assert "emr-serverless:StartJobRun" in called
    assert called <= {action for action, _, _ in SERVERLESS_MAY}


def test_a_job_run_may_do_what_a_node_may_except_notebooks(aws: AwsAccount) -> None:
    _deployed(aws)
    policies = [_inline(aws, "fruit-assets-emr-jobs", "data")]
    notebooks = [call for call in NODES_MAY if "/jupyter/" in call[1]]
    denied = [call for call in NODES_MAY if call not in notebooks and decide(policies, *call) != "allowed"]
    allowed = [call for call in [*NODES_MAY_NOT, *notebooks] if decide(policies, *call) == "allowed"]
    assert (denied, allowed) == ([], [])
    role = aws.client("iam").get_role(RoleName=JOB_ROLE.rpartition("/")[2])["Role"]
    (statement,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Principal"] == {"Service": "emr-serverless.amazonaws.com"}
    assert statement["Condition"]["StringEquals"] == {"aws:SourceAccount": ACCOUNT}
    assert statement["Condition"]["ArnLike"]["aws:SourceArn"].endswith(f"{REGION}:{ACCOUNT}:/applications/*")


def test_a_node_may_read_images_and_write_results_and_nothing_else(aws: AwsAccount) -> None:
    _deployed(aws)
    policies = [_inline(aws, "fruit-assets-emr-nodes", "data")]
    denied = [call for call in NODES_MAY if decide(policies, *call) != "allowed"]
    allowed = [call for call in NODES_MAY_NOT if decide(policies, *call) == "allowed"]
    assert (denied, allowed) == ([], [])


def test_emr_may_pass_the_node_role_to_ec2_and_no_other(aws: AwsAccount) -> None:
    _deployed(aws)
    policies = [_inline(aws, "fruit-assets-emr-service", "pass-node-role")]
    assert decide(policies, "iam:PassRole", NODE_ROLE, TO_EC2) == "allowed"
    assert decide(policies, "iam:PassRole", ADMIN_ROLE, TO_EC2) == "implicitDeny"
    assert decide(policies, "iam:PassRole", NODE_ROLE, TO_LAMBDA) == "implicitDeny"
    trust = aws.client("iam").get_role(RoleName=f"fruit-assets-emr-service-{REGION}")["Role"][
        "AssumeRolePolicyDocument"
    ]
    conditions = trust["Statement"][0]["Condition"]
    assert conditions["StringEquals"] == {"aws:SourceAccount": ACCOUNT}
    managed = template()["Resources"]["ServiceRole"]["Properties"]["ManagedPolicyArns"]
    assert managed[0]["Fn::Sub"].endswith(":iam::aws:policy/service-role/AmazonEMRServicePolicy_v2")


def test_a_key_and_an_images_bucket_open_exactly_those(aws: AwsAccount) -> None:
    outputs = _deployed(aws, Encryption="kms", ImagesBucket="orchard")
    key = outputs["KeyArn"]
    roles = ("fruit-assets-emr-nodes", "fruit-assets-emr-jobs")
    for policy in (_orchestrator(aws, outputs), *(_inline(aws, role, "data") for role in roles)):
        assert decide([policy], "kms:GenerateDataKey", key) == "allowed"
        assert decide([policy], "kms:GenerateDataKey", key[:-1] + "x") == "implicitDeny"
        assert decide([policy], "kms:ScheduleKeyDeletion", key) == "implicitDeny"
        assert decide([policy], "s3:GetObject", "arn:aws:s3:::orchard/Apple/1.jpg") == "allowed"
        assert decide([policy], "s3:PutObject", "arn:aws:s3:::orchard/Apple/1.jpg") == "implicitDeny"
    service = [_inline(aws, "fruit-assets-emr-service", "encrypt-disks")]
    assert decide(service, "kms:CreateGrant", key, {"kms:GrantIsForAWSResource": "true"}) == "allowed"
    assert decide(service, "kms:CreateGrant", key) == "implicitDeny"
    assert outputs["ImagesUri"] == "s3://orchard"
    security = _security(aws, outputs)
    disks = security["EncryptionConfiguration"]["AtRestEncryptionConfiguration"]["LocalDiskEncryptionConfiguration"]
    assert disks == {"EnableEbsEncryption": True, "EncryptionKeyProviderType": "AwsKms", "AwsKmsKey": key}
    assert security["EncryptionConfiguration"]["EnableAtRestEncryption"] is True
    assert security["InstanceMetadataServiceConfiguration"]["MinimumInstanceMetadataServiceVersion"] == 2
    rule = aws.client("s3").get_bucket_encryption(Bucket=outputs["BucketName"])["ServerSideEncryptionConfiguration"]
    assert rule["Rules"][0]["ApplyServerSideEncryptionByDefault"] == {
        "SSEAlgorithm": "aws:kms",
        "KMSMasterKeyID": key,
    }


def test_without_a_key_nothing_pretends_to_encrypt_disks(aws: AwsAccount) -> None:
    """EMR would refuse a configuration of disks that names no key."""
    security = _security(aws, _deployed(aws, Encryption="s3"))
    assert list(security) == ["InstanceMetadataServiceConfiguration"]
    assert security["InstanceMetadataServiceConfiguration"]["MinimumInstanceMetadataServiceVersion"] == 2


def test_a_private_network_has_nat_both_endpoints_and_the_tag_that_emr_asks_for(aws: AwsAccount) -> None:
    outputs = _deployed(aws, Network="private")
    ec2 = aws.client("ec2")
    endpoints = ec2.describe_vpc_endpoints(Filters=[{"Name": "vpc-id", "Values": [outputs["VpcId"]]}])["VpcEndpoints"]
    assert {(endpoint["ServiceName"], endpoint["VpcEndpointType"]) for endpoint in endpoints} == {
        (f"com.amazonaws.{REGION}.s3", "Gateway"),
        (f"aws.api.{REGION}.emr-service-cell01", "Interface"),
    }
    subnets = ec2.describe_subnets(SubnetIds=outputs["SubnetIds"].split(","))["Subnets"]
    assert len({subnet["AvailabilityZone"] for subnet in subnets}) == 2
    for subnet in subnets:
        assert {"Key": "for-use-with-amazon-emr-managed-policies", "Value": "true"} in subnet["Tags"]
        assert not subnet["MapPublicIpOnLaunch"]
    assert (
        len(ec2.describe_nat_gateways(Filters=[{"Name": "vpc-id", "Values": [outputs["VpcId"]]}])["NatGateways"]) == 1
    )
    vpc = ec2.describe_vpcs(VpcIds=[outputs["VpcId"]])["Vpcs"][0]
    assert {"Key": "for-use-with-amazon-emr-managed-policies", "Value": "true"} in vpc["Tags"]


def test_a_public_network_costs_no_nat_gateway_and_opens_no_port(aws: AwsAccount) -> None:
    outputs = _deployed(aws, Network="public")
    ec2 = aws.client("ec2")
    assert ec2.describe_nat_gateways(Filters=[{"Name": "vpc-id", "Values": [outputs["VpcId"]]}])["NatGateways"] == []
    groups = ec2.describe_security_groups(Filters=[{"Name": "vpc-id", "Values": [outputs["VpcId"]]}])["SecurityGroups"]
    ranges = [cidr for group in groups for rule in group["IpPermissions"] for cidr in rule.get("IpRanges", [])]
    assert ranges == []


def test_the_budget_alarm_counts_what_carries_the_projects_tag() -> None:
    budget = template()["Resources"]["Budget"]
    assert budget["Condition"] == "HasAlarm"
    assert budget["Properties"]["Budget"]["CostFilters"] == {"TagKeyValue": [{"Fn::Sub": "user:project$${Project}"}]}
    assert len(budget["Properties"]["NotificationsWithSubscribers"]) == 2


def test_motos_own_policy_engine_agrees_about_the_bucket(aws: AwsAccount) -> None:
    """A second opinion on actions and resources; moto looks at no conditions, so only S3 is asked."""
    policies = {
        json.dumps(_orchestrator(aws, _deployed(aws))): ORCHESTRATOR_MAY + ORCHESTRATOR_MAY_NOT,
        json.dumps(_inline(aws, "fruit-assets-emr-nodes", "data")): NODES_MAY + NODES_MAY_NOT,
    }
    for policy, calls in policies.items():
        for action, resource, context in calls:
            if action.startswith("s3:"):
                permitted = IAMPolicy(policy).is_action_permitted(action, resource) is PermissionResult.PERMITTED
                assert permitted == (decide([json.loads(policy)], action, resource, context) == "allowed"), resource


def _deployed(aws: AwsAccount, **parameters: str) -> dict[str, str]:
    stack = Stack("fruit-assets", REGION)
    stack.apply(stack.plan({"Project": "fruit-assets", "Network": "none", **parameters}))
    return stack.outputs()


def _orchestrator(aws: AwsAccount, outputs: dict[str, str]) -> dict[str, Any]:
    return _managed(aws, outputs["OrchestratorPolicyArn"])


def _managed(aws: AwsAccount, arn: str) -> dict[str, Any]:
    iam = aws.client("iam")
    version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
    document: dict[str, Any] = iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"]
    return document


def _security(aws: AwsAccount, outputs: dict[str, str]) -> dict[str, Any]:
    found = aws.client("emr").describe_security_configuration(Name=outputs["SecurityConfiguration"])
    security: dict[str, Any] = json.loads(found["SecurityConfiguration"])
    return security


def _inline(aws: AwsAccount, role: str, policy: str) -> dict[str, Any]:
    found = aws.client("iam").get_role_policy(RoleName=f"{role}-{REGION}", PolicyName=policy)
    return _document(found["PolicyDocument"])


def _document(found: Any) -> dict[str, Any]:
    """What AWS gives as an object, moto gives as the repr of one where CloudFormation put it."""
    document: dict[str, Any] = ast.literal_eval(found) if isinstance(found, str) else found
    return document
