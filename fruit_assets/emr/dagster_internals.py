"""Everything this project imports from Dagster's private modules, in one place.

Put here imports of `dagster._*` that have no public name, and nothing else. Other modules import from this one,
so that names which a Dagster release moves are corrected in one file.
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
from dagster._core.execution.api import create_execution_plan
from dagster._core.execution.context_creation_job import PlanExecutionContextManager
from dagster._core.execution.plan.execute_plan import dagster_event_sequence_for_step
from dagster._core.execution.plan.objects import StepFailureData, UserFailureData
from dagster._core.execution.plan.outputs import StepOutputData, StepOutputHandle
from dagster._core.execution.plan.state import KnownExecutionState
from dagster._core.execution.retries import RetryMode
from dagster._core.storage.tags import RETRY_ON_ASSET_OR_OP_FAILURE_TAG
from dagster._serdes import pack_value, unpack_value
from dagster_shared.error import SerializableErrorInfo

__all__ = [
    "RETRY_ON_ASSET_OR_OP_FAILURE_TAG",
    "AutoloadDefsModuleCodePointer",
    "CodePointer",
    "EngineEventData",
    "FileCodePointer",
    "KnownExecutionState",
    "ModuleCodePointer",
    "PackageCodePointer",
    "PlanExecutionContextManager",
    "ReconstructableJob",
    "ReconstructableRepository",
    "RetryMode",
    "SerializableErrorInfo",
    "StepFailureData",
    "StepMaterializationData",
    "StepOutputData",
    "StepOutputHandle",
    "UserFailureData",
    "create_execution_plan",
    "dagster_event_sequence_for_step",
    "normalize_metadata",
    "pack_value",
    "unpack_value",
]
