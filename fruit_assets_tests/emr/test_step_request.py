"""Requests: complete for the cluster, empty of secrets and of this machine, and refused when forged."""

import json
from collections.abc import Mapping
from typing import Any

import dagster as dg
import pytest
from dagster._core.code_pointer import FileCodePointer, ModuleCodePointer
from dagster._core.definitions.reconstruct import ReconstructableJob, ReconstructableRepository
from dagster._serdes import pack_value

from fruit_assets.emr.messages import InvalidMessageError
from fruit_assets.emr.step_launcher import EmrPySparkStepLauncher
from fruit_assets.emr.step_request import Attempt, _module_pointer, checked_environment, unpack_request
from fruit_assets.errors import PermanentError
from fruit_assets_tests.emr.conftest import TinyLocation


@pytest.mark.parametrize(
    "name", ["AWS_SECRET_ACCESS_KEY", "DB_PASSWORD", "github_token", "API_KEY", "AWS_ACCESS_KEY_ID"]
)
def test_variables_that_look_like_secrets_are_refused_by_name_only(name: str) -> None:
    with pytest.raises(PermanentError, match=name) as caught:
        checked_environment({name: "melon", "FRUIT_ASSETS_IMAGES": "s3://b/images"})
    assert "melon" not in str(caught.value)


def test_ordinary_variables_pass() -> None:
    ordinary = {"FRUIT_ASSETS_DEPLOYMENT": "emr", "FRUIT_ASSETS_KMS_KEY_ID": "alias/orchard"}
    assert checked_environment(ordinary) == ordinary


def test_a_job_that_lives_in_this_process_only_is_refused_with_the_way_out(tiny: TinyLocation) -> None:
    @dg.asset(required_resource_keys={"step_launcher"})
    def alone() -> None: ...

    launcher = EmrPySparkStepLauncher(staging=tiny.staging.uri, package="tiny_location", cluster_id=tiny.cluster_id)
    result = dg.materialize([alone], resources={"step_launcher": launcher}, raise_on_error=False)
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    assert "dagster job execute -m tiny_location" in str(failure.event_specific_data)
    assert tiny.step_ids == []


def test_a_request_says_nothing_about_the_machine_it_comes_from(tiny: TinyLocation) -> None:
    assert tiny.run().success
    (name,) = [name for name in tiny.staging.names("runs/") if name.endswith("request.json")]
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
    from fruit_assets.emr import step_request as requests

    pointer = _module_pointer(FileCodePointer(str(requests.__file__), "defs", "/somewhere"), "fruit_assets")
    assert pointer == ModuleCodePointer("fruit_assets.emr.step_request", "defs", None)
    with pytest.raises(PermanentError, match="lies outside the package"):
        _module_pointer(FileCodePointer("/tmp/notebook.py", "defs", None), "fruit_assets")


def test_attempts_of_dynamic_steps_have_plain_names() -> None:
    attempt = Attempt("run", "subject[a]", 2, "2-3")
    assert attempt.prefix == "runs/run/subject__a__/2-3"
    assert attempt.emr_name == "dagster/run/subject[a]/2-3"
