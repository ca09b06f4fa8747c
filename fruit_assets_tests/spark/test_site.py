"""A machine's own settings of Spark: what a local run follows, sets aside, and names when Spark does not start."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fruit_assets.spark.site import SiteConf, chooses_collector, installed_spark, unrelated_variables

_START = """
import json, sys
from fruit_assets.errors import PermanentError
from fruit_assets.spark.resource import LocalSpark

try:
    LocalSpark(cache=sys.argv[1], driver_memory="1g", master="local[2]").context()
except PermanentError as error:
    print(json.dumps(str(error)))
"""


def _error(tmp_path: Path, defaults: str, **variables: str) -> str:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "spark-defaults.conf").write_text(defaults)
    environment = {**os.environ, "SPARK_CONF_DIR": str(tmp_path / "conf"), **variables}
    done = subprocess.run(
        [sys.executable, "-c", _START, str(tmp_path / "cache")],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout, done.stderr[-3000:]
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("defaults", "variables", "reported"),
    [
        (
            "spark.eventLog.enabled true\nspark.eventLog.dir file:/no/events\n",
            {},
            "spark.eventLog.dir is file:/no/events, which is not a folder: create it, or set spark.eventLog.enabled",
        ),
        ("spark.extraListeners com.example.Missing\n", {}, "ClassNotFoundException: com.example.Missing"),
        ("spark.remote sc://elsewhere\n", {}, "Remote cannot be specified with master"),
        ("", {"JAVA_TOOL_OPTIONS": "-XX:NoSuchThing"}, "Unrecognized VM option 'NoSuchThing'"),
    ],
)
def test_spark_that_does_not_start_names_the_cause_and_the_file_that_takes_part(
    tmp_path, defaults, variables, reported
):
    error = _error(tmp_path, defaults, **variables)
    assert error.startswith("Spark does not start on local[2]: ")
    assert reported in error
    assert "Check the free memory" not in error
    if defaults:
        assert f"{tmp_path}/conf/spark-defaults.conf sets spark." in error


def test_a_spark_home_of_the_same_version_is_followed_and_another_is_not(tmp_path):
    own = installed_spark()
    assert own
    (tmp_path / "same").symlink_to(own)
    (tmp_path / "other" / "jars").mkdir(parents=True)
    (tmp_path / "other" / "jars" / "spark-core_2.12-3.5.1.jar").touch()
    assert unrelated_variables({"SPARK_HOME": str(tmp_path / "same")}) == {}
    assert set(unrelated_variables({"SPARK_HOME": str(tmp_path / "other")})) == {"SPARK_HOME"}
    assert unrelated_variables({"SPARK_LOCAL_DIRS": "/scratch", "SPARK_CONF_DIR": "/etc/spark"}) == {}


def test_a_spark_defaults_file_is_read_as_java_reads_it(tmp_path):
    (tmp_path / "spark-defaults.conf").write_text(
        "# note\n! note\n\nspark.a=1\nspark.b : two words \n  spark.c\t3\nbad\n"
    )
    conf = SiteConf.of({"SPARK_CONF_DIR": str(tmp_path)})
    assert conf.values == {"spark.a": "1", "spark.b": "two words", "spark.c": "3"}
    assert SiteConf.of({"SPARK_CONF_DIR": str(tmp_path / "none")}).values == {}


def test_the_collector_of_the_site_is_the_only_one():
    assert chooses_collector({"JAVA_TOOL_OPTIONS": "-Dx=y -XX:+UseZGC"}, {})
    assert chooses_collector({}, {"spark.driver.defaultJavaOptions": "-XX:+UseG1GC"})
    assert not chooses_collector({"JAVA_TOOL_OPTIONS": "-Dfile.encoding=UTF-8"}, {"spark.x": "-XX:+UseG1GC"})
