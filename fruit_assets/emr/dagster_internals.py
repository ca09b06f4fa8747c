"""Everything this project imports from Dagster's private modules, in one place.

Put here imports of `dagster._*` that have no public name, and nothing else. What a new Dagster release
moves or renames is corrected here. Other modules import from this one.
"""

from dagster._core.code_pointer import (
    AutoloadDefsModuleCodePointer,
    CodePointer,
    FileCodePointer,
    ModuleCodePointer,
    PackageCodePointer,
)
from dagster._core.definitions.metadata import normalize_metadata
from dagster._core.definitions.reconstruct import ReconstructableJob, ReconstructableRepository
from dagster._core.events import EngineEventData, StepMaterializationData
from dagster._core.execution.plan.external_step import (
    external_instance_from_step_run_ref,
    run_step_from_ref,
    step_context_to_step_run_ref,
)
from dagster._core.execution.plan.objects import StepFailureData, UserFailureData
from dagster._core.execution.plan.state import KnownExecutionState
from dagster._core.execution.retries import RetryMode
from dagster._core.storage.tags import RETRY_ON_ASSET_OR_OP_FAILURE_TAG
from dagster._serdes import pack_value, unpack_value

__all__ = [
    "RETRY_ON_ASSET_OR_OP_FAILURE_TAG",
    "AutoloadDefsModuleCodePointer",
    "CodePointer",
    "EngineEventData",
    "FileCodePointer",
    "KnownExecutionState",
    "ModuleCodePointer",
    "PackageCodePointer",
    "ReconstructableJob",
    "ReconstructableRepository",
    "RetryMode",
    "StepFailureData",
    "StepMaterializationData",
    "UserFailureData",
    "external_instance_from_step_run_ref",
    "normalize_metadata",
    "pack_value",
    "run_step_from_ref",
    "step_context_to_step_run_ref",
    "unpack_value",
]
