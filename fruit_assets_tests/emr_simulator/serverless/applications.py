"""Applications and job runs as EMR Serverless keeps them, and how the API describes them.

Put here what GetApplication and GetJobRun show. What a job run does is the business of its execution.
"""

import datetime
import secrets
import shlex
import string
from dataclasses import dataclass, field
from typing import Any

from fruit_assets_tests.emr_simulator.serialisation import EmrError
from fruit_assets_tests.emr_simulator.steps import now

ENDED = ("SUCCESS", "FAILED", "CANCELLED")
_COPIED = (
    "name", "initialCapacity", "maximumCapacity", "autoStartConfiguration", "autoStopConfiguration",
    "networkConfiguration", "architecture", "imageConfiguration", "runtimeConfiguration", "monitoringConfiguration",
    "schedulerConfiguration",
)  # fmt: skip


def new_id() -> str:
    return "00" + "".join(secrets.choice(string.ascii_lowercase + string.digits) for _ in range(14))


@dataclass(eq=False)
class JobRun:
    """One job run.

    Attributes:
        request: the parameters of StartJobRun.
        workers: driver and executors, whose hours are billed.
        reported_state: a state to report instead of the true one.
        grace: seconds of the grace period it was cancelled with; None when it was not cancelled.
    """

    request: dict[str, Any]
    application: "Application"
    id: str = field(default_factory=new_id)
    state: str = "SUBMITTED"
    details: str = "The job run has been submitted."
    created_at: datetime.datetime = field(default_factory=now)
    started_at: datetime.datetime | None = None
    ended_at: datetime.datetime | None = None
    workers: int = 1
    reported_state: str | None = None
    grace: int | None = None
    exit_code: int | None = None

    @property
    def driver(self) -> dict[str, Any]:
        return dict(self.request["jobDriver"]["sparkSubmit"])

    @property
    def spark_options(self) -> list[str]:
        return shlex.split(self.driver.get("sparkSubmitParameters", ""))

    @property
    def spark_conf(self) -> dict[str, str]:
        """Properties of the application, of the job run, and of its parameters; the last wins."""
        overrides = self.request.get("configurationOverrides", {}).get("applicationConfiguration", [])
        found: dict[str, str] = {}
        for configuration in [*self.application.request.get("runtimeConfiguration", []), *overrides]:
            if configuration["classification"] == "spark-defaults":
                found |= configuration.get("properties", {})
        words = self.spark_options
        pairs = [words[at + 1] for at, word in enumerate(words[:-1]) if word == "--conf"]
        return found | dict(pair.split("=", 1) for pair in pairs)

    @property
    def log_uri(self) -> str | None:
        own = self.request.get("configurationOverrides", {}).get("monitoringConfiguration", {})
        of_application = self.application.request.get("monitoringConfiguration", {})
        for monitoring in (own, of_application):
            uri = monitoring.get("s3MonitoringConfiguration", {}).get("logUri")
            if uri:
                return str(uri)
        return None

    @property
    def arn(self) -> str:
        return f"{self.application.arn}/jobruns/{self.id}"

    def change(self, state: str, details: str) -> None:
        self.state, self.details = state, details[:256]
        if state in ENDED:
            self.ended_at = now()

    def summary(self) -> dict[str, Any]:
        """The `JobRunSummary` of ListJobRuns."""
        return {
            "applicationId": self.application.id,
            "id": self.id,
            "name": self.request.get("name", self.id),
            "mode": self.request.get("mode", "BATCH"),
            "arn": self.arn,
            "createdBy": f"arn:aws:iam::{self.application.account}:user/orchestrator",
            "createdAt": self.created_at,
            "updatedAt": self.ended_at or self.started_at or self.created_at,
            "executionRole": self.request["executionRoleArn"],
            "state": self.reported_state or self.state,
            "stateDetails": self.details,
            "releaseLabel": self.application.request["releaseLabel"],
            "type": "SPARK",
            "attempt": 1,
        }

    def description(self, billing_delay: float) -> dict[str, Any]:
        """The `JobRun` of GetJobRun; what was billed is known a moment after the end."""
        summary = self.summary()
        summary["jobRunId"] = summary.pop("id")
        del summary["type"]
        times = {"startedAt": self.started_at, "endedAt": self.ended_at}
        copied = ("configurationOverrides", "tags", "executionTimeoutMinutes", "retryPolicy", "jobDriver")
        description = {
            **summary,
            **{name: self.request[name] for name in copied if name in self.request},
            **{name: time for name, time in times.items() if time is not None},
        }
        if self.ended_at is not None and (now() - self.ended_at).total_seconds() > billing_delay:
            description |= self._utilization()
        return description

    def _utilization(self) -> dict[str, Any]:
        assert self.ended_at is not None
        seconds = (self.ended_at - self.started_at).total_seconds() if self.started_at else 0.0
        billed = max(60.0, seconds) if self.started_at else 0.0  # a minute at least for each worker

        def hours(of: float) -> dict[str, float]:
            worker_hours = self.workers * of / 3600
            return {"vCPUHour": 4 * worker_hours, "memoryGBHour": 16 * worker_hours, "storageGBHour": 0.0}

        return {
            "totalResourceUtilization": hours(seconds) | {"storageGBHour": 20 * self.workers * seconds / 3600},
            "billedResourceUtilization": hours(billed),
            "totalExecutionDurationSeconds": int(seconds),
        }


@dataclass(eq=False)
class Application:
    """One application; its state follows the clock when it is looked at."""

    request: dict[str, Any]
    region: str
    account: str
    pace: float
    idle_scale: float
    id: str = field(default_factory=new_id)
    state: str = "CREATING"
    created_at: datetime.datetime = field(default_factory=now)
    changed_at: datetime.datetime = field(default_factory=now)
    job_runs: dict[str, JobRun] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.tags: dict[str, str] = dict(self.request.get("tags", {}))

    @property
    def arn(self) -> str:
        return f"arn:aws:emr-serverless:{self.region}:{self.account}:/applications/{self.id}"

    @property
    def starts_itself(self) -> bool:
        return bool(self.request.get("autoStartConfiguration", {}).get("enabled", True))

    @property
    def active(self) -> list[JobRun]:
        return [run for run in self.job_runs.values() if run.state not in ENDED]

    @property
    def most_runs_at_once(self) -> int:
        return int(self.request.get("schedulerConfiguration", {}).get("maxConcurrentRuns", 1000))

    def change(self, state: str) -> None:
        self.state, self.changed_at = state, now()

    def refresh(self) -> None:
        """Take the steps that are due by now."""
        since = (now() - self.changed_at).total_seconds()
        following = {"CREATING": "CREATED", "STARTING": "STARTED", "STOPPING": "STOPPED"}.get(self.state)
        if following is not None and since >= self.pace:
            self.change(following)
        stop = self.request.get("autoStopConfiguration", {})
        if self.state == "STARTED" and not self.active and stop.get("enabled", True):
            ends = [run.ended_at for run in self.job_runs.values() if run.ended_at is not None]
            idle = (now() - max([self.changed_at, *ends])).total_seconds()
            if idle >= 60 * float(stop.get("idleTimeoutMinutes", 15)) * self.idle_scale:
                self.change("STOPPED")

    def description(self) -> dict[str, Any]:
        """The `Application` of GetApplication."""
        summary = self.summary()
        summary["applicationId"] = summary.pop("id")
        copied = {name: self.request[name] for name in _COPIED if name in self.request}
        return {**summary, **copied, "tags": self.tags}

    def summary(self) -> dict[str, Any]:
        """The `ApplicationSummary` of ListApplications."""
        return {
            "id": self.id,
            "name": self.request.get("name", self.id),
            "arn": self.arn,
            "releaseLabel": self.request["releaseLabel"],
            "type": self.request["type"],
            "state": self.state,
            "createdAt": self.created_at,
            "updatedAt": self.changed_at,
            "architecture": self.request.get("architecture", "X86_64"),
        }


def not_found(what: str, identity: str) -> EmrError:
    return EmrError("ResourceNotFoundException", f"{what} {identity} does not exist.", 404)
