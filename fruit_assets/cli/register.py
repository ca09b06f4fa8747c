"""`fruit-assets register`: the published tables by name in Glue's catalog. The work is `infra/glue_tables`."""

import click

from fruit_assets.cli.versions import ASSET_NAMES, asset_table
from fruit_assets.settings import load_settings


@click.command("register")
@click.option("--database", default="fruit_assets", show_default=True, help="In Glue's catalog; created when absent.")
def register(database: str) -> None:
    """Register the published tables in AWS Glue, for Athena and other engines. Needed once per table."""
    import boto3

    from fruit_assets.infra.glue_tables import register as register_tables

    settings = load_settings()
    glue = boto3.client("glue", region_name=settings.aws_region)
    registered = register_tables(glue, database, [asset_table(settings, name) for name in ASSET_NAMES])
    for name, location in registered.items():
        click.echo(f"{database}.{name}  {location}")
    if not registered:
        click.echo("Nothing has been published yet, so there is nothing to register.")
