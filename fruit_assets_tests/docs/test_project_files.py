"""The files beside the code say what is true: recipes name files that exist, settings are documented, CI is valid."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from fruit_assets.setting_values import PREFIX, SettingReader

PROJECT = Path(__file__).parents[2]
MAX_README_LINES = 130


def test_the_readme_is_short():
    assert len((PROJECT / "README.md").read_text().splitlines()) <= MAX_README_LINES


def test_every_setting_is_documented(tmp_path):
    [problem] = SettingReader({f"{PREFIX}NO_SUCH": "x"}, tmp_path).problems
    known = set(re.findall(rf"{PREFIX}[A-Z_]+", problem)) - {f"{PREFIX}NO_SUCH", f"{PREFIX}TEST_DATA"}
    documented = (PROJECT / "docs" / "settings.md").read_text()
    assert {name for name in known if f"`{name}`" not in documented} == set()


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "README.md", "docs/architecture.md"])
def test_files_that_a_page_names_exist(page):
    text = (PROJECT / page).read_text()
    named = set(re.findall(r"`((?:fruit_assets|fruit_assets_tests|docs|bootstrap)/[\w./-]+\.\w+)`", text))
    named |= {f"fruit_assets/{name}" for name in re.findall(r"^\|[^|]*\| `((?!bootstrap)[\w/]+\.py)` \|", text, re.M)}
    assert {name for name in named if not (PROJECT / name).exists()} == set()


def test_the_recipe_for_an_asset_names_what_it_changes():
    recipe = (PROJECT / "CONTRIBUTING.md").read_text().split("### A new asset")[1].split("###")[0]
    graph = (PROJECT / "fruit_assets" / "assets" / "graph.py").read_text()
    for name in ("ASSETS", "CONFIGS"):
        assert f"`{name}`" in recipe
        assert re.search(rf"^{name}\b", graph, re.M)


def test_make_has_the_targets_that_the_pages_name():
    targets = set(re.findall(r"^([a-z-]+):", (PROJECT / "Makefile").read_text(), re.M))
    pages = [PROJECT / "README.md", PROJECT / "CONTRIBUTING.md", *(PROJECT / "docs").rglob("*.md")]
    named = {name for page in pages for name in re.findall(r"`make ([a-z-]+)", page.read_text())}
    assert named - targets == set()


def test_the_workflow_of_ci_is_valid_and_runs_what_a_person_runs():
    workflow = PROJECT / ".github" / "workflows" / "ci.yml"
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", str(workflow)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert ".ci/run" in workflow.read_text()


def test_the_dev_container_builds_from_an_official_image_by_its_short_name():
    folder = PROJECT / ".devcontainer"
    assert json.loads((folder / "devcontainer.json").read_text())["build"]["dockerfile"] == "Dockerfile"
    assert re.search(r"^FROM python:3\.11-\w+$", (folder / "Dockerfile").read_text(), re.M)
