"""The step launcher: Dagster's resource that runs an asset's step remotely and relays its events.

Put here the translation to Dagster's failures and retries. The phases of an attempt are `attempt/`,
the services that run steps are `ec2/` and `serverless/`.
"""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from fruit_assets.emr.attempt.hooks import expose_to_hooks
from fruit_assets.emr.attempt.step_attempt import StepAttempt
from fruit_assets.emr.dagster_internals import RETRY_ON_ASSET_OR_OP_FAILURE_TAG
from fruit_assets.emr.errors import ActionableError, PermanentError
from fruit_assets.emr.launcher_settings import LauncherSettings


class PySparkStepLauncher(LauncherSettings, dg.StepLauncher):
    """Runs each step that requires this resource on the compute that a subclass provides."""

    def launch_step(self, step_context: dg.StepExecutionContext) -> Iterator[dg.DagsterEvent]:
        """Run the step remotely; yields its events as they happen.

        Raises:
            Failure: with `allow_retries=False` if a retry cannot help; then the run is not retried either.
            RetryRequested: a retry may help, and the asset has a retry policy.
        """
        attempt = StepAttempt(self, step_context)
        try:
            for event in attempt.events():
                expose_to_hooks(step_context, event)
                yield event
        except ActionableError as error:
            raise _translated(error, attempt.failure_metadata(error), step_context) from error


def _translated(error: ActionableError, metadata: dict[str, Any], context: dg.StepExecutionContext) -> Exception:
    permanent = isinstance(error, PermanentError)
    failure = dg.Failure(description=str(error), metadata=metadata, allow_retries=not permanent)
    if permanent:
        # Otherwise the daemon would retry the failed run as a whole.
        context.instance.add_run_tags(context.run_id, {RETRY_ON_ASSET_OR_OP_FAILURE_TAG: "false"})
        return failure
    policy = context.op_retry_policy
    if policy is None:
        return failure
    # Dagster applies the policy on the remote side, which a step that was killed does not reach.
    context.log.error(f"{error}")
    return dg.RetryRequested(policy.max_retries, policy.calculate_delay(context.previous_attempt_count + 1))
