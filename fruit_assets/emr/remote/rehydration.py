"""Rebuild a step from its request and run it in this process.

Put here what executes a `StepRunRef` and yields its Dagster events. Dagster's own `run_step_from_ref` tears
resources down before the op runs, and fails on ops without outputs in partitioned jobs.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import dagster as dg

from fruit_assets.emr.dagster_internals import (
    KnownExecutionState,
    PlanExecutionContextManager,
    ReconstructableJob,
    create_execution_plan,
    dagster_event_sequence_for_step,
)


def add_dynamic_partitions(instance: dg.DagsterInstance, partitions: Mapping[str, Sequence[str]]) -> None:
    """Add the partition keys that the orchestrator's instance had when the step was submitted."""
    for name, keys in partitions.items():
        instance.add_dynamic_partitions(name, list(keys))


def run_step(reference: dg.StepRunRef, instance: dg.DagsterInstance) -> Iterator[dg.DagsterEvent]:
    """Run one step with its resources set up before it and torn down after it; yields its events.

    Args:
        reference: the step, its run and its run config.
        instance: stores the events of this run only.
    """
    job = _selected_job(reference)
    known_state = reference.known_state or KnownExecutionState()
    plan = create_execution_plan(
        job,
        reference.run_config,
        step_keys_to_execute=[reference.step_key],
        known_state=reference.known_state,
        repository_load_data=job.repository.repository_load_data,
    )
    manager = PlanExecutionContextManager(
        retry_mode=reference.retry_mode.for_inner_plan(),
        job=job,
        execution_plan=plan,
        run_config=reference.run_config,
        dagster_run=reference.dagster_run,
        instance=instance,
    )
    yield from manager.prepare_context()
    try:
        step: Any = plan.get_step_by_key(reference.step_key)
        # In this process: the launcher that the step requires must not launch it again.
        yield from dagster_event_sequence_for_step(
            manager.get_context().for_step(step, known_state), force_local_execution=True
        )
    finally:
        for _ in manager.shutdown_context():
            pass  # Dagster logs these events to the instance itself


def _selected_job(reference: dg.StepRunRef) -> ReconstructableJob:
    run, job = reference.dagster_run, reference.recon_job
    if not (run.resolved_op_selection or run.asset_selection or run.asset_check_selection):
        return job
    return job.get_subset(
        op_selection=run.resolved_op_selection,
        asset_selection=run.asset_selection,
        asset_check_selection=run.asset_check_selection,
    )
