"""Checks of this machine, each in its good and its bad case."""

from pathlib import Path

import pytest

from fruit_assets.infra.checks import machine_checks
from fruit_assets.infra.node_requirements import LOCK


def test_python_311_is_right_and_others_are_not() -> None:
    assert [finding.status for finding in machine_checks.check_python()] == ["ok"]
    (finding,) = machine_checks.check_python("3.13.1")
    assert (finding.status, finding.remedy) == ("problem", "Make the environment with python3.11.")


def test_a_java_that_spark_can_use_is_named_and_a_missing_one_is_a_problem(tmp_path: Path) -> None:
    (finding,) = machine_checks.check_java(None)
    assert finding.status == "ok"
    assert finding.detail.endswith("java")
    (finding,) = machine_checks.check_java(str(tmp_path))
    assert finding.status == "problem"
    assert str(tmp_path) in finding.detail


def test_packages_are_compared_with_the_lock(tmp_path: Path) -> None:
    assert [finding.status for finding in machine_checks.check_packages()] == ["ok"]
    other = tmp_path / "requirements.lock"
    other.write_text(LOCK.read_text().replace("\nnumpy==", "\nnumpy==0."))
    findings = list(machine_checks.check_packages(other, ["numpy", "not-installed-here"]))
    assert [finding.status for finding in findings] == ["problem", "warning"]
    assert "not-installed-here" in findings[0].detail
    assert "numpy" in findings[1].detail
    assert "locked 0." in findings[1].detail


@pytest.mark.parametrize(("gib", "status"), [(2.0, "warning"), (16.0, "ok")])
def test_little_memory_and_little_disk_are_worth_a_look(tmp_path: Path, gib: float, status: str) -> None:
    (memory,) = machine_checks.check_memory(gib)
    (disk,) = machine_checks.check_disk(tmp_path / "not" / "made" / "yet", gib)
    assert (memory.status, disk.status) == (status, status)
    assert str(tmp_path) in disk.detail


def test_variables_and_files_that_concern_spark_are_looked_at(tmp_path):
    (tmp_path / "spark-defaults.conf").write_text("spark.eventLog.enabled true\nspark.eventLog.dir /no/events\n")
    environment = {"SPARK_REMOTE": "sc://x", "SPARK_CONF_DIR": str(tmp_path), "SPARK_LOCAL_DIRS": "/scratch"}
    found = [(finding.status, finding.detail) for finding in machine_checks.check_spark(environment)]
    assert [status for status, _ in found] == ["warning", "problem", "ok"]
    assert "SPARK_REMOTE is set and ignored" in found[0][1]
    assert "spark.eventLog.dir is /no/events, which is not a folder" in found[1][1]
    [finding] = machine_checks.check_spark({"SPARK_CONF_DIR": str(tmp_path / "none")})
    assert (finding.status, "SPARK_CONF_DIR" in finding.detail) == ("warning", True)
    assert list(machine_checks.check_spark({"PATH": "/bin"})) == []
