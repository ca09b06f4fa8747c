"""`fruit-assets summary`: what is published, in a few lines."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from fruit_assets.cli.lineage import Lineage
from fruit_assets.object_store.stores import open_store
from fruit_assets.settings import load_settings
from fruit_assets.storage.artifacts import read_file
from fruit_assets.storage.delta.version import Version


@click.command("summary")
@click.option("--seconds", type=int, help="Wall seconds of the run that was just made, to print with the rest.")
def summary(seconds: int | None) -> None:
    """Show what is published: rows, place, speed, quality, and how to look at it."""
    lineage = Lineage.of(open_store(load_settings().storage))
    versions, components = lineage.versions, lineage.versions["pca_components"]
    click.echo()
    click.echo(
        f"What     {components.row_count:,} images as {components.facts['n_components']} components each "
        f"({_rows(versions, 'sampled_images')} sampled, {_rows(versions, 'rejected_images')} rejected)"
    )
    click.echo(f"Where    {components.store.uri}")
    if features := versions.get("image_features"):
        click.echo(f"How fast {_speed(features.figures, seconds)}")
    if quality := _quality(versions):
        click.echo(f"How good {quality}")
    if (extractor := versions.get("feature_extractor")) and (warning := _warning(extractor)):
        click.secho(f"Beware   {warning}", fg="yellow")
    if lineage.newer:
        click.secho(f"Newer    {_newer(lineage.newer)}", fg="yellow")
    click.echo(f"Look     make dev   (http://localhost:3000{_hint()})")


def _rows(versions: Mapping[str, Version], name: str) -> str:
    return f"{versions[name].row_count:,}" if name in versions else "an unknown number"


def _speed(facts: Mapping[str, Any], seconds: int | None) -> str:
    computed, reused = facts.get("computed", 0), facts.get("reused", 0)
    rate = facts.get("images_per_second", 0)
    done = f"{computed:,} images through the network at {rate:.0f} images/s, {reused:,} reused"
    return done + (f"; {seconds} s for the whole run" if seconds is not None else "")


def _quality(versions: Mapping[str, Version]) -> str:
    parts = []
    if model := versions.get("pca_model"):
        parts.append(f"{model.facts['variance_explained']:.1%} of the variance explained")
    if recognition := versions.get("fruit_recognition"):
        report = json.loads(read_file(recognition, "recognition.json"))
        parts.append(
            f"a baseline names {report['accuracy']:.1%} of {report['test_images']:,} unseen images right "
            f"({len(report['labels'])} classes, chance {report['chance']:.1%})"
        )
    return "; ".join(parts)


def _warning(extractor: Version) -> str:
    return str(json.loads(read_file(extractor, "extractor.json"))["weights"]["warning"])


def _newer(newer: Mapping[str, Version]) -> str:
    named = ", ".join(f"{name} (version {version.number}, run {version.run_id[:8]})" for name, version in newer.items())
    return f"{named}: the components above were made before. Materialise all to bring them up to date."


def _hint() -> str:
    """Nothing when this is the project's own folder, where `make dev` works."""
    return "" if Path("Makefile").is_file() else ", from the project's folder"
