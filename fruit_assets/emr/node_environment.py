"""Environment variables of a remote step: plain values, and references to secrets that the node fetches itself.

Put here which variables may be sent and which are refused before submission. Values of secrets never pass through
the orchestrator: the node reads them with its own role (`remote/bootstrap_main.py`).
"""

import re
from collections.abc import Collection, Iterator, Mapping
from itertools import pairwise
from typing import Any, Literal

import dagster as dg

from fruit_assets.emr.errors import PermanentError
from fruit_assets.emr.remote_only import config_names, environment_names

_SECRET_WORDS = {
    "APIKEY", "AUTH", "CREDENTIAL", "CREDENTIALS", "PASS", "PASSPHRASE", "PASSWD", "PASSWORD", "PASSWORDS", "PWD",
    "SECRET", "SECRETS", "TOKEN",
}  # fmt: skip
_SECRET_PAIRS = {("ACCESS", "KEY"), ("API", "KEY"), ("PRIVATE", "KEY"), ("CONN", "STRING"), ("CONNECTION", "STRING")}
_NOT_SECRET = {"PWD", "OLDPWD"}  # the shell's working directories
_USER_AND_PASSWORD = re.compile(r"://[^/\s:@]+:[^/\s@]+@")
_SCHEMES: dict[str, Literal["secretsmanager", "ssm"]] = {
    "secretsmanager:": "secretsmanager",
    "ssm:": "ssm",
    "arn:aws:ssm:": "ssm",
    "arn:aws:secretsmanager:": "secretsmanager",
}


def checked_environment(environment: Mapping[str, str], not_secret: Collection[str] = ()) -> dict[str, str]:
    """The environment, refused when a variable looks like a secret.

    Args:
        environment: values by name; they are written to the staging bucket in the clear.
        not_secret: names that look like secrets but are not.

    Raises:
        PermanentError: names the variables.
    """
    suspects = sorted(
        name for name, value in environment.items() if name not in not_secret and _looks_secret(name, value)
    )
    if suspects:
        raise PermanentError(
            f"The environment for the remote step holds what looks like secrets: {', '.join(suspects)}. It is written "
            "to the staging bucket in the clear: name them in the launcher's `secrets`, so that the node fetches them, "
            "or in `not_secret` if they are not secret."
        )
    return dict(environment)


def secret_references(secrets: Mapping[str, str]) -> list[dict[str, str]]:
    """The secrets that the node fetches: variable, service, name and, for a JSON secret, the key.

    Args:
        secrets: by variable: `NAME` or `secretsmanager:NAME` in Secrets Manager, `ssm:NAME` in Parameter Store, or
            an ARN of either; `#KEY` after it takes one value of a JSON secret.

    Raises:
        PermanentError: a reference is empty.
    """
    references = []
    for variable, reference in sorted(secrets.items()):
        place, _, key = reference.partition("#")
        scheme = next((scheme for scheme in _SCHEMES if place.startswith(scheme)), "secretsmanager:")
        name = place if place.startswith("arn:") else place.removeprefix(scheme)
        if not name.strip():
            raise PermanentError(f"secrets[{variable!r}] is {reference!r}: use NAME, ssm:NAME or an ARN, then #KEY.")
        references.append({"variable": variable, "service": _SCHEMES[scheme], "name": name, "key": key})
    return references


def check_env_vars(context: dg.StepExecutionContext, known: Collection[str]) -> None:
    """Refuse a step whose resources or config read an `EnvVar` that the node will not have.

    Raises:
        PermanentError: names the variables and where each is read.
    """
    missing = sorted({f"{name} ({place})" for name, place in _env_vars(context) if name not in known})
    if missing:
        raise PermanentError(
            f"{context.step.key} reads environment variables that its node does not have: {', '.join(missing)}. Add "
            "each to the launcher's `environment`, to `secrets`, or to `node_variables` if nodes have it already."
        )


def _env_vars(context: dg.StepExecutionContext) -> Iterator[tuple[str, str]]:
    run_config: Mapping[str, Any] = context.run_config
    for key in context.required_resource_keys:
        for name in environment_names(context.job_def.resource_defs.get(key)):
            yield name, f"resource {key}"
        for name in config_names(run_config.get("resources", {}).get(key)):
            yield name, f"resource {key}"
    for name in config_names(run_config.get("ops", {}).get(context.op.name)):
        yield name, f"config of {context.op.name}"


def _looks_secret(name: str, value: str) -> bool:
    if name in _NOT_SECRET:
        return False
    words = re.findall(r"[A-Z0-9]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).upper())
    if _SECRET_WORDS.intersection(words) or _SECRET_PAIRS.intersection(pairwise(words)):
        return True
    return any(word.endswith(("PASSWORD", "SECRET", "APIKEY")) for word in words) or bool(
        _USER_AND_PASSWORD.search(value)
    )
