"""The request: everything a cluster needs to run one step of one run, and nothing that is secret.

Put here how a step context becomes a request and a request a `StepRunRef`. How it travels lives in
`messages.py`, how it is run in `step_runner.py`.
"""

import importlib.util
import re
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import dagster as dg

from fruit_assets.emr.dagster_internals import (
    AutoloadDefsModuleCodePointer,
    CodePointer,
    FileCodePointer,
    KnownExecutionState,
    ModuleCodePointer,
    PackageCodePointer,
    ReconstructableJob,
    ReconstructableRepository,
    RetryMode,
    pack_value,
    step_context_to_step_run_ref,
)
from fruit_assets.emr.errors import PermanentError
from fruit_assets.emr.protocol.attempt import Attempt
from fruit_assets.emr.protocol.messages import FORMAT, REQUEST_CLASSES, InvalidMessageError, unpack

_SECRET_NAME = re.compile(r"SECRET|PASSW|TOKEN|CREDENTIAL|PRIVATE_?KEY|ACCESS_?KEY|API_?KEY", re.IGNORECASE)


def checked_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment, refused when a name looks like that of a secret.

    Raises:
        PermanentError: names the variables.
    """
    secret = sorted(name for name in environment if _SECRET_NAME.search(name))
    if secret:
        raise PermanentError(
            f"The environment for the cluster holds what looks like secrets: {', '.join(secret)}. They would lie in "
            "the staging bucket in the clear: let the cluster's role or AWS Secrets Manager provide them."
        )
    return dict(environment)


def pack_request(
    context: dg.StepExecutionContext, *, package: str, attempt: Attempt, environment_info: Mapping[str, Any]
) -> dict[str, Any]:
    """The JSON of one request.

    Args:
        context: the step to run.
        package: import name of the package that holds the code location.
        attempt: which try this is.
        environment_info: what the remote main needs besides: versions, environment, packages, heartbeat.

    Raises:
        PermanentError: the job cannot be rebuilt on the cluster; the message says how to run it instead.
    """
    if not isinstance(context.job, ReconstructableJob):
        raise PermanentError(
            "This job lives only in this process, so a cluster cannot rebuild it. Run it from a code location: "
            f"dagster job execute -m {package} -j JOB, the UI, or dg.execute_job(dg.reconstructable(...))."
        )
    reference = step_context_to_step_run_ref(context)
    run = reference.dagster_run
    # Where the run was launched from may name images, hosts and environment; the cluster needs none of it.
    bare_run = run._replace(remote_job_origin=None, job_code_origin=None)
    return {
        "format": FORMAT,
        "nonce": uuid.uuid4().hex,
        "run_id": run.run_id,
        "step_key": reference.step_key,
        "attempt": attempt.name,
        "run_config": pack_value(cast("Any", dict(reference.run_config))),
        "dagster_run": pack_value(bare_run),
        "retry_mode": pack_value(reference.retry_mode),
        "job": pack_value(_portable(reference.recon_job, package, context)),
        "known_state": pack_value(reference.known_state),
        "upstream": [pack_value(entry) for entry in _upstream_records(context)],
        **environment_info,
    }


def unpack_request(request: Mapping[str, Any]) -> dg.StepRunRef:
    """The step to run.

    Raises:
        InvalidMessageError: the request holds classes, or points to code, that no orchestrator of ours sends.
    """
    job = unpack(request["job"], ReconstructableJob, REQUEST_CLASSES)
    pointer = job.repository.pointer
    module = getattr(pointer, "module", None)
    if not isinstance(module, str) or module.split(".")[0] not in request["packages"]:
        raise InvalidMessageError(f"The request points to code outside the shipped packages: {pointer!r}")
    known = request["known_state"]
    return dg.StepRunRef(
        run_config=unpack(request["run_config"], dict, REQUEST_CLASSES),
        dagster_run=unpack(request["dagster_run"], dg.DagsterRun, REQUEST_CLASSES),
        run_id=str(request["run_id"]),
        retry_mode=unpack(request["retry_mode"], RetryMode, REQUEST_CLASSES),
        step_key=str(request["step_key"]),
        recon_job=job,
        known_state=None if known is None else unpack(known, KnownExecutionState, REQUEST_CLASSES),
    )


def unpack_upstream(request: Mapping[str, Any]) -> list[dg.EventLogEntry]:
    """The latest materializations of the step's upstream assets, for the remote instance to know."""
    return [unpack(item, dg.EventLogEntry, REQUEST_CLASSES) for item in request["upstream"]]


def _portable(job: ReconstructableJob, package: str, context: dg.StepExecutionContext) -> ReconstructableJob:
    """The job, pointing to a module and to nothing of this machine."""
    return job._replace(
        repository=ReconstructableRepository(
            pointer=_module_pointer(job.repository.pointer, package),
            repository_load_data=context.plan_data.execution_plan.repository_load_data,
        )
    )


def _module_pointer(pointer: CodePointer, package: str) -> CodePointer:
    portable: ModuleCodePointer | PackageCodePointer | AutoloadDefsModuleCodePointer
    if isinstance(pointer, FileCodePointer):
        portable = ModuleCodePointer(_module_of(pointer.python_file, package), pointer.fn_name, None)
    elif isinstance(pointer, ModuleCodePointer):
        portable = ModuleCodePointer(pointer.module, pointer.fn_name, None)
    elif isinstance(pointer, PackageCodePointer):
        portable = PackageCodePointer(pointer.module, pointer.attribute, None)
    elif isinstance(pointer, AutoloadDefsModuleCodePointer):
        portable = AutoloadDefsModuleCodePointer(module=pointer.module, working_directory=None)
    else:
        raise PermanentError(f"A code location given as {type(pointer).__name__} cannot be rebuilt on a cluster.")
    if portable.module.split(".")[0] != package.split(".")[0]:
        raise PermanentError(
            f"The code location is module {portable.module!r}, but the package shipped to the cluster is {package!r}."
        )
    return portable


def _module_of(python_file: str, package: str) -> str:
    spec = importlib.util.find_spec(package.split(".")[0])
    folders = list(spec.submodule_search_locations or []) if spec else []
    for folder in folders:
        root = Path(folder).resolve().parent
        path = Path(python_file).resolve()
        if path.is_relative_to(Path(folder).resolve()):
            parts = path.relative_to(root).with_suffix("").parts
            return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    raise PermanentError(f"{python_file} lies outside the package shipped to the cluster ({package!r}).")


def _upstream_records(context: dg.StepExecutionContext) -> list[dg.EventLogEntry]:
    """Without these the remote side would record no input data versions, and the UI would call the asset stale."""
    layer = context.job_def.asset_layer
    outputs = set(context.get_output_asset_keys())
    parents = {parent for key in outputs if layer.has(key) for parent in layer.get(key).parent_keys} - outputs
    records = (context.instance.get_latest_data_version_record(key) for key in sorted(parents))
    return [record.event_log_entry for record in records if record is not None]
