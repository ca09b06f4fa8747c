"""The CloudFormation stack: planned changes, their execution, and the outputs.

Put here all calls to CloudFormation. The template is `bootstrap/template.yaml`; confirmations are the command's part.
"""

import difflib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fruit_assets.emr.aws import AwsRefusedError, call_with_retries, client, pages
from fruit_assets.errors import PermanentError
from fruit_assets.infra.bootstrap_folder import BOOTSTRAP

TEMPLATE = BOOTSTRAP / "template.yaml"
_POLL_SECONDS = 4.0
_NOTHING = ("didn't contain changes", "No updates are to be performed")


@dataclass(frozen=True)
class ResourceChange:
    """One line of a plan: `action` is Add, Modify or Remove; `replaced` means a new resource takes its place."""

    action: str
    resource: str
    kind: str
    replaced: bool

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> "ResourceChange":
        replaced = found.get("Replacement") in ("True", "Conditional")
        return cls(found["Action"], found["LogicalResourceId"], found["ResourceType"], replaced)


@dataclass(frozen=True)
class Plan:
    """The changes that CloudFormation would make, and the lines of the template that cause them.

    Attributes:
        change_set: ARN to execute or to drop; None where nothing changes.
        is_new: the stack does not exist yet.
        changes: resources, in CloudFormation's order.
        template_diff: unified diff of the templates; empty for a new stack.
    """

    change_set: str | None
    is_new: bool
    changes: tuple[ResourceChange, ...]
    template_diff: str


class Stack:
    """One stack by name.

    Args:
        name: the stack's name, which is also its `Project` parameter.
        region: None takes the region from the AWS settings.
    """

    def __init__(self, name: str, region: str | None = None) -> None:
        self.name = name
        self._aws = client("cloudformation", region)

    def status(self) -> str | None:
        """The state as CloudFormation names it; None when there is no such stack."""
        found = self._describe()
        return found["StackStatus"] if found else None

    def outputs(self) -> dict[str, str]:
        """Output name -> value.

        Raises:
            PermanentError: there is no stack, or it has not been finished.
        """
        found = self._describe()
        if not found or not found.get("Outputs"):
            raise PermanentError(f"There is no finished stack {self.name!r} here: run `fruit-assets deploy` first.")
        return {output["OutputKey"]: output["OutputValue"] for output in found["Outputs"]}

    def parameters(self) -> dict[str, str]:
        """The parameters of the deployed stack; empty when there is none."""
        found = self._describe() or {}
        return {item["ParameterKey"]: item["ParameterValue"] for item in found.get("Parameters", [])}

    def plan(self, parameters: Mapping[str, str]) -> Plan:
        """The changes that the template would cause, as a change set of CloudFormation; changes nothing.

        Args:
            parameters: those to set; others keep their value, or take the template's default.

        Raises:
            PermanentError: the stack is in a state that must be cleared first.
        """
        status = self.status()
        self._refuse_unready(status)
        is_new = status in (None, "REVIEW_IN_PROGRESS")
        template = TEMPLATE.read_text()
        known = {} if is_new else self.parameters()
        chosen = [{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()]
        kept = [{"ParameterKey": name, "UsePreviousValue": True} for name in known if name not in parameters]
        change_set = self._create_change_set(template, chosen + kept, is_new, parameters.get("Project", self.name))
        if change_set is None:
            return Plan(None, is_new, (), "")
        described = self._wait_for_change_set(change_set)
        if described is None:
            return Plan(None, is_new, (), "")
        changes = tuple(ResourceChange.of(item["ResourceChange"]) for item in described)
        return Plan(change_set, is_new, changes, "" if is_new else self._template_diff(template))

    def apply(self, plan: Plan, report: Callable[[str], None] = lambda _: None) -> None:
        """Execute a plan and wait for its end.

        Raises:
            PermanentError: CloudFormation failed; names the first resource that did, and why.
        """
        if plan.change_set is None:
            return
        call_with_retries(self._aws.execute_change_set, ChangeSetName=plan.change_set, repeatable=False)
        self._wait(report, good=("CREATE_COMPLETE", "UPDATE_COMPLETE"))

    def drop(self, plan: Plan) -> None:
        """Delete a plan that was declined, with the empty stack that CloudFormation keeps for it."""
        if plan.change_set is not None:
            call_with_retries(self._aws.delete_change_set, ChangeSetName=plan.change_set)
        if plan.is_new and self.status() == "REVIEW_IN_PROGRESS":
            call_with_retries(self._aws.delete_stack, StackName=self.name)

    def delete(self, report: Callable[[str], None] = lambda _: None) -> None:
        """Delete the stack and wait. The bucket and the key are kept: the template retains them."""
        call_with_retries(self._aws.delete_stack, StackName=self.name)
        self._wait(report, good=("DELETE_COMPLETE",))

    def _describe(self, name_or_id: str | None = None) -> dict[str, Any] | None:
        try:
            found = call_with_retries(self._aws.describe_stacks, StackName=name_or_id or self.name)["Stacks"]
        except AwsRefusedError as error:
            if error.code == "ValidationError" and "does not exist" in str(error):
                return None
            raise
        live = [stack for stack in found if stack["StackStatus"] != "DELETE_COMPLETE"]
        return dict(live[0]) if live else None

    def _refuse_unready(self, status: str | None) -> None:
        if status in ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "DELETE_FAILED"):
            raise PermanentError(
                f"Stack {self.name!r} is {status}: its last creation or removal failed. "
                f"Run `fruit-assets destroy --project {self.name}`, then deploy again."
            )
        if status and status.endswith("_IN_PROGRESS") and status != "REVIEW_IN_PROGRESS":
            raise PermanentError(f"Stack {self.name!r} is {status}: wait until it has finished, then run again.")

    def _create_change_set(
        self, template: str, parameters: list[dict[str, Any]], is_new: bool, project: str
    ) -> str | None:
        try:
            created = call_with_retries(
                self._aws.create_change_set,
                StackName=self.name,
                ChangeSetName=f"deploy-{int(time.time() * 1000)}",
                ChangeSetType="CREATE" if is_new else "UPDATE",
                TemplateBody=template,
                Parameters=parameters,
                Capabilities=["CAPABILITY_NAMED_IAM"],
                # A bucket that an earlier destroy kept is taken in again, instead of being in the way.
                **({"ImportExistingResources": True} if is_new else {}),
                Tags=[{"Key": "project", "Value": project}],
            )
        except AwsRefusedError as error:
            if any(words in str(error) for words in _NOTHING):
                return None
            raise
        return str(created["Id"])

    def _wait_for_change_set(self, change_set: str) -> list[dict[str, Any]] | None:
        while True:
            found = call_with_retries(self._aws.describe_change_set, ChangeSetName=change_set)
            if found["Status"] == "CREATE_COMPLETE":
                listed = pages(self._aws.describe_change_set, ChangeSetName=change_set)
                return [change for page in listed for change in page["Changes"]]
            if found["Status"] == "FAILED":
                call_with_retries(self._aws.delete_change_set, ChangeSetName=change_set)
                reason = found.get("StatusReason", "")
                if any(words in reason for words in _NOTHING):
                    return None
                raise PermanentError(f"CloudFormation refuses the template for {self.name!r}: {reason}")
            time.sleep(_POLL_SECONDS / 4)

    def _template_diff(self, template: str) -> str:
        deployed = call_with_retries(self._aws.get_template, StackName=self.name, TemplateStage="Original")[
            "TemplateBody"
        ]
        before = deployed if isinstance(deployed, str) else ""
        lines = difflib.unified_diff(
            before.splitlines(), template.splitlines(), "deployed", str(TEMPLATE.name), lineterm="", n=1
        )
        return "\n".join(lines)

    def _wait(self, report: Callable[[str], None], good: tuple[str, ...]) -> None:
        stack_id = (self._describe() or {}).get("StackId", self.name)
        seen: set[str] = set()
        while True:
            events = self._events(stack_id)
            for event in reversed([event for event in events if event["EventId"] not in seen]):
                seen.add(event["EventId"])
                report(f"{event.get('LogicalResourceId', '')}: {event.get('ResourceStatus', '')}")
            found = self._describe(stack_id)
            status = found["StackStatus"] if found else "DELETE_COMPLETE"
            if status in good:
                return
            if not status.endswith("_IN_PROGRESS"):
                raise PermanentError(f"Stack {self.name!r} ended as {status}. {_first_failure(events)}")
            time.sleep(_POLL_SECONDS)

    def _events(self, stack_id: str) -> list[dict[str, Any]]:
        try:
            return list(call_with_retries(self._aws.describe_stack_events, StackName=stack_id)["StackEvents"])
        except AwsRefusedError as error:
            if error.code == "ValidationError":
                return []
            raise


def _first_failure(events: list[dict[str, Any]]) -> str:
    """The oldest failure of the latest operation: later ones are mostly 'Resource creation cancelled'."""
    failed = [event for event in events if "FAILED" in event.get("ResourceStatus", "")]
    if not failed:
        return "Its events in the CloudFormation console say why."
    first = failed[-1]
    return f"First failure: {first.get('LogicalResourceId')}: {first.get('ResourceStatusReason', 'no reason given')}"
