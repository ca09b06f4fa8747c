"""Secrets reach the code on the node, and no object, request, log line or event on the way."""

import hashlib
import json

import pytest

from fruit_assets_tests.emr.conftest import TinyLocation, objects_below

VALUE = "melon-secret-7"

pytestmark = pytest.mark.long(35)


def everything_sent(tiny: TinyLocation) -> str:
    """All that lies in the staging bucket, all requests to AWS of the orchestrator, all events and log lines."""
    objects = [body.decode(errors="replace") for _, body in objects_below(tiny.staging)]
    launcher_calls = [call for call in tiny.emr.requests if call.operation not in ("CreateSecret", "PutParameter")]
    requests = [json.dumps(call.params, default=str) for call in launcher_calls if call.caller == "orchestrator"]
    runs = [str(entry) for run in tiny.instance.get_runs() for entry in tiny.instance.all_logs(run.run_id)]
    return "\n".join([*objects, *requests, *runs])


@pytest.mark.parametrize("service", ["secretsmanager", "ssm"])
def test_a_secret_is_fetched_on_the_node_before_the_code_is_imported(tiny: TinyLocation, service: str) -> None:
    name = f"/orchard/{tiny.target.id}"
    if service == "ssm":
        tiny.emr.client("ssm").put_parameter(Name=name, Value=VALUE, Type="SecureString")
    else:
        tiny.emr.client("secretsmanager").create_secret(Name=name, SecretString=json.dumps({"password": VALUE}))
    tiny.monkeypatch.setenv("TINY_VAULT", "ORCHARD_PASSWORD")
    key = "#password" if service == "secretsmanager" else ""
    outcome = tiny.run("use-secret", secrets={"ORCHARD_PASSWORD": f"{service}:{name}{key}"})
    assert outcome.success, outcome.failure_text
    assert hashlib.sha256(VALUE.encode()).hexdigest() in outcome.messages
    assert name in everything_sent(tiny)
    assert VALUE not in everything_sent(tiny)


def test_a_secret_that_the_node_cannot_read_is_named_and_the_code_does_not_run(tiny: TinyLocation) -> None:
    outcome = tiny.run(retries=2, secrets={"ORCHARD_PASSWORD": "orchard/nowhere"})
    error = outcome.failure.error.to_string()
    assert "The secret orchard/nowhere for ORCHARD_PASSWORD cannot be read on the node" in error
    assert "secretsmanager:GetSecretValue" in error
    assert len(tiny.step_ids) == 1
    assert not (tiny.folder / "starts").exists()


def test_an_env_var_missing_on_the_node_is_refused_before_submission(tiny: TinyLocation) -> None:
    tiny.monkeypatch.setenv("TINY_VAULT", "ORCHARD_PASSWORD")
    tiny.monkeypatch.setenv("ORCHARD_PASSWORD", "the orchestrator's own")
    outcome = tiny.run()
    assert "ORCHARD_PASSWORD (resource vault)" in outcome.failure.error.to_string()
    assert "`secrets`" in outcome.failure.error.to_string()
    assert tiny.step_ids == []
