"""Requests: complete for the cluster, empty of secrets and of this machine, and refused when forged."""

import json
import re
import uuid
from collections.abc import Mapping
from typing import Any

import dagster as dg
import pytest

from fruit_assets.emr.dagster_internals import (
    FileCodePointer,
    ModuleCodePointer,
    ReconstructableJob,
    ReconstructableRepository,
    pack_value,
)
from fruit_assets.emr.ec2.step_launcher import EmrPySparkStepLauncher
from fruit_assets.emr.protocol.attempt import Attempt, run_of
from fruit_assets.emr.protocol.code_pointers import module_pointer
from fruit_assets.emr.protocol.messages import InvalidMessageError
from fruit_assets.emr.protocol.step_request import unpack_request
from fruit_assets.errors import PermanentError
from fruit_assets_tests.emr.conftest import TinyLocation


def test_a_job_that_exists_in_this_process_only_is_refused_with_advice(tiny: TinyLocation) -> None:
    @dg.asset(required_resource_keys={"step_launcher"})
    def alone() -> None: ...

    launcher = EmrPySparkStepLauncher(staging=tiny.staging.uri, packages=["tiny_location"], cluster_id="j-NEVER-ASKED")
    result = dg.materialize([alone], resources={"step_launcher": launcher}, raise_on_error=False)
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    assert "dagster job execute -m tiny_location" in str(failure.event_specific_data)
    assert tiny.step_ids == []


def test_a_request_contains_nothing_about_the_orchestrators_machine(tiny: TinyLocation) -> None:
    assert tiny.run().success
    (name,) = [name for name in tiny.staging.list_keys("runs/") if name.endswith("request.json")]
    stored = tiny.staging.get(name)
    assert stored is not None
    body = json.loads(stored.body)["body"]
    assert str(tiny.folder) not in json.dumps({key: value for key, value in body.items() if key != "environment"})
    assert body["dagster_run"]["external_pipeline_origin"] is None
    reference = unpack_request(body)
    assert reference.step_key == "subject"
    assert reference.recon_job.repository.pointer == ModuleCodePointer("tiny_location", "alone", None)


def test_a_request_that_points_outside_the_shipped_packages_is_refused() -> None:
    job = ReconstructableJob(ReconstructableRepository(ModuleCodePointer("subprocess", "run", None)), "job")
    request: Mapping[str, Any] = {"job": pack_value(job), "packages": ["orchard"]}
    with pytest.raises(InvalidMessageError, match="outside the shipped packages"):
        unpack_request(request)


def test_a_code_location_given_as_a_file_becomes_a_module() -> None:
    from fruit_assets.emr.protocol import step_request as requests

    pointer = module_pointer(FileCodePointer(str(requests.__file__), "defs", "/somewhere"), ["fruit_assets"])
    assert pointer == ModuleCodePointer("fruit_assets.emr.protocol.step_request", "defs", None)
    with pytest.raises(PermanentError, match="lies outside the packages"):
        module_pointer(FileCodePointer("/tmp/notebook.py", "defs", None), ["fruit_assets"])


def test_attempts_of_dynamic_steps_have_plain_names() -> None:
    attempt = Attempt("run", "subject[a]", 2, "2-3")
    assert re.fullmatch(r"runs/run/subject_a_-[0-9a-f]{10}/2-3", attempt.prefix)
    assert attempt.step_name == f"dagster/{attempt.prefix.removeprefix('runs/')}"
    assert run_of(attempt.step_name) == "run"


@pytest.mark.parametrize(
    ("one", "other"), [("inc[a]", "inc__a__"), ("inc[a]", "inc_a_"), ("x" * 200 + "1", "x" * 200 + "2")]
)
def test_different_steps_never_share_a_prefix_or_a_name_that_emr_would_cut(one: str, other: str) -> None:
    run_id = str(uuid.uuid4())
    attempts = [Attempt(run_id, key, 12, "12-34") for key in (one, other)]
    assert attempts[0].prefix != attempts[1].prefix
    assert attempts[0].step_name != attempts[1].step_name
    assert max(len(attempt.step_name) for attempt in attempts) <= 150
