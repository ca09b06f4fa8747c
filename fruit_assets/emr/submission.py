"""What one attempt sends ahead of its step: the remote main, the code, the request.

Put here how they get into the staging bucket and what is submitted to fetch them. What the request
holds is `step_request.py`; the course of the attempt is `step_attempt.py`.
"""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dagster._core.execution.context.system import StepExecutionContext

from fruit_assets.emr.compute import Submission
from fruit_assets.emr.messages import encode
from fruit_assets.emr.packaging import Package, build_package, ship
from fruit_assets.emr.staging import StagingStore
from fruit_assets.emr.step_request import Attempt, checked_environment, pack_request
from fruit_assets.emr.versions import orchestrator_versions

if TYPE_CHECKING:
    from fruit_assets.emr.step_launcher import EmrPySparkStepLauncher

HOME = __name__.rpartition(".")[0]  # this package's import name, on the cluster too


def sent(
    launcher: "EmrPySparkStepLauncher", context: StepExecutionContext, staging: StagingStore, attempt: Attempt
) -> Submission:
    """Put everything where the step will look for it; the submission that starts it.

    Raises:
        PermanentError: the job cannot be rebuilt on a cluster, or a package cannot be shipped.
    """
    package = build_package([HOME, launcher.package])
    code = ship(package, staging)
    facts = _facts(launcher, package, code)
    request = encode(pack_request(context, package=launcher.package, attempt=attempt, facts=facts))
    objects = staging.at(attempt.prefix)
    objects.put("request.json", request)
    argument = f"{objects.uri_of('request.json')}#sha256={hashlib.sha256(request).hexdigest()}"
    main = _main(staging)
    return Submission(attempt.emr_name, main, [argument], code, launcher.spark_conf, launcher.deploy_mode)


def _facts(launcher: "EmrPySparkStepLauncher", package: Package, code: str) -> dict[str, Any]:
    return {
        "home": HOME,
        "packages": list(package.names),
        "code": {"uri": code, "sha256": package.sha256},
        "versions": orchestrator_versions(HOME.partition(".")[0]),
        "modules": launcher.modules,
        "environment": checked_environment(launcher.environment),
        "encryption": launcher.encryption,
        "heartbeat_seconds": launcher.heartbeat_seconds,
    }


def _main(staging: StagingStore) -> str:
    """The URI of the remote main, uploaded once per version of it."""
    content = Path(__file__).with_name("bootstrap_main.py").read_bytes()
    name = f"code/main-{hashlib.sha256(content).hexdigest()}.py"
    if staging.age(name) is None:
        staging.put(name, content)
    return staging.uri_of(name)
