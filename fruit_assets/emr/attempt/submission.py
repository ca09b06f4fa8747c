"""What one attempt uploads before its step starts: the remote main, the code, the request.

Put here the uploads and the submission that refers to them. What the request holds is
`protocol/step_request.py`; the course of the attempt is `step_attempt.py`.
"""

import hashlib
from pathlib import Path
from typing import Any

import dagster as dg

from fruit_assets.emr.attempt.packaging import Package, build_package, ship
from fruit_assets.emr.compute import Submission
from fruit_assets.emr.launcher_settings import LauncherSettings
from fruit_assets.emr.protocol.attempt import Attempt
from fruit_assets.emr.protocol.messages import encode
from fruit_assets.emr.protocol.step_request import checked_environment, pack_request
from fruit_assets.emr.protocol.versions import orchestrator_versions
from fruit_assets.emr.staging import StagingStore

LIBRARY = __name__.rsplit(".", 2)[0]  # the launcher's own import name, the same on the node
REMOTE_MAIN = Path(__file__).parent.parent / "remote" / "bootstrap_main.py"


def prepare(
    launcher: LauncherSettings, context: dg.StepExecutionContext, staging: StagingStore, attempt: Attempt
) -> Submission:
    """Upload everything the step reads when it starts; returns the submission that starts it.

    Raises:
        PermanentError: the job cannot be rebuilt on a node, or a package cannot be shipped.
    """
    package = build_package([LIBRARY, launcher.package])
    code = ship(package, staging)
    info = _environment_info(launcher, package, code)
    request = encode(pack_request(context, package=launcher.package, attempt=attempt, environment_info=info))
    objects = staging.subprefix(attempt.prefix)
    objects.put("request.json", request)
    argument = f"{objects.uri_of('request.json')}#sha256={hashlib.sha256(request).hexdigest()}"
    return Submission(
        attempt.step_name, _upload_main(staging), [argument], code, launcher.spark_conf, launcher.deploy_mode
    )


def _environment_info(launcher: LauncherSettings, package: Package, code: str) -> dict[str, Any]:
    return {
        "library": LIBRARY,
        "packages": list(package.names),
        "code": {"uri": code, "sha256": package.sha256},
        "versions": orchestrator_versions(LIBRARY.partition(".")[0]),
        "modules": launcher.modules,
        "environment": checked_environment(launcher.environment),
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
