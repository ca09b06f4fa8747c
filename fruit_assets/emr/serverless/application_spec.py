"""The application spec: a file with the parameters of CreateApplication and of every job run.

Put here how it is read and checked. Finding and creating applications is `applications.py`.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from fruit_assets.emr.errors import PermanentError
from fruit_assets.emr.serverless.job_runs import JobSettings
from fruit_assets.emr.spec_file import read_spec

MAX_TIMEOUT_MINUTES = 10_080  # of a batch job run
_JOB_RUNS = "jobRuns"
_KNOWN_JOB_KEYS = {"executionRoleArn", "executionTimeoutMinutes", "logUri", "logKeyArn", "sparkConf"}


@dataclass(frozen=True)
class ApplicationSpec:
    """Parameters of an application and its job runs.

    Attributes:
        parameters: of CreateApplication, except the tag that carries `digest`.
        job_runs: settings of every job run.
    """

    parameters: Mapping[str, Any]
    job_runs: JobSettings

    @cached_property
    def digest(self) -> str:
        """Identifies the application; independent of the settings of job runs."""
        content = json.dumps(self.parameters, sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:16]

    @property
    def name(self) -> str:
        return f"{self.parameters['name']}-{self.digest}"


def load_application_spec(path: Path, variables: Mapping[str, str]) -> ApplicationSpec:
    """Read an application spec (YAML or JSON), fill it in and check it.

    It has the parameters of CreateApplication, and `jobRuns`: executionRoleArn, executionTimeoutMinutes, logUri,
    logKeyArn, sparkConf. Placeholders are those of a cluster spec.

    Args:
        path: the spec.
        variables: values by name; an empty one counts as known.

    Raises:
        PermanentError: lists everything that is missing or wrong.
    """
    parameters, problems = read_spec(path, variables)
    job_runs = parameters.pop(_JOB_RUNS, {})
    problems += [f"{key} is missing." for key in ("name", "releaseLabel", "type") if not parameters.get(key)]
    problems += _job_run_problems(job_runs)
    stop = parameters.get("autoStopConfiguration", {})
    if not stop.get("enabled", True):
        problems.append("autoStopConfiguration.enabled is false: an idle application would keep costing.")
    if problems:
        listed = "\n".join(f"  - {problem}" for problem in problems)
        raise PermanentError(f"The application spec {path} cannot be used:\n{listed}")
    return ApplicationSpec(
        parameters,
        JobSettings(
            execution_role_arn=job_runs["executionRoleArn"],
            timeout_minutes=job_runs.get("executionTimeoutMinutes", 720),
            log_uri=job_runs.get("logUri"),
            log_key_arn=job_runs.get("logKeyArn"),
            spark_conf=job_runs.get("sparkConf", {}),
            tags=parameters.get("tags", {}),
        ),
    )


def _job_run_problems(job_runs: Mapping[str, Any]) -> list[str]:
    problems = [f"{_JOB_RUNS}.{key} is missing." for key in ("executionRoleArn", "logUri") if not job_runs.get(key)]
    problems += [f"{_JOB_RUNS}.{key} is not known." for key in sorted(set(job_runs) - _KNOWN_JOB_KEYS)]
    timeout = job_runs.get("executionTimeoutMinutes", 720)
    if not isinstance(timeout, int) or not 1 <= timeout <= MAX_TIMEOUT_MINUTES:
        problems.append(f"{_JOB_RUNS}.executionTimeoutMinutes is {timeout!r}: use 1 to {MAX_TIMEOUT_MINUTES}.")
    return problems
