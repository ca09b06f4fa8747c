"""`fruit-assets summary`: what is published, in a few lines."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from fruit_assets.settings import load_settings
from fruit_assets.storage.artifacts import read_file
from fruit_assets.storage.delta.table import Table
from fruit_assets.storage.delta.version import Version
from fruit_assets.storage.stores import open_store


@click.command("summary")
@click.option("--seconds", type=int, help="Wall seconds of the run that was just made, to be told with the rest.")
def summary(seconds: int | None) -> None:
    """Say what is published: rows, place, speed, quality, and how to look at it."""
    settings = load_settings()
    storage = open_store(settings.storage)
    names = ("sampled_images", "feature_extractor", "image_features", "rejected_images", "pca_model", "pca_components")
    current = {name: Table(storage.below(name)).current() for name in (*names, "fruit_recognition")}
    rows = {name: version.row_count for name, version in current.items()}
    facts = {name: version.facts for name, version in current.items()}
    click.echo()
    click.echo(
        f"What     {rows['pca_components']:,} images as {facts['pca_components']['n_components']} components each "
        f"({rows['sampled_images']:,} sampled, {rows['rejected_images']:,} rejected)"
    )
    click.echo(f"Where    {current['pca_components'].store.uri}")
    click.echo(f"How fast {_speed(current['image_features'].figures, seconds)}")
    click.echo(f"How good {_quality(current)}")
    if warning := json.loads(read_file(current["feature_extractor"], "extractor.json"))["weights"]["warning"]:
        click.secho(f"Beware   {warning}", fg="yellow")
    click.echo(f"Look     make dev   (http://localhost:3000{_hint()})")


def _speed(facts: Mapping[str, Any], seconds: int | None) -> str:
    computed, reused = facts.get("computed", 0), facts.get("reused", 0)
    rate = facts.get("images_per_second", 0)
    told = f"{computed:,} images through the network at {rate:.0f} images/s, {reused:,} reused"
    return told + (f"; {seconds} s for the whole run" if seconds is not None else "")


def _quality(current: dict[str, Version]) -> str:
    report = json.loads(read_file(current["fruit_recognition"], "recognition.json"))
    explained = current["pca_model"].facts["variance_explained"]
    return (
        f"{explained:.1%} of the variance explained; a baseline names {report['accuracy']:.1%} of "
        f"{report['test_images']:,} unseen images right ({len(report['labels'])} classes, "
        f"chance {report['chance']:.1%})"
    )


def _hint() -> str:
    """Nothing when this is the project's own folder, where `make dev` works."""
    return "" if Path("Makefile").is_file() else ", from the project's folder"
