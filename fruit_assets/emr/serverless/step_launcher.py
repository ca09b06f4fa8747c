"""The step launcher for EMR Serverless.

Put here the settings that choose an application. Everything that holds for every service is in
`../launcher_settings.py` and `../step_launcher.py`.
"""

from pathlib import Path

from pydantic import Field

from fruit_assets.emr.compute import ComputeSource
from fruit_assets.emr.serverless.application_source import ApplicationSource
from fruit_assets.emr.staging import StagingStore
from fruit_assets.emr.step_launcher import PySparkStepLauncher


class EmrServerlessStepLauncher(PySparkStepLauncher):
    """Runs each step that requires this resource as a job run of an EMR Serverless application."""

    application_id: str | None = Field(default=None, description="An application; None finds or creates one.")
    application_spec: str | None = Field(
        default=None, description="File with CreateApplication's parameters, and what job runs get."
    )
    billing_wait_seconds: float = Field(
        default=30.0, ge=0, description="Patience for what a job run was billed; 0 shows the hours it used, if any."
    )
    application_variables: dict[str, str] = Field(default={}, description="Values for the spec's ${names}.")

    def compute_source(self, staging: StagingStore) -> ComputeSource:
        return ApplicationSource(
            staging,
            self.region,
            self.application_id,
            Path(self.application_spec) if self.application_spec else None,
            self.application_variables,
            grace_seconds=self.cancel_seconds,
            billing_seconds=self.billing_wait_seconds,
            max_runtime_seconds=self.max_runtime_seconds,
        )
