"""Spec files (YAML or JSON with placeholders, filled in from a deployment's outputs), and tags of what they create.

Put here what the specs of all services share. The content of a spec is checked by the service's own
module (`ec2/cluster_spec.py`, `serverless/application_spec.py`).
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fruit_assets.emr.errors import PermanentError
from fruit_assets.emr.staging import StagingStore

SPEC_TAG = "dagster-emr-spec"
# Two projects in one account have a staging bucket each: neither may use or end clusters or applications of the other.
OWNER_TAG = "dagster-emr-staging"

_PLACEHOLDER = re.compile(r"\$\{([A-Za-z][A-Za-z0-9_.]*)(?::-([^}]*))?\}")


def read_spec(path: Path, variables: Mapping[str, str]) -> tuple[dict[str, Any], list[str]]:
    """The filled-in content of a spec, and one sentence for each placeholder without a value.

    `${name}` and `${name:-default}` are filled from `variables`; an entry that becomes empty is left out.
    `include: FILE` in the place of a value is replaced by the content of a JSON or YAML file beside the spec.

    Args:
        path: the spec.
        variables: values by name; an empty one counts as known.

    Raises:
        PermanentError: the file cannot be read, or holds no mapping.
    """
    missing: set[str] = set()

    def fill(found: re.Match[str]) -> str:
        name, default = found.group(1), found.group(2)
        known = variables.get(name)
        if known is None and default is None:
            missing.add(name)
        return known or default or ""

    filled: dict[str, Any] = _filled(_read(path), fill, path.parent)
    return filled, [f"${{{name}}} has no value: deploy first, or write it into the spec." for name in sorted(missing)]


def deployed_variables(staging: StagingStore, region: str | None, variables: Mapping[str, str]) -> dict[str, str]:
    """Values from `bootstrap/deployment.json` in the staging bucket, where a deployment writes its outputs.

    Args:
        staging: the staging bucket; `${staging}` is its URI.
        region: value of `${region}`, when given.
        variables: further values; they override the deployment's.
    """
    stored = staging.get("bootstrap/deployment.json")
    try:
        deployed = json.loads(stored.body) if stored is not None else {}
    except ValueError as error:
        raise PermanentError(f"{staging.uri_of('bootstrap/deployment.json')} is not JSON: deploy again.") from error
    known = {"staging": staging.uri, "log_uri": f"{staging.uri}/logs/", **({"region": region} if region else {})}
    return {**known, **{name: str(value) for name, value in deployed.items()}, **variables}


def owner_of(staging: StagingStore) -> str:
    """The owner tag's value: a hash of the staging URI, because tags do not take every character of it."""
    return hashlib.sha256(staging.uri.encode()).hexdigest()[:16]


def is_owned(tags: Mapping[str, str], owner: str) -> bool:
    """Whether the tags of a cluster or application name this owner."""
    return SPEC_TAG in tags and tags.get(OWNER_TAG) == owner


def _read(path: Path) -> dict[str, Any]:
    import yaml

    try:
        raw = yaml.safe_load(path.read_text())
    except OSError as error:
        raise PermanentError(f"The spec {path} cannot be read: {error.strerror}. Name another one.") from error
    except yaml.YAMLError as error:
        raise PermanentError(f"The spec {path} is not YAML or JSON: {error}") from error
    if not isinstance(raw, dict):
        raise PermanentError(f"The spec {path} holds no parameters by name.")
    return raw


def _filled(value: Any, fill: Callable[[re.Match[str]], str], folder: Path) -> Any:
    if isinstance(value, str):
        return _PLACEHOLDER.sub(fill, value)
    if isinstance(value, list):
        # A placeholder may hold several values, such as subnets: "a,b" in a list becomes two entries.
        items = [_filled(item, fill, folder) for item in value]
        split = [
            item.split(",") if isinstance(original, str) and _PLACEHOLDER.fullmatch(original) else [item]
            for original, item in zip(value, items, strict=True)
        ]
        return [item for group in split for item in group if item != ""]
    if isinstance(value, dict):
        if set(value) == {"include"}:
            return _included(folder / str(value["include"]))
        filled = {key: _filled(item, fill, folder) for key, item in value.items()}
        # An entry that becomes empty is left out (no subnet, no key), and so is a mapping that becomes empty.
        return {
            key: item for key, item in filled.items() if item not in ("", []) and not (item == {} and value[key] != {})
        }
    return value


def _included(path: Path) -> Any:
    import yaml

    try:
        return yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise PermanentError(f"The spec includes {path}, which cannot be read: {error}") from error
