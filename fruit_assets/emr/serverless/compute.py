"""EMR Serverless: the job runs of one application behind the `Compute` interface.

Put here calls about an application and its job runs. Requests and answers are translated in `job_runs.py`;
finding and creating applications is `applications.py`.
"""

import re
import shlex
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any

from fruit_assets.emr.aws import AwsRefusedError, call_with_retries, client, interruptible_sleep, pages
from fruit_assets.emr.compute import ComputeFailure, StepStatus, Submission
from fruit_assets.emr.cost import Cost, Prices
from fruit_assets.emr.errors import PermanentError
from fruit_assets.emr.logs import log_links, log_tails
from fruit_assets.emr.serverless.billed_hours import await_hours, cost_of_hours
from fruit_assets.emr.serverless.job_runs import JobSettings, start_request, status_of

_ACTIVE = ["SUBMITTED", "PENDING", "QUEUED", "SCHEDULED", "RUNNING"]
# CancelJobRun takes 15 to 1800 seconds, or none.
MIN_GRACE, MAX_GRACE = 15, 1800
CHANGING_SECONDS = 180.0  # how long a submission waits for an application that is being created or is stopping
_CHANGING = ("CREATING", "STOPPING")
_NO_ROLE = re.compile(r"Could not assume (execution|runtime) role")


class EmrServerless:
    """One application. Thread-safe; opens no connection before the first call."""

    def __init__(self, application_id: str, region: str | None = None, settings: JobSettings | None = None) -> None:
        self.application_id = application_id
        self._region = region
        self._settings = settings or JobSettings()
        self._refused_role = ""

    @property
    def target_id(self) -> str:
        return self.application_id

    @property
    def kind(self) -> str:
        return "application"

    @cached_property
    def emr_serverless(self) -> Any:
        return client("emr-serverless", self._region)

    def submit(self, submission: Submission) -> str:
        # The token of the attempt makes the call repeatable: after a lost answer it starts no second job run.
        request = start_request(self.application_id, submission, self._settings)
        deadline = time.monotonic() + CHANGING_SECONDS
        while True:
            try:
                answer = call_with_retries(self.emr_serverless.start_job_run, patience=120, **request)
                return str(answer["jobRunId"])
            except AwsRefusedError:
                # A new application is not ready at once, and one that is stopping starts again once it has stopped.
                if time.monotonic() > deadline or self.describe()["state"] not in _CHANGING:
                    raise
                interruptible_sleep(2.0)

    def find(self, name: str) -> str | None:
        return next((str(row["id"]) for row in self._job_runs() if row.get("name") == name), None)

    def statuses(self, wanted: Sequence[str] = ()) -> dict[str, StepStatus]:
        # Little patience: the monitor calls again soon, and reads events in between.
        if wanted:
            return {identity: self._status(self._job_run(identity, patience=3)) for identity in wanted[:10]}
        page = call_with_retries(
            self.emr_serverless.list_job_runs, applicationId=self.application_id, maxResults=50, patience=3
        )
        found = {str(row["id"]): self._status(row) for row in page["jobRuns"]}
        self._note_refused_role(found.values())
        return found

    def active(self) -> dict[str, str]:
        return {str(row["id"]): str(row.get("name", "")) for row in self._job_runs(states=_ACTIVE)}

    def cancel(self, step_id: str, *, force: bool) -> None:
        grace = round(min(MAX_GRACE, max(MIN_GRACE, self._settings.grace_seconds)))
        chosen: dict[str, Any] = {} if force else {"shutdownGracePeriodInSeconds": grace}
        try:
            call_with_retries(
                self.emr_serverless.cancel_job_run,
                applicationId=self.application_id,
                jobRunId=step_id,
                patience=20,
                **chosen,
            )
        except AwsRefusedError as refusal:
            # EMR Serverless refuses to cancel a job run that has ended.
            if refusal.code != "ValidationException" or not self.statuses([step_id])[step_id].is_final:
                raise

    def cancel_command(self, step_id: str) -> str:
        return self._command("cancel-job-run", step_id)

    def _command(self, operation: str, step_id: str) -> str:
        words = ["aws", "emr-serverless", operation, "--application-id", self.application_id]
        words += ["--job-run-id", step_id]
        return shlex.join(words + (["--region", self._region] if self._region else []))

    def describe(self) -> dict[str, Any]:
        """GetApplication's answer.

        Raises:
            PermanentError: there is no such application; names the region.
        """
        try:
            answer = call_with_retries(self.emr_serverless.get_application, applicationId=self.application_id)
        except AwsRefusedError as refusal:
            if refusal.code in ("ResourceNotFoundException", "ValidationException"):
                raise PermanentError(
                    f"There is no application {self.application_id} in region "
                    f"{self.emr_serverless.meta.region_name} of this account. Check the id and the region, or leave "
                    f"the id out to have an application created. AWS's message: {refusal}"
                ) from refusal
            raise
        return dict(answer["application"])

    def failure(self, patience: float = 0.0) -> ComputeFailure | None:
        if self._refused_role:
            advice = "Create the role first (deploy), or name one that emr-serverless.amazonaws.com may assume."
            return ComputeFailure(f"{self._refused_role} {advice}", retryable=False)
        application = self.describe()
        state = application["state"]
        if state == "TERMINATED":
            message = f"Application {self.application_id} is {state}. {application.get('stateDetails', '')}".strip()
            advice = "Run again to create a new application, or set the id of a running one."
            return ComputeFailure(f"{message} {advice}", retryable=False, clean_shutdown=True)
        starts_itself = (application.get("autoStartConfiguration") or {}).get("enabled", True)
        if state in ("CREATED", "STOPPED") and not starts_itself:
            advice = f"aws emr-serverless start-application --application-id {self.application_id}"
            return ComputeFailure(
                f"Application {self.application_id} is {state} and does not start by itself: {advice}", retryable=False
            )
        return None

    def log_tails(self, step_id: str) -> dict[str, str]:
        folder = self._settings.log_folder(self.application_id, step_id)
        return log_tails(f"{folder}/SPARK_DRIVER", self._region) if folder else {}

    def links(self, step_id: str) -> dict[str, str]:
        folder = self._settings.log_folder(self.application_id, step_id)
        links = log_links(f"{folder}/", self.emr_serverless.meta.region_name) if folder else {}
        # A command, because the address itself expires after an hour and has a token that must not be logged.
        return links | {"spark ui": self._command("get-dashboard-for-job-run", step_id)}

    def cost(
        self, step_id: str, start: datetime, end: datetime, prices: Prices, *, has_ended: bool = False
    ) -> Cost | None:
        """The billed cost of the job run; None before it has ended."""
        if not has_ended:
            return None
        hours = await_hours(lambda: self._job_run(step_id, patience=10), self._settings.billing_seconds)
        if hours is None:
            return None
        return cost_of_hours(hours, self.describe().get("architecture", "X86_64"), step_id, prices)

    def _job_runs(self, **chosen: Any) -> Iterator[dict[str, Any]]:
        method = self.emr_serverless.list_job_runs
        for page in pages(method, applicationId=self.application_id, maxResults=50, **chosen):
            yield from page["jobRuns"]

    def _job_run(self, job_run_id: str, patience: float = 60.0) -> dict[str, Any]:
        answer = call_with_retries(
            self.emr_serverless.get_job_run, applicationId=self.application_id, jobRunId=job_run_id, patience=patience
        )
        return dict(answer["jobRun"])

    def _status(self, row: Mapping[str, Any]) -> StepStatus:
        return status_of(row, self.application_id, self._settings)

    def _note_refused_role(self, statuses: Iterable[StepStatus]) -> None:
        """Remember that the execution role cannot be assumed: every job run fails then, and a retry cannot help."""
        refused = [status.reason for status in statuses if status.phase == "failed" and _NO_ROLE.search(status.reason)]
        self._refused_role = refused[0] if refused else ""
