"""Clusters for people with notebooks: `python -m fruit_assets.infra.notebook_cluster studio|jupyterhub`.

Put here only how a cluster is started from a spec in bootstrap/. Runs of the asset graph never use these clusters.
"""

import click

from fruit_assets.emr.ec2.cluster_spec import deployed_spec
from fruit_assets.emr.ec2.clusters import Clusters
from fruit_assets.emr.staging import StagingStore
from fruit_assets.errors import FruitAssetsError, PermanentError
from fruit_assets.infra.bootstrap_folder import BOOTSTRAP
from fruit_assets.settings import load_settings

SPECS = {"studio": BOOTSTRAP / "cluster-studio.json", "jupyterhub": BOOTSTRAP / "cluster-notebooks.json"}


def start(kind: str) -> tuple[str, bool]:
    """The id of a running cluster of this kind, started when there was none, and whether it was.

    Raises:
        PermanentError: nothing is deployed, or EMR refuses the cluster.
    """
    settings = load_settings()
    if settings.staging is None:
        raise PermanentError("FRUIT_ASSETS_STAGING is not set: run `fruit-assets deploy`, which writes it to .env.")
    staging = StagingStore(settings.staging, encryption=settings.encryption)
    compute, is_new = Clusters(staging).find_or_create(deployed_spec(SPECS[kind], staging, None, {}))
    return compute.cluster_id, is_new


@click.command()
@click.argument("kind", type=click.Choice(list(SPECS)))
def main(kind: str) -> None:
    """Start a cluster for notebooks, or find the running one. It terminates after an idle hour."""
    try:
        cluster_id, is_new = start(kind)
    except FruitAssetsError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{cluster_id} {'is starting; it takes about eight minutes' if is_new else 'runs already'}")


if __name__ == "__main__":
    main()
