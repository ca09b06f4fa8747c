"""The cluster spec: a file with the parameters of RunJobFlow, identified by a hash.

Put here how the file is read, filled in and checked. Finding and creating clusters is `clusters.py`.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from fruit_assets.emr.errors import PermanentError
from fruit_assets.emr.spec_file import SPEC_TAG, deployed_variables, read_spec
from fruit_assets.emr.staging import StagingStore

# AmazonEMRServicePolicy_v2 acts only on clusters that carry this tag.
MANAGED_POLICY_TAG = "for-use-with-amazon-emr-managed-policies"
DEFAULT_IDLE_SECONDS = 1800


@dataclass(frozen=True)
class ClusterSpec:
    """The parameters of RunJobFlow, except the name and the tags that carry `digest`.

    Attributes:
        parameters: RunJobFlow parameters, filled in.
        dependencies: digest of the files that nodes are built from, so that a change of them requires a new cluster.
    """

    parameters: Mapping[str, Any]
    dependencies: str

    @cached_property
    def digest(self) -> str:
        content = json.dumps([self.parameters, self.dependencies], sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:16]

    @property
    def name(self) -> str:
        return f"{self.parameters.get('Name', 'dagster')}-{self.digest}"

    def run_job_flow(self, more_tags: Mapping[str, str] | None = None) -> dict[str, Any]:
        """The parameters of RunJobFlow, with those that every cluster of the launcher has."""
        tags = {tag["Key"]: tag["Value"] for tag in self.parameters.get("Tags", [])}
        tags |= {SPEC_TAG: self.digest, MANAGED_POLICY_TAG: "true", **(more_tags or {})}
        instances = {**self.parameters["Instances"], "KeepJobFlowAliveWhenNoSteps": True}
        idle = self.parameters.get("AutoTerminationPolicy") or {"IdleTimeout": DEFAULT_IDLE_SECONDS}
        return {
            **self.parameters,
            "Name": self.name,
            "Instances": instances,
            # Always: an idle cluster must not keep costing after the orchestrator is lost.
            "AutoTerminationPolicy": idle,
            "Tags": [{"Key": key, "Value": value} for key, value in sorted(tags.items())],
            "VisibleToAllUsers": True,
        }


def load_spec(path: Path, variables: Mapping[str, str]) -> ClusterSpec:
    """Read a cluster spec (YAML or JSON), fill it in and check it.

    Placeholders are those of `read_spec`. The key `Dependencies` lists files beside the spec; their content is part
    of the cluster's identity.

    Args:
        path: the spec.
        variables: values by name; an empty one counts as known.

    Raises:
        PermanentError: lists everything that is missing or wrong.
    """
    parameters, problems = read_spec(path, variables)
    files = [path.parent / name for name in parameters.pop("Dependencies", [])]
    problems += [
        f"Dependencies names {file.name}, which is not beside the spec." for file in files if not file.is_file()
    ]
    problems += _problems(parameters)
    if problems:
        listed = "\n".join(f"  - {problem}" for problem in problems)
        raise PermanentError(f"The cluster spec {path} cannot be used:\n{listed}")
    contents = b"".join(hashlib.sha256(file.read_bytes()).digest() for file in files)
    return ClusterSpec(parameters, hashlib.sha256(contents).hexdigest())


def deployed_spec(path: Path, staging: StagingStore, region: str | None, variables: Mapping[str, str]) -> ClusterSpec:
    """The spec filled in from a deployment's outputs; arguments as for `deployed_variables`."""
    return load_spec(path, deployed_variables(staging, region, variables))


def _problems(parameters: Mapping[str, Any]) -> list[str]:
    problems = [f"{key} is missing." for key in ("Name", "ReleaseLabel", "Instances") if not parameters.get(key)]
    if problems:
        return problems
    idle = (parameters.get("AutoTerminationPolicy") or {}).get("IdleTimeout", DEFAULT_IDLE_SECONDS)
    if not isinstance(idle, int) or not 60 <= idle <= 604_800:
        problems.append(f"AutoTerminationPolicy.IdleTimeout is {idle!r}: use 60 to 604800 seconds.")
    if "TerminationProtected" in parameters["Instances"]:
        problems.append("Instances.TerminationProtected would keep an idle cluster alive: remove it.")
    if not parameters.get("LogUri"):
        problems.append("LogUri is missing: EMR would keep no logs.")
    return problems
