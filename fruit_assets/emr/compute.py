"""The small interface between the step launcher and whatever runs its steps.

Put here what every kind of EMR offers: submit, watch, cancel, explain, fetch logs. EMR on EC2 is
`ec2.py`; EMR Serverless and EMR on EKS would be neighbours of it. Dagster does not belong here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from fruit_assets.emr.cost import RunningInstance

FINAL_STATES = frozenset({"COMPLETED", "CANCELLED", "FAILED", "INTERRUPTED"})
KNOWN_STATES = FINAL_STATES | {"PENDING", "CANCEL_PENDING", "RUNNING"}


@dataclass(frozen=True)
class Submission:
    """One Spark application to start.

    Attributes:
        name: unique to the attempt; how the step is found again when an answer was lost.
        main: `s3://` URI of the Python main.
        arguments: the main's arguments.
        py_files: `s3://` URI of the zip that executors import from.
        spark_conf: Spark settings of this submission.
        deploy_mode: `client` or `cluster`.
    """

    name: str
    main: str
    arguments: Sequence[str]
    py_files: str
    spark_conf: Mapping[str, str] = field(default_factory=dict)
    deploy_mode: str = "client"


@dataclass(frozen=True)
class StepStatus:
    """What EMR last said about a step. States EMR adds in future are kept as they come; `started` is in ISO form."""

    step_id: str
    state: str
    reason: str = ""
    failure: str = ""
    log_file: str = ""
    applications: tuple[str, ...] = ()
    started: str = ""

    @property
    def is_final(self) -> bool:
        return self.state in FINAL_STATES


@dataclass(frozen=True)
class ClusterFailure:
    """Why a place can take no more steps.

    Attributes:
        message: what happened and what to do.
        may_help: waiting or retrying can help.
        is_orderly: nothing failed, it was ended: for being idle, or by a person.
    """

    message: str
    retryable: bool
    clean_shutdown: bool = False


class Compute(Protocol):
    """A place that runs steps. Every method may raise `AwsRefusedError` (for good) or `TransientError`."""

    @property
    def target_id(self) -> str:
        """Id of the cluster or application, as AWS spells it."""

    def submit(self, submission: Submission) -> str:
        """Start a step, once: a lost answer never starts it twice. Returns its id."""

    def find(self, name: str) -> str | None:
        """The id of a recent step of this name, or None."""

    def statuses(self, wanted: Sequence[str] = ()) -> dict[str, StepStatus]:
        """One call: the newest steps, or the ones wanted (ten at most)."""

    def cancel(self, step_id: str, *, force: bool) -> None:
        """Ask for a step's end: politely, or by killing its process. Returns before it has ended."""

    def cancel_command(self, step_id: str) -> str:
        """What a person types to cancel the step by hand."""

    def trouble(self, patience: float = 0.0) -> ClusterFailure | None:
        """What is wrong with the place itself; None when it is well.

        With `patience` it waits so many seconds for the logs that explain the trouble.
        """

    def log_tails(self, step_id: str) -> dict[str, str]:
        """The ends of the step's own logs, by name, as far as they have arrived; empty while they have not."""

    def links(self, step_id: str) -> dict[str, str]:
        """Console and log addresses, by title."""

    def instances(self) -> list[RunningInstance]:
        """The machines that are or were part of it."""
