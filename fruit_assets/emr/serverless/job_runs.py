"""Job runs of EMR Serverless: the request to start one, and the status in the answers.

Put here pure translations. The calls are in `compute.py`.
"""

import hashlib
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fruit_assets.emr.compute import Phase, StepStatus, Submission
from fruit_assets.emr.errors import PermanentError

MAX_PROPERTIES = 100  # of one classification, in StartJobRun
# EMR Serverless' messages about missing capacity for a job run, and the advice for each.
_NO_ROOM = {
    "maximum vCPU": "Wait until other job runs have ended, or ask for more of the account's quota L-D05C8A75.",
    "maximumCapacity": "Wait until other job runs have ended, or raise maximumCapacity in the application spec.",
}
_PHASES: dict[str, Phase] = {
    "SUBMITTED": "waiting",
    "PENDING": "waiting",
    "QUEUED": "waiting",
    "SCHEDULED": "waiting",
    "RUNNING": "running",
    "CANCELLING": "cancelling",
    "SUCCESS": "succeeded",
    "FAILED": "failed",
    "CANCELLED": "cancelled",
}


@dataclass(frozen=True)
class JobSettings:
    """Settings of every job run of the launcher, beside its submission.

    Attributes:
        execution_role_arn: IAM role of job runs whose submission names none.
        timeout_minutes: EMR Serverless ends a job run after this time, queue included, also without orchestrator.
        log_uri: `s3://` folder for logs; None leaves it to the application.
        log_key_arn: KMS key that encrypts the logs.
        spark_conf: Spark settings; those of a submission override them.
        tags: of every job run.
        grace_seconds: time for a cancelled driver to clean up.
        billing_seconds: how long to wait for the billed usage of an ended job run.
    """

    execution_role_arn: str = ""
    timeout_minutes: int = 720
    log_uri: str | None = None
    log_key_arn: str | None = None
    spark_conf: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    grace_seconds: float = 30.0
    billing_seconds: float = 30.0

    def log_folder(self, application_id: str, job_run_id: str) -> str | None:
        """Where EMR Serverless puts the logs of a job run."""
        uri = self.log_uri
        return f"{uri.rstrip('/')}/applications/{application_id}/jobs/{job_run_id}" if uri else None


def start_request(application_id: str, submission: Submission, settings: JobSettings) -> dict[str, Any]:
    """The parameters of StartJobRun.

    Raises:
        PermanentError: there is no role, or there are more Spark settings than a request takes.
    """
    conf = {**settings.spark_conf, **submission.spark_conf}
    if len(conf) > MAX_PROPERTIES:
        raise PermanentError(
            f"The job run has {len(conf)} Spark settings, the limit is {MAX_PROPERTIES}: move some of them "
            "to the application's runtimeConfiguration."
        )
    role = submission.execution_role_arn or settings.execution_role_arn
    if not role:
        raise PermanentError("Job runs need an execution role: name it in the application spec or the launcher.")
    driver: dict[str, Any] = {"entryPoint": submission.main, "entryPointArguments": list(submission.arguments)}
    if submission.py_files:
        driver["sparkSubmitParameters"] = shlex.join(["--py-files", submission.py_files])
    overrides: dict[str, Any] = {"applicationConfiguration": [{"classification": "spark-defaults", "properties": conf}]}
    if settings.log_uri:
        key = {"encryptionKeyArn": settings.log_key_arn} if settings.log_key_arn else {}
        logs = {"s3MonitoringConfiguration": {"logUri": f"{settings.log_uri.rstrip('/')}/", **key}}
        overrides["monitoringConfiguration"] = logs
    return {
        "applicationId": application_id,
        # The token of the attempt makes the call repeatable: after a lost answer it starts no second job run.
        "clientToken": hashlib.sha256(submission.name.encode()).hexdigest(),
        "name": submission.name,
        "executionRoleArn": role,
        "jobDriver": {"sparkSubmit": driver},
        "configurationOverrides": overrides,
        "executionTimeoutMinutes": settings.timeout_minutes,
        # Dagster retries; a second start of the same attempt would do nothing.
        "retryPolicy": {"maxAttempts": 1},
        "tags": {**settings.tags, **submission.tags},
    }


def status_of(row: Mapping[str, Any], application_id: str, settings: JobSettings) -> StepStatus:
    """The status in a JobRun or a JobRunSummary."""
    identity, started = str(row.get("jobRunId") or row["id"]), row.get("startedAt")
    folder = settings.log_folder(application_id, identity)
    return StepStatus(
        step_id=identity,
        state=row["state"],
        phase=_PHASES.get(row["state"], "unknown"),
        reason=_with_advice(row.get("stateDetails", "") or ""),
        log_file=f"{folder}/SPARK_DRIVER/stderr.gz" if folder and row["state"] == "FAILED" else "",
        started=started.isoformat() if started else "",
    )


def _with_advice(details: str) -> str:
    advice = next((advice for words, advice in _NO_ROOM.items() if words in details), "")
    return f"{details} {advice}".strip()
