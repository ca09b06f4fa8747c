"""Pointers to a code location, rewritten so that a node can follow them.

Put here how a pointer to a file or module of this machine becomes one to a shipped module.
"""

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fruit_assets.emr.dagster_internals import (
    AutoloadDefsModuleCodePointer,
    CodePointer,
    FileCodePointer,
    ModuleCodePointer,
    PackageCodePointer,
    ReconstructableJob,
    ReconstructableRepository,
)
from fruit_assets.emr.errors import PermanentError


def portable_job(job: ReconstructableJob, packages: Sequence[str], load_data: Any) -> ReconstructableJob:
    """The job, pointing to a module instead of a path on this machine.

    Args:
        job: as the orchestrator loaded it.
        packages: import names of the packages that nodes have.
        load_data: what the repository loaded at definition time, passed on to the node.

    Raises:
        PermanentError: the code location is in none of the packages.
    """
    pointer = module_pointer(job.repository.pointer, packages)
    return job._replace(repository=ReconstructableRepository(pointer=pointer, repository_load_data=load_data))


def module_pointer(pointer: CodePointer, packages: Sequence[str]) -> CodePointer:
    """The pointer without working directory, to a module of one of the packages."""
    portable: ModuleCodePointer | PackageCodePointer | AutoloadDefsModuleCodePointer
    if isinstance(pointer, FileCodePointer):
        portable = ModuleCodePointer(_module_of(pointer.python_file, packages), pointer.fn_name, None)
    elif isinstance(pointer, ModuleCodePointer):
        portable = ModuleCodePointer(pointer.module, pointer.fn_name, None)
    elif isinstance(pointer, PackageCodePointer):
        portable = PackageCodePointer(pointer.module, pointer.attribute, None)
    elif isinstance(pointer, AutoloadDefsModuleCodePointer):
        portable = AutoloadDefsModuleCodePointer(module=pointer.module, working_directory=None)
    else:
        raise PermanentError(f"A code location given as {type(pointer).__name__} cannot be rebuilt on a node.")
    if portable.module.split(".")[0] not in {package.split(".")[0] for package in packages}:
        raise PermanentError(
            f"The code location is module {portable.module!r}, which is in none of the launcher's packages "
            f"({', '.join(packages)}): add its package."
        )
    return portable


def _module_of(python_file: str, packages: Sequence[str]) -> str:
    path = Path(python_file).resolve()
    for package in packages:
        spec = importlib.util.find_spec(package.split(".")[0])
        for folder in list(spec.submodule_search_locations or []) if spec else []:
            root = Path(folder).resolve()
            if path.is_relative_to(root):
                parts = path.relative_to(root.parent).with_suffix("").parts
                return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    raise PermanentError(
        f"{python_file} lies outside the packages shipped ({', '.join(packages)}): move it into one, or add another."
    )
