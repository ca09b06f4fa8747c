"""`fruit-assets history` and `fruit-assets restore`: which versions of an asset there are, and going back to one.

Put here arguments and what is shown. The versions belong to `storage/`.
"""

from datetime import timedelta

import click

from fruit_assets.cli.console import escape, open_console
from fruit_assets.errors import InputError
from fruit_assets.object_store.stores import open_store
from fruit_assets.settings import Settings, load_settings
from fruit_assets.storage.delta.commit_log import CommitInfo
from fruit_assets.storage.delta.table import Table
from fruit_assets.storage.staging import restore as restore_version

# In the order of the graph.
ASSET_NAMES = (
    "sampled_images", "feature_extractor", "image_features", "rejected_images", "pca_model", "pca_components",
    "fruit_recognition",
)  # fmt: skip


@click.command("history")
@click.argument("asset", required=False)
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1), help="Versions to show per asset.")
def history(asset: str | None, limit: int) -> None:
    """List the versions of ASSET, or of all assets: when, by which run, what changed."""
    settings = load_settings()
    console = open_console()
    for name in [asset] if asset else ASSET_NAMES:
        table = asset_table(settings, name)
        commits = [commit for _, commit in zip(range(limit), table.history(), strict=False)]
        console.print(escape(f"{name}  {table.store.uri}"))
        console.print(_shown(commits) if commits else f"{name} has not been published yet.")


@click.command("restore")
@click.argument("asset")
@click.option("--version", "number", required=True, type=click.IntRange(0), help="As `fruit-assets history` shows it.")
def restore(asset: str, number: int) -> None:
    """Make an earlier version of ASSET the newest again. No version is lost: restoring makes a new one."""
    table = asset_table(load_settings(), asset)
    before = table.current()
    version = restore_version(table, number)
    click.echo(
        f"{asset} is as it was at version {number}: {version.row_count:,} rows, now version {version.number}. "
        f"To undo, run fruit-assets restore {asset} --version {before.number}"
    )


def asset_table(settings: Settings, asset: str) -> Table:
    """The table of an asset; raises InputError when there is no such asset."""
    if asset not in ASSET_NAMES:
        raise InputError(f"{asset} is not an asset. There are {', '.join(ASSET_NAMES)}.")
    store = open_store(settings.storage, settings.sse, settings.kms_key_id)
    return Table(store.below(asset), timedelta(days=settings.retention_days))


def _shown(commits: list[CommitInfo]) -> object:
    from rich.table import Table as Grid
    from rich.text import Text

    grid = Grid("version", "time (UTC)", "what", "run", "data version")
    for commit in commits:
        restored = commit.figures.get("restored_from")
        what = commit.operation.lower() if restored is None else f"restored version {restored}"
        version = str(commit.facts.get("data_version", commit.facts.get("fingerprint", "")))
        made = (f"{commit.time:%Y-%m-%d %H:%M:%S}", what, commit.run_id[:8], version[:12])
        grid.add_row(str(commit.number), *map(Text, made))
    return grid
