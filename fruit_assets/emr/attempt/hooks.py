"""What hooks see of a remote step: its exception and its output values.

Put here how `HookContext.op_exception` and `op_output_values` are filled. Hooks run in the orchestrator,
because they must also run for steps whose node was lost.
"""

import builtins
from typing import Any, cast

import dagster as dg

from fruit_assets.emr.dagster_internals import (
    SerializableErrorInfo,
    StepFailureData,
    StepOutputData,
    StepOutputHandle,
)


class RemoteStepError(Exception):
    """An exception of a class that exists on the remote side only; `cls_name` is its name."""

    def __init__(self, message: str, cls_name: str | None) -> None:
        self.cls_name = cls_name
        super().__init__(message)


class RemoteOutputs(dict[StepOutputHandle, Any]):
    """Output values of a remote step, each loaded by its IO manager when a hook reads them."""

    def __init__(self, context: dg.StepExecutionContext) -> None:
        super().__init__()
        self._context = context

    def items(self) -> Any:
        """Load the values that are not loaded yet."""
        for handle, value in super().items():
            if value is ...:
                self[handle] = _load(self._context, handle)
        return super().items()


def expose_to_hooks(context: dg.StepExecutionContext, event: dg.DagsterEvent) -> None:
    """Store the output or exception of this event for the step's hooks; does nothing for steps without hooks."""
    if context.step_output_capture is None:
        return
    data: Any = event.event_specific_data
    if isinstance(data, StepOutputData):
        if not isinstance(context.step_output_capture, RemoteOutputs):
            cast("Any", context)._step_output_capture = RemoteOutputs(context)
        context.step_output_capture[data.step_output_handle] = ...
    elif isinstance(data, StepFailureData):
        context.capture_step_exception(remote_exception(data))


def remote_exception(data: StepFailureData) -> BaseException:
    """The exception of a failure event: `Failure` and built-in classes as themselves, others as RemoteStepError."""
    user = data.user_failure_data
    if user is not None and user.label == "intentional-failure":
        return dg.Failure(user.description, metadata=user.metadata)
    error: SerializableErrorInfo | None = data.error.cause or data.error if data.error else None
    if error is None:
        return RemoteStepError("The step failed on the remote side.", None)
    message = error.message.strip().removeprefix(f"{error.cls_name}: ")
    known = getattr(builtins, error.cls_name or "", None)
    if isinstance(known, type) and issubclass(known, Exception):
        try:
            return known(message)
        except TypeError:  # some, such as UnicodeDecodeError, take more than a message
            pass
    return RemoteStepError(message, error.cls_name)


def _load(context: dg.StepExecutionContext, handle: StepOutputHandle) -> Any:
    output = context.get_output_context(handle)
    if output.dagster_type.is_nothing:
        return None
    place: dict[str, Any] = {"asset_key": output.asset_key} if output.has_asset_key else {}
    if output.has_asset_partitions:
        place["asset_partition_key_range"] = output.asset_partition_key_range
        place["asset_partitions_def"] = output.asset_partitions_def
    loaded = dg.build_input_context(
        name=handle.output_name,
        upstream_output=output,
        dagster_type=output.dagster_type,
        instance=context.instance,
        **place,
    )
    return context.get_io_manager(handle).load_input(loaded)
