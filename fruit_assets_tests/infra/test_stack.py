"""Stack: plan, apply, drop, delete, and the states in between."""

from typing import Any

import pytest

from fruit_assets.errors import PermanentError
from fruit_assets.infra.stack import TEMPLATE, Stack
from fruit_assets_tests.infra.account import ACCOUNT, REGION, AwsAccount


def test_a_new_stack_is_planned_applied_and_then_has_nothing_to_change(aws: AwsAccount) -> None:
    stack = Stack("fruit-one", REGION)
    plan = stack.plan({"Project": "fruit-one", "Network": "none"})
    assert plan.is_new
    assert {"Bucket", "ServiceRole", "NodeRole", "OrchestratorPolicy"} <= {change.resource for change in plan.changes}
    messages: list[str] = []
    stack.apply(plan, messages.append)
    assert stack.status() == "CREATE_COMPLETE"
    assert any("CREATE_COMPLETE" in line for line in messages)
    assert stack.outputs()["StorageUri"] == f"s3://fruit-one-{ACCOUNT}-us-east-1/assets"
    assert stack.plan({"Project": "fruit-one", "Network": "none"}).change_set is None


def test_a_plan_that_is_not_wanted_leaves_no_stack(aws: AwsAccount) -> None:
    stack = Stack("fruit-two", REGION)
    stack.drop(stack.plan({"Project": "fruit-two"}))
    assert stack.status() is None
    assert aws.client("s3").list_buckets()["Buckets"] == []


def test_a_changed_template_is_shown_as_a_diff(aws: AwsAccount, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    stack = Stack("fruit-three", REGION)
    stack.apply(stack.plan({"Project": "fruit-three", "Network": "none"}))
    changed = tmp_path / "template.yaml"
    changed.write_text(TEMPLATE.read_text().replace("EMR itself, to start and stop instances", "EMR, the service"))
    monkeypatch.setattr("fruit_assets.infra.stack.TEMPLATE", changed)
    plan = stack.plan({"Project": "fruit-three", "Network": "none"})
    assert [change.resource for change in plan.changes if change.action == "Modify"] == ["ServiceRole"]
    assert "-      Description: EMR itself, to start and stop instances" in plan.template_diff
    assert "+      Description: EMR, the service" in plan.template_diff


def test_outputs_of_a_stack_that_is_not_there_say_to_deploy(aws: AwsAccount) -> None:
    with pytest.raises(PermanentError, match="run `fruit-assets deploy` first"):
        Stack("nothing-here", REGION).outputs()


@pytest.mark.parametrize(
    ("status", "advice"), [("ROLLBACK_COMPLETE", "destroy --project fruit-four"), ("UPDATE_IN_PROGRESS", "wait")]
)
def test_a_stack_in_no_state_to_change_says_what_to_do(
    aws: AwsAccount, monkeypatch: pytest.MonkeyPatch, status: str, advice: str
) -> None:
    stack = Stack("fruit-four", REGION)
    monkeypatch.setattr(stack, "_describe", lambda: {"StackStatus": status, "StackId": "x"})
    with pytest.raises(PermanentError, match=advice):
        stack.plan({})


def test_a_failed_change_names_the_first_resource_that_failed(aws: AwsAccount, monkeypatch: pytest.MonkeyPatch) -> None:
    stack = Stack("fruit-five", REGION)
    plan = stack.plan({"Project": "fruit-five", "Network": "none"})
    events = [
        _event(3, "ServiceRole", "CREATE_FAILED", "Resource creation cancelled"),
        _event(2, "Bucket", "CREATE_FAILED", "fruit-five-1 already exists"),
        _event(1, "Bucket", "CREATE_IN_PROGRESS", ""),
    ]
    failed = {"StackId": "fruit-five", "StackStatus": "ROLLBACK_COMPLETE"}
    monkeypatch.setattr(stack._aws, "describe_stack_events", lambda **_: {"StackEvents": events})
    monkeypatch.setattr(stack._aws, "describe_stacks", lambda **_: {"Stacks": [failed]})
    with pytest.raises(PermanentError, match=r"ended as ROLLBACK_COMPLETE.*Bucket: fruit-five-1 already exists"):
        stack.apply(plan)


def _event(number: int, resource: str, status: str, reason: str) -> dict[str, str]:
    return {
        "EventId": str(number),
        "LogicalResourceId": resource,
        "ResourceStatus": status,
        "ResourceStatusReason": reason,
    }
