"""EMR Serverless's operations, each a method named like the operation.

Put here refusals and what an operation changes at once. Running and stopping belongs to the executions.
"""

from collections.abc import Callable
from typing import Any

from fruit_assets_tests.emr_simulator.releases import release_labels
from fruit_assets_tests.emr_simulator.serialisation import EmrError, validation_error
from fruit_assets_tests.emr_simulator.serverless.applications import ENDED, Application, JobRun, not_found
from fruit_assets_tests.emr_simulator.serverless.execution import JobRunExecution

Params = dict[str, Any]


class ServerlessOperations:
    """Answers for one account. Every method is called with the register's lock held.

    Args:
        account: its number.
        begin: starts the execution of a job run.
        pace: seconds that an application takes to start or stop.
        idle_scale: seconds of ours for one second of an idle timeout.
        billing_delay: seconds from the end of a job run to its billed hours.
    """

    def __init__(
        self,
        account: str,
        begin: Callable[[JobRun], JobRunExecution],
        *,
        pace: float,
        idle_scale: float,
        billing_delay: float,
    ) -> None:
        self.applications: dict[str, Application] = {}
        self.executions: dict[str, JobRunExecution] = {}
        self._account = account
        self._begin = begin
        self._pace = (pace, idle_scale)
        self._billing_delay = billing_delay
        self._tokens: dict[tuple[str, str], tuple[Params, str]] = {}

    def CreateApplication(self, region: str, params: Params) -> Params:  # noqa: N802
        if params["releaseLabel"] not in release_labels():
            raise validation_error(f"Release label {params['releaseLabel']} is not supported.")
        if params["type"].upper() != "SPARK":
            raise validation_error("The simulator knows applications of type SPARK only.")
        known = self._known("CreateApplication", params)
        if known is None:
            application = Application(params, region, self._account, *self._pace)
            self.applications[application.id] = application
            self._remember("CreateApplication", params, application.id)
            known = application.id
        application = self.applications[known]
        return {"applicationId": application.id, "name": params.get("name", known), "arn": application.arn}

    def GetApplication(self, region: str, params: Params) -> Params:  # noqa: N802
        return {"application": self._application(region, params).description()}

    def ListApplications(self, region: str, params: Params) -> Params:  # noqa: N802
        found = [one for one in self.applications.values() if one.region == region]
        for application in found:
            application.refresh()
        states = params.get("states")
        rows = [one.summary() for one in reversed(found) if not states or one.state in states]
        return _page("applications", rows, params)

    def UpdateApplication(self, region: str, params: Params) -> Params:  # noqa: N802
        application = self._application(region, params)
        if application.state not in ("CREATED", "STOPPED"):
            raise validation_error(f"Application {application.id} must be in the CREATED or STOPPED state.")
        application.request |= {
            key: value for key, value in params.items() if key not in ("applicationId", "clientToken")
        }
        return {"application": application.description()}

    def StartApplication(self, region: str, params: Params) -> Params:  # noqa: N802
        application = self._application(region, params)
        if application.state in ("CREATED", "STOPPED"):
            application.change("STARTING")
        return {}

    def StopApplication(self, region: str, params: Params) -> Params:  # noqa: N802
        application = self._application(region, params)
        if application.active:
            raise validation_error(f"Application {application.id} has job runs that have not ended.")
        application.change("STOPPING" if application.state == "STARTED" else "STOPPED")
        return {}

    def DeleteApplication(self, region: str, params: Params) -> Params:  # noqa: N802
        application = self._application(region, params)
        if application.state not in ("CREATED", "STOPPED"):
            raise validation_error(f"Application {application.id} must be in the CREATED or STOPPED state.")
        application.change("TERMINATED")
        return {}

    def TagResource(self, region: str, params: Params) -> Params:  # noqa: N802
        self._tagged(params).tags.update(params["tags"])
        return {}

    def ListTagsForResource(self, region: str, params: Params) -> Params:  # noqa: N802
        return {"tags": self._tagged(params).tags}

    def StartJobRun(self, region: str, params: Params) -> Params:  # noqa: N802
        application = self._application(region, params)
        known = self._known(application.id, params)
        if known is None:
            self._refuse_job_run(application, params)
            run = JobRun(params, application)
            application.job_runs[run.id] = run
            self._remember(application.id, params, run.id)
            if application.state in ("CREATED", "STOPPED"):
                application.change("STARTING")
            self.executions[run.id] = self._begin(run)
            known = run.id
        run = application.job_runs[known]
        return {"applicationId": application.id, "jobRunId": run.id, "arn": run.arn}

    def GetJobRun(self, region: str, params: Params) -> Params:  # noqa: N802
        return {"jobRun": self._job_run(region, params).description(self._billing_delay)}

    def ListJobRuns(self, region: str, params: Params) -> Params:  # noqa: N802
        runs = reversed(self._application(region, params).job_runs.values())
        rows = [run.summary() for run in runs]
        states, after = params.get("states"), params.get("createdAtAfter")
        kept = [
            row for row in rows if (not states or row["state"] in states) and (not after or row["createdAt"] > after)
        ]
        return _page("jobRuns", kept, params)

    def CancelJobRun(self, region: str, params: Params) -> Params:  # noqa: N802
        run = self._job_run(region, params)
        grace = params.get("shutdownGracePeriodInSeconds", 0)
        if grace and not 15 <= grace <= 1800:
            raise validation_error("The shutdown grace period must be between 15 and 1800 seconds.")
        if run.state in ENDED:
            raise validation_error(f"Job run {run.id} is in a terminal state {run.state}.")
        self.executions[run.id].cancel(grace)
        return {"applicationId": run.application.id, "jobRunId": run.id}

    def GetDashboardForJobRun(self, region: str, params: Params) -> Params:  # noqa: N802
        run = self._job_run(region, params)
        if run.started_at is None:
            raise validation_error(f"Job run {run.id} has not started.")
        return {"url": f"https://j-{run.id}.dashboard.emr-serverless.{region}.amazonaws.com/?authToken=simulated"}

    def _refuse_job_run(self, application: Application, params: Params) -> None:
        if application.state not in ("CREATED", "STARTING", "STARTED", "STOPPED"):
            raise validation_error(f"Application {application.id} is {application.state} and takes no job runs.")
        if application.state in ("CREATED", "STOPPED") and not application.starts_itself:
            raise validation_error(f"Application {application.id} is not started, and does not start by itself.")
        if "sparkSubmit" not in params.get("jobDriver", {}):
            raise validation_error("The job driver of a Spark application must be sparkSubmit.")
        if params.get("executionTimeoutMinutes", 720) > 10_080:
            raise validation_error("The execution timeout of a batch job must be at most 10080 minutes.")

    def _application(self, region: str, params: Params) -> Application:
        application = self.applications.get(params["applicationId"])
        if application is None or application.region != region:
            raise not_found("Application", params["applicationId"])
        application.refresh()
        return application

    def _job_run(self, region: str, params: Params) -> JobRun:
        run = self._application(region, params).job_runs.get(params["jobRunId"])
        if run is None:
            raise not_found("Job run", params["jobRunId"])
        return run

    def _tagged(self, params: Params) -> Application:
        found = [one for one in self.applications.values() if one.arn == params["resourceArn"]]
        if not found:
            raise not_found("Resource", params["resourceArn"])
        return found[0]

    def _known(self, scope: str, params: Params) -> str | None:
        """What an earlier request with the same client token made."""
        earlier = self._tokens.get((scope, params["clientToken"]))
        if earlier is None:
            return None
        if earlier[0] != params:
            raise EmrError("ConflictException", "The client token was used with other parameters.", 409)
        return earlier[1]

    def _remember(self, scope: str, params: Params, identity: str) -> None:
        self._tokens[scope, params["clientToken"]] = (params, identity)


def _page(name: str, rows: list[Params], params: Params) -> Params:
    start, size = int(params.get("nextToken", "0")), params.get("maxResults", 50)
    more = {"nextToken": str(start + size)} if len(rows) > start + size else {}
    return {name: rows[start : start + size], **more}
