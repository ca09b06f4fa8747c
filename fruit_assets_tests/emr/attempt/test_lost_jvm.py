"""The remote side lost its JVM: EMR's reason is waited for and shown first."""

import pytest

from fruit_assets_tests.emr.conftest import TinyLocation

pytestmark = pytest.mark.long(20)


def test_a_jvm_lost_with_its_machines_is_reported_with_emrs_reason_first_and_retryable(
    tiny: TinyLocation,
) -> None:
    def lose(_: str) -> None:
        def has_failed() -> bool:
            events = [name for name in tiny.staging.list_keys("runs/") if "/events/" in name]
            return any(
                b"Answer from Java side" in (stored.body if (stored := tiny.staging.get(n)) else b"") for n in events
            )

        tiny.emr.wait_for(has_failed)
        tiny.target.lose("the Spot instance was taken back")

    with tiny.meanwhile(lose):
        outcome = tiny.run("lose-jvm")
    error = outcome.failure.error.to_string()
    assert tiny.states == [{"cluster": "INTERRUPTED", "application": "FAILED"}[tiny.target.kind]]
    assert 0 < error.index("the Spot instance was taken back") < error.index("Answer from Java side is empty")
    assert "dagster/retry_on_asset_or_op_failure" not in outcome.run.tags


def test_a_lost_jvm_alone_is_retried_too(tiny: TinyLocation) -> None:
    def let_it_end(_: str) -> None:
        tiny.is_enough()

    with tiny.meanwhile(let_it_end):
        outcome = tiny.run("lose-jvm")
    assert "lost its JVM. EMR's reason" in outcome.failure.error.to_string()
    assert "dagster/retry_on_asset_or_op_failure" not in outcome.run.tags
