"""A launcher whose remote side is this process: every request and event makes the way through its bytes.

Put here only what replaces S3 and EMR. Packing, checking, rebuilding and relaying are the launcher's own.
"""

import json
import os
import uuid
from collections.abc import Iterator
from typing import Any

import dagster as dg

from fruit_assets.emr.attempt.hooks import expose_to_hooks
from fruit_assets.emr.attempt.submission import check_step
from fruit_assets.emr.compute import ComputeSource
from fruit_assets.emr.ec2.step_launcher import EmrPySparkStepLauncher
from fruit_assets.emr.launcher_settings import LauncherSettings
from fruit_assets.emr.protocol.attempt import Attempt
from fruit_assets.emr.protocol.messages import decode, decode_batch, encode, encode_batch
from fruit_assets.emr.protocol.step_request import pack_request, unpack_request
from fruit_assets.emr.remote.rehydration import add_dynamic_partitions, run_step
from fruit_assets.emr.serverless.step_launcher import EmrServerlessStepLauncher
from fruit_assets.emr.staging import StagingStore


class RoundTripLauncher(LauncherSettings, dg.StepLauncher):
    """Packs the step, rebuilds it from the bytes and runs it here, on an instance that knows nothing else."""

    def compute_source(self, staging: StagingStore) -> ComputeSource:
        raise NotImplementedError("no step leaves this process")

    def launch_step(self, step_context: dg.StepExecutionContext) -> Iterator[dg.DagsterEvent]:
        check_step(self, step_context)
        attempt = Attempt(step_context.run_id, step_context.step.key, 1, uuid.uuid4().hex)
        info = {"packages": self.packages}
        sent = encode(pack_request(step_context, packages=self.packages, attempt=attempt, environment_info=info))
        for entry in self._remote(sent):
            step_context.instance.handle_new_event(entry)
            event = entry.dagster_event
            if event is not None and event.step_key == step_context.step.key:
                expose_to_hooks(step_context, event)
                yield event

    def _remote(self, request: bytes) -> Iterator[dg.EventLogEntry]:
        body = decode(request)
        reference = unpack_request(body)
        entries: list[dg.EventLogEntry] = []
        with dg.DagsterInstance.ephemeral() as instance:
            instance.add_event_listener(reference.run_id, entries.append)
            add_dynamic_partitions(instance, body["dynamic_partitions"])
            list(run_step(reference, instance))
        raw = encode_batch(1, entries)
        yield from decode_batch(raw, 1, run_id=reference.run_id, step_key=reference.step_key).events


def launcher() -> Any:
    """The real launcher where a test configured one, else the round trip."""
    settings = {"staging": "s3://unused/staging", "packages": ["walk_location"], "secrets": {"SESSION_PASSWORD": "x"}}
    if "WALK_LAUNCHER" in os.environ:
        given = json.loads(os.environ["WALK_LAUNCHER"])
        return (EmrServerlessStepLauncher if "application_id" in given else EmrPySparkStepLauncher)(**given)
    return RoundTripLauncher(**settings)
