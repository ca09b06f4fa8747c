"""Uploads of one attempt before its step starts: the remote main, the code, the request.

Put here the uploads and the submission that refers to them. The content of the request is
`../protocol/step_request.py`; the phases of the attempt are `step_attempt.py`.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg

from fruit_assets.emr.attempt.imports import check_complete
from fruit_assets.emr.attempt.packaging import build_package, ship
from fruit_assets.emr.attempt.step_settings import step_settings
from fruit_assets.emr.compute import Submission
from fruit_assets.emr.errors import PermanentError
from fruit_assets.emr.launcher_settings import LauncherSettings
from fruit_assets.emr.node_environment import check_env_vars, checked_environment, secret_references
from fruit_assets.emr.protocol.attempt import Attempt
from fruit_assets.emr.protocol.messages import encode
from fruit_assets.emr.protocol.step_request import pack_request, rebuildable_job
from fruit_assets.emr.protocol.versions import orchestrator_versions
from fruit_assets.emr.staging import StagingStore

LIBRARY = __name__.rsplit(".", 2)[0]  # the launcher's own import name, the same on the node
REMOTE_MAIN = Path(__file__).parent.parent / "remote" / "bootstrap_main.py"


@dataclass(frozen=True)
class ShippedCode:
    """Where a step gets its code: `uri` and `sha256` of a zip, both empty where nodes have the code installed."""

    uri: str
    sha256: str


def check_step(launcher: LauncherSettings, context: dg.StepExecutionContext) -> None:
    """Refuse a step that cannot work, before a cluster is created.

    Raises:
        PermanentError: settings are wrong, a node cannot rebuild the job, the packages are incomplete, or the node
            lacks a variable.
    """
    launcher.check()
    rebuildable_job(context, launcher.packages)
    step_settings(launcher, context)
    check_env_vars(context, {*launcher.environment, *launcher.secrets, *launcher.node_variables})
    if launcher.code == "ship":
        check_complete(build_package([LIBRARY, *launcher.packages], launcher.exclude))


def prepare(
    launcher: LauncherSettings, context: dg.StepExecutionContext, staging: StagingStore, attempt: Attempt
) -> Submission:
    """Upload what the step reads when it starts; returns the submission that starts it.

    Raises:
        PermanentError: the job cannot be rebuilt on a node, or a package cannot be shipped.
    """
    code = _code(launcher, context, staging)
    info = _environment_info(launcher, code)
    request = encode(pack_request(context, packages=launcher.packages, attempt=attempt, environment_info=info))
    objects = staging.subprefix(attempt.prefix)
    objects.put("request.json", request)
    settings = step_settings(launcher, context)
    return Submission(
        name=attempt.step_name,
        main=_upload_main(staging),
        arguments=[f"{objects.uri_of('request.json')}#sha256={hashlib.sha256(request).hexdigest()}"],
        py_files=code.uri,
        spark_conf=settings.spark_conf,
        deploy_mode=launcher.deploy_mode,
        execution_role_arn=settings.execution_role_arn,
        tags=settings.tags,
    )


def _code(launcher: LauncherSettings, context: dg.StepExecutionContext, staging: StagingStore) -> ShippedCode:
    if launcher.code == "installed":
        return ShippedCode("", "")
    if launcher.code != "ship":
        folder, _, name = launcher.code.rpartition("/")
        stored = StagingStore(folder, launcher.region).get(name)
        if stored is None:
            raise PermanentError(f"There is no {launcher.code}, which the launcher's `code` names: upload it first.")
        return ShippedCode(launcher.code, hashlib.sha256(stored.body).hexdigest())
    package = build_package([LIBRARY, *launcher.packages], launcher.exclude)
    uri, is_new = ship(package, staging)
    if is_new and package.left_out:
        context.log.info(f"Left out of the shipped code: {', '.join(package.left_out)}")
    return ShippedCode(uri, package.sha256)


def _environment_info(launcher: LauncherSettings, code: ShippedCode) -> dict[str, Any]:
    return {
        "library": LIBRARY,
        "packages": [name.partition(".")[0] for name in launcher.packages],
        "code": vars(code),
        "versions": orchestrator_versions(LIBRARY.partition(".")[0]),
        "modules": launcher.modules,
        "environment": checked_environment(launcher.environment, launcher.not_secret),
        "secrets": secret_references(launcher.secrets),
        "encryption": launcher.encryption,
        "heartbeat_seconds": launcher.heartbeat_seconds,
    }


def _upload_main(staging: StagingStore) -> str:
    """The URI of the remote main, uploaded once per version of it."""
    content = REMOTE_MAIN.read_bytes()
    name = f"code/main-{hashlib.sha256(content).hexdigest()}.py"
    if staging.age(name) is None:
        staging.put(name, content)
    return staging.uri_of(name)
