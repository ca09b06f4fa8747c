"""The step launcher for EMR on EC2.

Put here the settings that choose a cluster. Everything that holds for every service is in
`../launcher_settings.py` and `../step_launcher.py`.
"""

from pathlib import Path

from pydantic import Field

from fruit_assets.emr.compute import ComputeSource
from fruit_assets.emr.ec2.cluster_source import ClusterSource
from fruit_assets.emr.staging import StagingStore
from fruit_assets.emr.step_launcher import PySparkStepLauncher


class EmrPySparkStepLauncher(PySparkStepLauncher):
    """Runs each step that requires this resource as a step of an EMR cluster."""

    cluster_id: str | None = Field(default=None, description="A running cluster; None finds or creates one.")
    cluster_spec: str | None = Field(default=None, description="File that RunJobFlow's parameters are read from.")
    cluster_variables: dict[str, str] = Field(default={}, description="Values for the spec's ${names}.")

    def compute_source(self, staging: StagingStore) -> ComputeSource:
        spec = Path(self.cluster_spec) if self.cluster_spec else None
        return ClusterSource(staging, self.region, self.cluster_id, spec, self.cluster_variables)
