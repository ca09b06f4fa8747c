"""The interface between the step launcher and the service that runs its steps.

Put here what all services have in common, in terms of no single service. EMR on EC2 is `ec2/`, EMR Serverless
`serverless/`; EMR on EKS would be another package beside them. Dagster does not belong here.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol

from fruit_assets.emr.cost import Cost, Prices
from fruit_assets.emr.errors import TransientError

# `lost`: the machines under the step were taken away. `unknown`: a state of AWS that is not in this list.
Phase = Literal["waiting", "running", "cancelling", "succeeded", "failed", "cancelled", "lost", "unknown"]
FINAL_PHASES: frozenset[Phase] = frozenset({"succeeded", "failed", "cancelled", "lost"})


class AtCapacityError(TransientError):
    """The target takes no more steps until others have ended; submitting again later succeeds."""


@dataclass(frozen=True)
class Submission:
    """One Spark application to start.

    Attributes:
        name: unique to the attempt, at most 150 characters of `[A-Za-z0-9/_.-]` and brackets. It finds a step whose
            submission was not answered, and is the idempotency key for services that take one.
        main: `s3://` URI of the Python main.
        arguments: the main's arguments.
        py_files: `s3://` URI of the zip that executors import from; empty when nothing is shipped.
        spark_conf: Spark settings of this submission.
        deploy_mode: `client` or `cluster`, where the service knows both.
        execution_role_arn: IAM role of this step; None leaves it to the service's default.
        tags: cost allocation tags, for services that take tags on a step.
    """

    name: str
    main: str
    arguments: Sequence[str]
    py_files: str = ""
    spark_conf: Mapping[str, str] = field(default_factory=dict)
    deploy_mode: str = "client"
    execution_role_arn: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class StepStatus:
    """The latest status of a step.

    Attributes:
        step_id: the service's id.
        state: the state as AWS spells it, for people.
        phase: the same in the launcher's terms; every decision uses this one.
        reason: why the state changed, in the service's words.
        failure: details of a failure, in the service's words.
        log_file: the log that AWS names for the failure.
        applications: YARN application ids.
        started: when it began to run, ISO 8601; empty before.
    """

    step_id: str
    state: str
    phase: Phase
    reason: str = ""
    failure: str = ""
    log_file: str = ""
    applications: tuple[str, ...] = ()
    started: str = ""

    @property
    def is_final(self) -> bool:
        return self.phase in FINAL_PHASES


@dataclass(frozen=True)
class ComputeFailure:
    """Why a cluster or an application takes no more steps.

    Attributes:
        message: what happened and what to do.
        retryable: waiting or retrying can help.
        clean_shutdown: it ended without a failure, because it was idle or a person stopped it.
    """

    message: str
    retryable: bool
    clean_shutdown: bool = False


class Compute(Protocol):
    """One cluster or application that runs steps.

    Implementations are thread-safe and call nothing when constructed. Every method may raise
    `AwsRefusedError` (permanent) or `TransientError`. `step_id` is the service's id of a step or job run.
    """

    @property
    def target_id(self) -> str:
        """Id of the cluster or application, as AWS spells it. Steps of one target share a status cache."""

    @property
    def kind(self) -> str:
        """`cluster` or `application`: the noun that messages use."""

    def submit(self, submission: Submission) -> str:
        """Start a step exactly once, even when an answer is lost; returns its id.

        Raises:
            AtCapacityError: the target takes no more steps for now; submit again later.
            AwsRefusedError: refused. `failure` then returns whether the target itself is the reason.
        """

    def find(self, name: str) -> str | None:
        """The id of a recent step of this name, or None."""

    def statuses(self, wanted: Sequence[str] = ()) -> dict[str, StepStatus]:
        """Statuses by step id, in one API call: the newest steps, or the wanted ones (ten at most)."""

    def active(self) -> dict[str, str]:
        """Ids and names of every step that waits or runs."""

    def cancel(self, step_id: str, *, force: bool) -> None:
        """Request the end of a step: an orderly stop, or with `force` the end of its process.

        Returns before the step has ended. Cancelling a step that has ended does nothing.
        """

    def cancel_command(self, step_id: str) -> str:
        """The shell command with which a person cancels the step."""

    def failure(self, patience: float = 0.0) -> ComputeFailure | None:
        """Why the target takes no more steps; None while it does.

        With `patience`, waits up to that many seconds for the logs that explain the failure.
        """

    def log_tails(self, step_id: str) -> dict[str, str]:
        """The last lines of the step's logs, by log name; empty until the service has uploaded them."""

    def links(self, step_id: str) -> dict[str, str]:
        """Console, log and Spark UI addresses, by title."""

    def cost(
        self, step_id: str, start: datetime, end: datetime, prices: Prices, *, has_ended: bool = False
    ) -> Cost | None:
        """An estimate for the step between two moments; None when the service does not report usage.

        With `has_ended` it may wait for the billed usage, which some services report only after the end.
        """


class ComputeSource(Protocol):
    """Where a launcher's target comes from: a given id, one found by its tags, or a new one from a spec."""

    @property
    def is_replaceable(self) -> bool:
        """Whether `acquire` provides another target after one that shut down cleanly."""

    def acquire(self) -> tuple[Compute, str]:
        """The target to use, and its origin in a few words, such as `found by its tag`. Creates at most one.

        Raises:
            PermanentError: nothing is configured, the given target takes no steps, or AWS refused to create one.
        """

    def owned(self) -> Iterable[Compute]:
        """Every running target that steps of this launcher may run on; the orphan sensor checks these."""
