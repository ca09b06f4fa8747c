"""The spec: filled in, checked at once, and never without an end to the costs."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from fruit_assets.emr.ec2.cluster_spec import load_spec
from fruit_assets.errors import PermanentError

MINIMAL = {"Name": "orchard", "ReleaseLabel": "emr-spark-8.1.0", "LogUri": "s3://b/logs/", "Instances": {"X": "1"}}


def written(folder: Path, **changes: Any) -> Path:
    content = {key: value for key, value in {**MINIMAL, **changes}.items() if value is not None}
    path = folder / "cluster.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def test_a_spec_without_auto_termination_gets_one(tmp_path: Path) -> None:
    assert load_spec(written(tmp_path), {}).run_job_flow()["AutoTerminationPolicy"] == {"IdleTimeout": 1800}


def test_values_are_filled_in_lists_are_split_and_empty_ones_left_out(tmp_path: Path) -> None:
    instances = {"Ec2SubnetIds": ["${subnets}"], "Ec2KeyName": "${key:-}", "Zone": "${zone:-a}"}
    spec = load_spec(written(tmp_path, Instances=instances), {"subnets": "s-1,s-2"})
    assert spec.parameters["Instances"] == {"Ec2SubnetIds": ["s-1", "s-2"], "Zone": "a"}


def test_a_value_known_to_be_empty_is_not_missing(tmp_path: Path) -> None:
    spec = load_spec(written(tmp_path, Instances={"Ec2SubnetIds": ["${subnets}"], "X": "1"}), {"subnets": ""})
    assert spec.parameters["Instances"] == {"X": "1"}


def test_all_problems_are_reported_at_once(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        LogUri=None,
        ServiceRole="${service_role}",
        Instances={"TerminationProtected": True},
        AutoTerminationPolicy={"IdleTimeout": 5},
        Dependencies=["requirements.txt"],
    )
    with pytest.raises(PermanentError) as caught:
        load_spec(path, {})
    for word in ("LogUri", "${service_role}", "TerminationProtected", "60 to 604800", "requirements.txt"):
        assert word in str(caught.value)


def test_included_files_and_dependencies_belong_to_the_clusters_identity(tmp_path: Path) -> None:
    (tmp_path / "configurations.json").write_text("[]")
    (tmp_path / "requirements.txt").write_text("numpy==2.0")
    path = written(tmp_path, Configurations={"include": "configurations.json"}, Dependencies=["requirements.txt"])
    digests = {load_spec(path, {}).digest}
    (tmp_path / "configurations.json").write_text('[{"Classification": "spark"}]')
    digests.add(load_spec(path, {}).digest)
    (tmp_path / "requirements.txt").write_text("numpy==2.1")
    digests.add(load_spec(path, {}).digest)
    assert len(digests) == 3


@pytest.mark.parametrize("content", ["[1, 2]", "a: [", "just words"])
def test_a_file_that_is_no_spec_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "cluster.yaml"
    path.write_text(content)
    with pytest.raises(PermanentError, match=r"cluster\.yaml"):
        load_spec(path, {})


def test_a_missing_spec_is_named(tmp_path: Path) -> None:
    with pytest.raises(PermanentError, match="cannot be read"):
        load_spec(tmp_path / "nowhere.json", {})
