"""Where the launcher's application comes from: the given id, or the spec's application, found or created.

Put here the choice. How applications are found and created is `applications.py`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from fruit_assets.emr.compute import Compute
from fruit_assets.emr.errors import PermanentError
from fruit_assets.emr.serverless.application_spec import ApplicationSpec, load_application_spec
from fruit_assets.emr.serverless.applications import Applications, with_max_runtime
from fruit_assets.emr.serverless.compute import EmrServerless
from fruit_assets.emr.serverless.job_runs import JobSettings
from fruit_assets.emr.spec_file import deployed_variables
from fruit_assets.emr.staging import StagingStore


@dataclass(frozen=True)
class ApplicationSource:
    """The application with `application_id`; without an id, the application of `spec` filled in with `variables`.

    With both, the id chooses the application and the spec's `jobRuns` apply to its job runs.
    """

    staging: StagingStore
    region: str | None
    application_id: str | None
    spec: Path | None
    variables: Mapping[str, str]
    grace_seconds: float = 30.0
    billing_seconds: float = 30.0
    max_runtime_seconds: float | None = None

    @property
    def is_replaceable(self) -> bool:
        return self.application_id is None

    def acquire(self) -> tuple[Compute, str]:
        applications = Applications(self.staging, self.region)
        spec = self._spec()
        if self.application_id:
            settings = spec.job_runs if spec is not None else self._limited(JobSettings())
            return applications.get(self.application_id, settings), "given by its id"
        if spec is None:
            raise PermanentError("The launcher has neither an application_id nor an application_spec: give it one.")
        compute, is_new = applications.find_or_create(spec)
        return compute, "created for this run" if is_new else "found by its tag"

    def owned(self) -> Iterator[Compute]:
        if self.application_id:
            yield EmrServerless(self.application_id, self.region)
            return
        for application in Applications(self.staging, self.region).owned():
            yield EmrServerless(application["applicationId"], self.region)

    def _spec(self) -> ApplicationSpec | None:
        if self.spec is None:
            return None
        variables = deployed_variables(self.staging, self.region, self.variables)
        spec = load_application_spec(self.spec, variables)
        return ApplicationSpec(spec.parameters, self._limited(spec.job_runs))

    def _limited(self, settings: JobSettings) -> JobSettings:
        patient = replace(settings, grace_seconds=self.grace_seconds, billing_seconds=self.billing_seconds)
        return with_max_runtime(patient, self.max_runtime_seconds)
