"""The cluster spec: a file that becomes the parameters of RunJobFlow, and a hash that names them.

Put here how the file is read, filled in and checked. Finding and creating clusters is `clusters.py`.
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from fruit_assets.emr.errors import PermanentError
from fruit_assets.emr.staging import StagingStore

SPEC_TAG = "dagster-emr-spec"
# AmazonEMRServicePolicy_v2 acts only on clusters that carry this tag.
MANAGED_POLICY_TAG = "for-use-with-amazon-emr-managed-policies"
DEFAULT_IDLE_SECONDS = 1800

_PLACEHOLDER = re.compile(r"\$\{([A-Za-z][A-Za-z0-9_.]*)(?::-([^}]*))?\}")


@dataclass(frozen=True)
class ClusterSpec:
    """Everything RunJobFlow is told, except the name and the tags that carry `digest`.

    Attributes:
        parameters: RunJobFlow parameters, filled in.
        dependencies: digest of the files a node is built from, so that a change of them asks for a new cluster.
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
        """The parameters of RunJobFlow, with what holds for every cluster of ours."""
        tags = {tag["Key"]: tag["Value"] for tag in self.parameters.get("Tags", [])}
        tags |= {SPEC_TAG: self.digest, MANAGED_POLICY_TAG: "true", **(more_tags or {})}
        instances = {**self.parameters["Instances"], "KeepJobFlowAliveWhenNoSteps": True}
        idle = self.parameters.get("AutoTerminationPolicy") or {"IdleTimeout": DEFAULT_IDLE_SECONDS}
        return {
            **self.parameters,
            "Name": self.name,
            "Instances": instances,
            # Always: nothing may keep costing when the orchestrator dies.
            "AutoTerminationPolicy": idle,
            "Tags": [{"Key": key, "Value": value} for key, value in sorted(tags.items())],
            "VisibleToAllUsers": True,
        }


def load_spec(path: Path, variables: Mapping[str, str]) -> ClusterSpec:
    """Read a cluster spec (YAML or JSON), fill it in and check it.

    `${name}` and `${name:-default}` are filled from `variables`. `include: FILE` in the place of a value is
    replaced by the content of a JSON or YAML file beside the spec. The key `Dependencies` lists files beside the
    spec whose content belongs to the cluster's identity.

    Args:
        path: the spec.
        variables: values by name; an empty one counts as known.

    Raises:
        PermanentError: lists everything that is missing or wrong.
    """
    raw = _read(path)
    files = [path.parent / name for name in raw.pop("Dependencies", [])]
    problems = [
        f"Dependencies names {file.name}, which is not beside the spec." for file in files if not file.is_file()
    ]
    missing: set[str] = set()

    def fill(found: re.Match[str]) -> str:
        name, default = found.group(1), found.group(2)
        known = variables.get(name)
        if known is None and default is None:
            missing.add(name)
        return known or default or ""

    parameters = _filled(raw, fill, path.parent)
    problems += [f"${{{name}}} has no value: deploy first, or write it into the spec." for name in sorted(missing)]
    problems += _problems(parameters)
    if problems:
        listed = "\n".join(f"  - {problem}" for problem in problems)
        raise PermanentError(f"The cluster spec {path} cannot be used:\n{listed}")
    contents = b"".join(hashlib.sha256(file.read_bytes()).digest() for file in files)
    return ClusterSpec(parameters, hashlib.sha256(contents).hexdigest())


def deployed_spec(path: Path, staging: StagingStore, region: str | None, variables: Mapping[str, str]) -> ClusterSpec:
    """The spec filled in from `bootstrap/deployment.json` in the staging bucket, where a deployment left its facts.

    Args:
        path: the spec.
        staging: the staging bucket; `${staging}` is its URI.
        region: known as `${region}` when given.
        variables: further values; they win over the deployment's.
    """
    stored = staging.get("bootstrap/deployment.json")
    try:
        deployed = json.loads(stored.body) if stored is not None else {}
    except ValueError as error:
        raise PermanentError(f"{staging.uri_of('bootstrap/deployment.json')} is not JSON: deploy again.") from error
    known = {"staging": staging.uri, "log_uri": f"{staging.uri}/logs/", **({"region": region} if region else {})}
    return load_spec(path, {**known, **{name: str(value) for name, value in deployed.items()}, **variables})


def _read(path: Path) -> dict[str, Any]:
    import yaml

    try:
        raw = yaml.safe_load(path.read_text())
    except OSError as error:
        raise PermanentError(f"The cluster spec {path} cannot be read: {error.strerror}. Name another one.") from error
    except yaml.YAMLError as error:
        raise PermanentError(f"The cluster spec {path} is not YAML or JSON: {error}") from error
    if not isinstance(raw, dict):
        raise PermanentError(f"The cluster spec {path} does not hold the parameters of RunJobFlow.")
    return raw


def _filled(value: Any, fill: Callable[[re.Match[str]], str], folder: Path) -> Any:
    if isinstance(value, str):
        return _PLACEHOLDER.sub(fill, value)
    if isinstance(value, list):
        # A placeholder may hold several values, such as subnets: "a,b" in a list becomes two entries.
        items = [_filled(item, fill, folder) for item in value]
        split = [
            item.split(",") if isinstance(was, str) and _PLACEHOLDER.fullmatch(was) else [item]
            for was, item in zip(value, items, strict=True)
        ]
        return [item for group in split for item in group if item != ""]
    if isinstance(value, dict):
        if set(value) == {"include"}:
            return _included(folder / str(value["include"]))
        filled = {key: _filled(item, fill, folder) for key, item in value.items()}
        # An empty default means "leave it out": no subnet, no key.
        return {key: item for key, item in filled.items() if item not in ("", [])}
    return value


def _included(path: Path) -> Any:
    import yaml

    try:
        return yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise PermanentError(f"The cluster spec includes {path}, which cannot be read: {error}") from error


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
