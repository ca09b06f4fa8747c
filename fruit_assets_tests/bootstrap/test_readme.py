"""bootstrap/README.md is correct: commands exist, every setting has its reason, every file is listed."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import click
import pytest

from fruit_assets.cli import main
from fruit_assets.infra.node_requirements import BOOTSTRAP
from fruit_assets_tests.bootstrap.cost_comparison import IMAGES, cluster_cost, serverless_cost, table
from fruit_assets_tests.infra.account import template

README = (BOOTSTRAP / "README.md").read_text()
COMMANDS = sorted(set(re.findall(r"`(fruit-assets [a-z][^`]*)`", README)))


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_in_it_exists_with_its_options(command: str) -> None:
    words = shlex.split(command)[1:]
    found: click.Command = main
    context = click.Context(main)
    while words and isinstance(found, click.Group):
        following = found.get_command(context, words.pop(0))
        assert following is not None, command
        found = following
    options = {name for parameter in found.params for name in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= options


def test_every_emr_setting_has_a_line_with_its_value_or_reason() -> None:
    listed = json.loads((BOOTSTRAP / "configurations.json").read_text())
    names = {name for item in listed for name in _properties(item)}
    assert {name for name in names if f"`{name}`" not in README} == set()
    section = README.split("## Spark settings, and why")[1].split("## EMR Serverless")[0]
    documented = set(re.findall(r"`((?:spark|fs|yarn)\.[A-Za-z0-9_.]+)`", section))
    assert documented <= names


def test_every_file_of_the_folder_is_introduced() -> None:
    files = {path.name for path in Path(BOOTSTRAP).iterdir() if path.is_file()} - {"README.md"}
    assert {name for name in files if f"`{name}`" not in README} == set()


def test_the_costs_of_cluster_and_serverless_are_those_of_the_price_table() -> None:
    assert "\n".join(table()) in README
    for cost in (cluster_cost, serverless_cost):
        dollars = [cost(images)[0] for images in IMAGES]
        assert dollars == sorted(dollars)


def test_lifetimes_in_it_are_those_of_the_template() -> None:
    parameters = template()["Parameters"]
    days = [parameters[name]["Default"] for name in ("OldVersionDays", "StagingDays", "LogDays")]
    assert "Old versions are deleted after {} days, step traffic after {}, logs after {}".format(*days) in README


def _properties(item: dict[str, Any]) -> set[str]:
    return set(item["Properties"]) | {name for one in item.get("Configurations", []) for name in one["Properties"]}
