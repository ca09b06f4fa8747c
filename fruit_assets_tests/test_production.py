"""What docs/production.md advises works as it is written there."""

import os
import re
import subprocess
import sys
from pathlib import Path

import yaml

from fruit_assets_tests.emr_simulator import EmrSimulator

PROJECT = Path(__file__).parents[1]
_CODE = """
import dagster as dg

@dg.asset
def harvest() -> None:
    print("the pears are ripe", flush=True)
"""


def test_step_logs_are_kept_in_s3_with_the_lines_that_the_page_shows(emr_simulator: EmrSimulator, tmp_path):
    page = (PROJECT / "docs" / "production.md").read_text()
    (block,) = re.findall(r"```yaml\n(compute_logs:.*?)```", page, re.DOTALL)
    added = yaml.safe_load(block)
    bucket = added["compute_logs"]["config"]["bucket"]
    emr_simulator.create_bucket(bucket)
    (tmp_path / "harvest.py").write_text(_CODE)
    own = yaml.safe_load((PROJECT / "dagster.yaml").read_text())
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump({**own, **added}))
    command = [sys.executable, "-m", "dagster", "asset", "materialize", "-f", "harvest.py", "--select", "harvest"]
    environment = {**os.environ, **emr_simulator.environment(), "DAGSTER_HOME": str(tmp_path)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    s3 = emr_simulator.client("s3")
    entries = s3.list_objects_v2(Bucket=bucket, Prefix=f"{added['compute_logs']['config']['prefix']}/storage/")
    (stdout,) = [entry["Key"] for entry in entries["Contents"] if entry["Key"].endswith(".out")]
    assert s3.get_object(Bucket=bucket, Key=stdout)["Body"].read().decode().strip() == "the pears are ripe"
