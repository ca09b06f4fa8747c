"""A step as EMR keeps it: its configuration, state and timeline, and how the API describes it.

Put here what DescribeStep and ListSteps show. What the step does is the business of its execution.
"""

import datetime
import secrets
import string
from dataclasses import dataclass, field
from typing import Any

ACTIVE = ("PENDING", "CANCEL_PENDING", "RUNNING")
# EMR's limit on all strings of a step's HadoopJarStep together.
LONGEST_STEP = 10_240
MOST_ACTIVE_STEPS = 256


def new_id(prefix: str) -> str:
    """An id in EMR's form, such as `s-2RPP1FGRZ7Q3B`."""
    return f"{prefix}-" + "".join(secrets.choice(string.ascii_uppercase + string.digits) for _ in range(13))


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


@dataclass
class Step:
    """One step.

    Attributes:
        config: the `StepConfig` of the request.
        log_uri: `s3://` folder its logs go to; None when the cluster archives none.
        cancel_option: how it was asked to stop, if it was.
        reported_state: a state to report instead of the true one.
        application_ids: YARN applications it started.
        exit_code: of its process; negative is the number of the signal that ended it.
    """

    config: dict[str, Any]
    execution_role: str | None = None
    log_uri: str | None = None
    id: str = field(default_factory=lambda: new_id("s"))
    created_at: datetime.datetime = field(default_factory=now)
    started_at: datetime.datetime | None = None
    ended_at: datetime.datetime | None = None
    state: str = "PENDING"
    reported_state: str | None = None
    message: str | None = None
    failure: dict[str, str] | None = None
    cancel_option: str | None = None
    application_ids: list[str] = field(default_factory=list)
    exit_code: int | None = None

    @property
    def args(self) -> list[str]:
        return list(self.config["HadoopJarStep"].get("Args", []))

    @property
    def action_on_failure(self) -> str:
        action = self.config.get("ActionOnFailure", "CONTINUE")
        return "TERMINATE_CLUSTER" if action == "TERMINATE_JOB_FLOW" else str(action)

    @property
    def is_active(self) -> bool:
        return self.state in ACTIVE

    @property
    def length(self) -> int:
        """Characters of all strings of its HadoopJarStep."""
        jar_step = self.config["HadoopJarStep"]
        properties = [text for pair in jar_step.get("Properties", []) for text in pair.values()]
        return sum(map(len, [jar_step["Jar"], jar_step.get("MainClass", ""), *self.args, *properties]))

    def end(self, state: str, message: str | None = None) -> None:
        self.state = state
        self.message = message
        self.ended_at = now()

    def summary(self) -> dict[str, Any]:
        """The `StepSummary` of ListSteps."""
        jar_step = self.config["HadoopJarStep"]
        properties = {pair["Key"]: pair.get("Value", "") for pair in jar_step.get("Properties", [])}
        config = {"Jar": jar_step["Jar"], "Properties": properties, "Args": self.args}
        if "MainClass" in jar_step:
            config["MainClass"] = jar_step["MainClass"]
        return {
            "Id": self.id,
            "Name": self.config["Name"],
            "Config": config,
            "ActionOnFailure": self.action_on_failure,
            "Status": self._status(),
            **({"LogUri": self.log_uri} if self.log_uri else {}),
            **(
                {"AdditionalInfo": {"ResourceManagerApplicationIds": self.application_ids}}
                if self.application_ids
                else {}
            ),
        }

    def description(self) -> dict[str, Any]:
        """The `Step` of DescribeStep."""
        role = {"ExecutionRoleArn": self.execution_role} if self.execution_role else {}
        return {**self.summary(), **role}

    def _status(self) -> dict[str, Any]:
        times = {"CreationDateTime": self.created_at, "StartDateTime": self.started_at, "EndDateTime": self.ended_at}
        status: dict[str, Any] = {
            "State": self.reported_state or self.state,
            "StateChangeReason": {"Message": self.message} if self.message else {},
            "Timeline": {name: time for name, time in times.items() if time is not None},
        }
        return status | ({"FailureDetails": self.failure} if self.failure else {})
