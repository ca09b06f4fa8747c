"""The request: everything a node needs to run one step of one run, without secrets.

Put here how a step context becomes a request, and a request a `StepRunRef`. Its encoding is in
`messages.py`; running it is `../remote/`.
"""

import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import dagster as dg

from fruit_assets.emr.dagster_internals import KnownExecutionState, ReconstructableJob, RetryMode, pack_value
from fruit_assets.emr.errors import PermanentError
from fruit_assets.emr.protocol.attempt import Attempt
from fruit_assets.emr.protocol.code_pointers import portable_job
from fruit_assets.emr.protocol.messages import FORMAT, REQUEST_CLASSES, InvalidMessageError, unpack
from fruit_assets.emr.remote_only import REMOTE_TAG


def rebuildable_job(context: dg.StepExecutionContext, packages: Sequence[str]) -> ReconstructableJob:
    """The job as a node can rebuild it.

    Raises:
        PermanentError: it cannot; the message names ways to run it that work.
    """
    job: object = context.job
    if not isinstance(job, ReconstructableJob):
        raise PermanentError(
            "This job lives only in this process, so a node cannot rebuild it. Run it from a code location: "
            f"dagster job execute -m {packages[0]} -j JOB, the UI, or dg.execute_job(dg.reconstructable(...))."
        )
    return portable_job(job, packages, context.plan_data.execution_plan.repository_load_data)


def pack_request(
    context: dg.StepExecutionContext,
    *,
    packages: Sequence[str],
    attempt: Attempt,
    environment_info: Mapping[str, Any],
) -> dict[str, Any]:
    """The JSON of one request.

    Args:
        context: the step to run.
        packages: import names of the packages that nodes have; one of them holds the code location.
        attempt: the attempt that the request belongs to.
        environment_info: what the remote main needs besides: versions, environment, code, heartbeat.

    Raises:
        PermanentError: the job cannot be rebuilt on a node.
    """
    run = context.dagster_run
    # The origin may name images, hosts and environment variables, and the node does not need it.
    bare_run = run._replace(remote_job_origin=None, job_code_origin=None, tags={**run.tags, REMOTE_TAG: "true"})
    return {
        "format": FORMAT,
        "nonce": uuid.uuid4().hex,
        "run_id": run.run_id,
        "step_key": context.step.key,
        "attempt": attempt.name,
        "run_config": pack_value(cast("Any", dict(context.run_config))),
        "dagster_run": pack_value(bare_run),
        "retry_mode": pack_value(context.retry_mode),
        "job": pack_value(rebuildable_job(context, packages)),
        "known_state": pack_value(context.get_known_state()),
        "upstream": [pack_value(entry) for entry in _upstream_records(context)],
        "dynamic_partitions": {
            name: list(context.instance.get_dynamic_partitions(name)) for name in sorted(set(_dynamic_names(context)))
        },
        **environment_info,
    }


def unpack_request(request: Mapping[str, Any]) -> dg.StepRunRef:
    """The step to run.

    Raises:
        InvalidMessageError: the request holds classes, or points to code, that the launcher never sends.
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
    """The latest materializations of the step's upstream assets, to be stored in the remote instance."""
    return [unpack(item, dg.EventLogEntry, REQUEST_CLASSES) for item in request["upstream"]]


def _dynamic_names(context: dg.StepExecutionContext) -> Iterator[str]:
    """Names of the dynamic partitions definitions of the step's assets, their parents and its job."""
    layer = context.job_def.asset_layer
    outputs = [key for key in context.get_output_asset_keys() if layer.has(key)]
    keys = {*outputs, *(parent for key in outputs for parent in layer.get(key).parent_keys if layer.has(parent))}
    definitions: list[Any] = [layer.get(key).partitions_def for key in keys]
    definitions.append(context.job_def.partitions_def)
    for definition in definitions:
        dimensions = getattr(definition, "partitions_defs", None)  # of a MultiPartitionsDefinition
        for part in [dimension.partitions_def for dimension in dimensions] if dimensions else [definition]:
            if isinstance(part, dg.DynamicPartitionsDefinition) and part.name is not None:
                yield part.name


def _upstream_records(context: dg.StepExecutionContext) -> list[dg.EventLogEntry]:
    """Latest materializations of upstream assets.

    Without them the remote side would record no input data versions, and the UI would show the asset as stale.
    """
    layer = context.job_def.asset_layer
    outputs = set(context.get_output_asset_keys())
    parents = {parent for key in outputs if layer.has(key) for parent in layer.get(key).parent_keys} - outputs
    records = (context.instance.get_latest_data_version_record(key) for key in sorted(parents))
    return [record.event_log_entry for record in records if record is not None]
