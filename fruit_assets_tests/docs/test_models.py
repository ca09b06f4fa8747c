"""Tests of `docs/models.md`: a row for every network, and a recipe that works as it stands."""

import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import fruit_assets
from fruit_assets.extractor.architectures import ARCHITECTURES

ROOT = Path(fruit_assets.__file__).parent.parent
GUIDE = (ROOT / "docs" / "models.md").read_text()


def test_every_network_has_its_row():
    for entry in ARCHITECTURES:
        sizes = ", ".join(map(str, entry.input_sizes))
        pattern = rf"(?m)^\| `{entry.name}`[^|]*\| {entry.features} \| {sizes} \| {re.escape(entry.scaling_name)} \|"
        assert re.search(pattern, GUIDE), entry.name


def test_the_recipe_adds_a_network_by_its_entry_alone(tmp_path):
    """In a copy of the project, with the entry and the tests that the recipe names."""
    [entry] = re.findall(r"(?s)```python\n(.*?)```", GUIDE)
    [tests] = re.findall(r"`pytest ([^`]+)`", GUIDE)
    name = re.findall(r'name="(\w+)"', entry)[0]
    assert name not in {network.name for network in ARCHITECTURES}
    for folder in ("fruit_assets", "fruit_assets_tests", "bootstrap"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    module = tmp_path / "fruit_assets" / "extractor" / "architectures.py"
    before, end, after = module.read_text().partition(")\nDEFAULT = ")
    module.write_text(before + textwrap.indent(textwrap.dedent(entry).strip(), "    ") + ",\n" + end + after)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n", "0", "-k", name, *tests.split()],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-5000:]
    assert int(re.findall(r"(\d+) passed", done.stdout)[0]) >= 7
