"""A code location with everything that Dagster can put into a step: what the launcher is walked through with.

Put here assets and ops that record what they saw. It is shipped as any code location is, so it imports
nothing of the tests.
"""

import json
import os
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import PrivateAttr
from walk_location.round_trip import launcher

from fruit_assets.emr.remote_only import remote_only

COLOURS = dg.DynamicPartitionsDefinition(name="colours")
DAYS = dg.DailyPartitionsDefinition("2026-01-01", end_date="2026-02-01")
SIZES = dg.StaticPartitionsDefinition(["small", "medium", "large"])
PARTITIONS: dict[str, dg.PartitionsDefinition[Any]] = {
    "dynamic": COLOURS,
    "static": SIZES,
    "hourly": dg.HourlyPartitionsDefinition("2026-01-01-00:00", end_date="2026-01-03-00:00"),
    "daily": DAYS,
    "weekly": dg.WeeklyPartitionsDefinition("2026-01-04", end_date="2026-03-01"),
    "monthly": dg.MonthlyPartitionsDefinition("2026-01-01", end_date="2026-06-01"),
    "window": dg.TimeWindowPartitionsDefinition(
        start="2026-01-01", end="2026-01-09", fmt="%Y-%m-%d", cron_schedule="0 0 */2 * *"
    ),
    "multi": dg.MultiPartitionsDefinition({"day": DAYS, "size": SIZES}),
    "multi_dynamic": dg.MultiPartitionsDefinition({"day": DAYS, "colour": COLOURS}),
}
REMOTE = {"step_launcher"}


def trace(word: str) -> None:
    """Leave a line that a test reads: both sides are on one machine."""
    with (Path(os.environ["WALK_FOLDER"]) / "trace").open("a") as file:
        file.write(f"{word}\n")


class Session(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Counts its own life: a session that stops itself, as a Spark session does."""

    password: str
    _is_open: bool = PrivateAttr(default=False)

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        self._is_open = True
        trace("session opened")

    def teardown_after_execution(self, context: dg.InitResourceContext) -> None:
        self._is_open = False
        trace("session closed")

    def use(self) -> str:
        assert self._is_open, "the session was closed before its use"
        trace("session used")
        return self.password


def partitioned(name: str, definition: dg.PartitionsDefinition[Any]) -> dg.AssetsDefinition:
    @dg.asset(
        name=name,
        partitions_def=definition,
        backfill_policy=dg.BackfillPolicy.single_run(),
        required_resource_keys=REMOTE,
    )
    def asset(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        return dg.MaterializeResult(metadata={"keys": [str(key) for key in context.partition_keys]})

    return asset


@dg.asset(required_resource_keys=REMOTE, partitions_def=COLOURS)
def upstream(context: dg.AssetExecutionContext) -> str:
    return context.partition_key


@dg.asset(required_resource_keys=REMOTE, partitions_def=COLOURS)
def downstream(upstream: str) -> str:
    return f"{upstream} again"


@dg.multi_asset(
    specs=[dg.AssetSpec("left", skippable=True), dg.AssetSpec("right", skippable=True)],
    check_specs=[dg.AssetCheckSpec("is_left", asset="left")],
    required_resource_keys=REMOTE,
    can_subset=True,
)
def pair(context: dg.AssetExecutionContext):  # type: ignore[no-untyped-def]  # Dagster reads the annotation
    for key in sorted(context.selected_asset_keys):
        yield dg.MaterializeResult(asset_key=key)
    if context.selected_asset_check_keys:
        yield dg.AssetCheckResult(asset_key="left", check_name="is_left", passed=True)


@dg.asset_check(asset="left", required_resource_keys=REMOTE)
def left_is_fresh() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=False, severity=dg.AssetCheckSeverity.WARN, metadata={"days": 3})


@dg.op(required_resource_keys=REMOTE, out=dg.DynamicOut(int))
def split(context: dg.OpExecutionContext):  # type: ignore[no-untyped-def]  # Dagster reads the annotation
    for number, key in enumerate(["a", "b"], 1):
        yield dg.DynamicOutput(number, mapping_key=key)


@dg.op(required_resource_keys=REMOTE)
def double(number: int) -> int:
    return 2 * number


@dg.op(required_resource_keys=REMOTE)
def add(context: dg.OpExecutionContext, numbers: list[int]) -> int:
    context.log.info(f"the sum is {sum(numbers)}")
    return sum(numbers)


@dg.op(
    required_resource_keys=REMOTE, out={"taken": dg.Out(int, is_required=False), "left": dg.Out(int, is_required=False)}
)
def choose(context: dg.OpExecutionContext):  # type: ignore[no-untyped-def]  # Dagster reads the annotation
    yield dg.Output(7, output_name="taken")


@dg.op(required_resource_keys=REMOTE, out={}, ins={"after": dg.In(dg.Nothing)})
def without_outputs(context: dg.OpExecutionContext):  # type: ignore[no-untyped-def]  # Dagster reads the annotation
    trace(f"without outputs in {context.partition_key if context.has_partition_key else 'no partition'}")


@dg.op(required_resource_keys=REMOTE)
def number_one() -> int:
    return 1


@dg.graph
def inner() -> int:
    return double.alias("twice")(number_one())


@dg.op(required_resource_keys={*REMOTE, "session"})
def with_session(context: dg.OpExecutionContext) -> int:
    return len(context.resources.session.use())


@dg.op(required_resource_keys=REMOTE)
def failing() -> int:
    raise ValueError("the pears are not ripe")


@dg.op(required_resource_keys=REMOTE, retry_policy=dg.RetryPolicy(max_retries=2, delay=0.05))
def flaky(context: dg.OpExecutionContext) -> int:
    if context.retry_number < 1:
        raise ValueError("the first try fails")
    return context.retry_number


@dg.op(required_resource_keys=REMOTE)
def asking(context: dg.OpExecutionContext) -> None:
    if context.retry_number < 1:
        raise dg.RetryRequested(max_retries=1)


@dg.success_hook
def on_success(context: dg.HookContext) -> None:
    trace(f"success of {context.op.name} with {json.dumps(dict(context.op_output_values))}")


@dg.failure_hook
def on_failure(context: dg.HookContext) -> None:
    trace(f"failure of {context.op.name} with {context.op_exception!r}")


@dg.job(executor_def=dg.in_process_executor)
def mapped() -> None:
    add(split().map(double).collect())


@dg.job(executor_def=dg.in_process_executor)
def optional() -> None:
    outputs = choose()
    double.alias("double_taken")(outputs.taken)
    double.alias("double_left")(outputs.left)


@dg.job(executor_def=dg.in_process_executor)
def nested() -> None:
    double.alias("last")(inner())


@dg.job(executor_def=dg.in_process_executor)
def session_job() -> None:
    with_session()


@dg.job(executor_def=dg.in_process_executor, hooks={on_success, on_failure})
def hooked() -> None:
    double(number_one())
    failing()


@dg.job(executor_def=dg.in_process_executor)
def retried() -> None:
    flaky()
    asking()


@dg.job(executor_def=dg.in_process_executor, partitions_def=COLOURS)
def partitioned_op() -> None:
    without_outputs(number_one())


@dg.job(executor_def=dg.multiprocess_executor.configured({"max_concurrent": 2}))
def in_processes() -> None:
    add(split().map(double).collect())


OP_JOBS = [mapped, optional, nested, session_job, hooked, retried, partitioned_op, in_processes]


@dg.definitions
def defs() -> dg.Definitions:
    by_partitions = [partitioned(name, definition) for name, definition in PARTITIONS.items()]
    asset_jobs = [
        *(dg.define_asset_job(f"{name}_job", [name]) for name in PARTITIONS),
        dg.define_asset_job("stream_job", ["upstream", "downstream"]),
        dg.define_asset_job("pair_job", dg.AssetSelection.assets("left", "right")),
        dg.define_asset_job("right_job", ["right"]),
        dg.define_asset_job("check_job", dg.AssetSelection.checks(left_is_fresh)),
    ]
    return dg.Definitions(
        assets=[*by_partitions, upstream, downstream, pair],
        asset_checks=[left_is_fresh],
        jobs=[*OP_JOBS, *asset_jobs],
        resources={
            "step_launcher": launcher(),
            "session": remote_only(Session(password=dg.EnvVar("SESSION_PASSWORD"))),
            "io_manager": dg.FilesystemIOManager(base_dir=os.environ.get("WALK_FOLDER", "/nowhere")),
        },
        executor=dg.in_process_executor,
    )


def location() -> dg.RepositoryDefinition:
    return defs().get_repository_def()
