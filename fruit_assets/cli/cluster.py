"""`fruit-assets cluster`: start, inspect and stop the clusters that runs use.

Put here asking and showing. How clusters come to be and end is `fruit_assets/emr/ec2/clusters.py`.
"""

import time
from datetime import UTC, datetime, timedelta

import click
from rich.table import Table
from rich.text import Text

from fruit_assets.cli.console import escape, open_console
from fruit_assets.emr.cost import Prices, load_prices
from fruit_assets.emr.ec2.answers import ClusterFacts
from fruit_assets.emr.ec2.cluster_spec import deployed_spec
from fruit_assets.emr.ec2.clusters import Clusters
from fruit_assets.emr.ec2.compute import EmrOnEc2
from fruit_assets.emr.ec2.instance_hours import cost_between
from fruit_assets.emr.staging import StagingStore
from fruit_assets.errors import FruitAssetsError, PermanentError
from fruit_assets.infra.cluster_size import SPEC
from fruit_assets.settings import Settings, load_settings

_POLL_SECONDS = 10.0
_LOG_SECONDS = 360.0  # EMR uploads the log of a failed bootstrap action within five minutes


@click.group()
def cluster() -> None:
    """Start, inspect and stop the EMR cluster.

    Runs start a cluster when they need one, and every cluster terminates when idle: these
    commands are for having one ready, and for not waiting until it is idle.
    """


@cluster.command()
@click.option("--wait/--no-wait", default=True, show_default=True, help="Return only when it takes steps at once.")
def up(wait: bool) -> None:
    """Start the cluster of bootstrap/cluster.json, or find the one that runs."""
    settings, staging = _settings()
    if settings.emr_cluster:
        compute, is_new = Clusters(staging).get(settings.emr_cluster), False
    else:
        compute, is_new = Clusters(staging).find_or_create(deployed_spec(SPEC, staging, None, {}))
    click.echo(f"{compute.cluster_id} {'is being created' if is_new else 'already runs'}: {_link(compute)}")
    if wait:
        _wait(compute)


@cluster.command()
def status() -> None:
    """Show the clusters, their steps and what an hour of them costs."""
    settings, staging = _settings()
    found = list(Clusters(staging).owned())
    if settings.emr_cluster and settings.emr_cluster not in [facts.cluster_id for facts in found]:
        found.append(EmrOnEc2(settings.emr_cluster).describe())
    if not found:
        click.echo(
            "No cluster of this project runs. `fruit-assets cluster up` starts one; runs do so when they need one."
        )
        return
    table = Table("Cluster", "Name", "State", "Steps", "Machines", "USD an hour", title="EMR clusters")
    for facts in found:
        load = _load(EmrOnEc2(facts.cluster_id), load_prices(settings.prices))
        table.add_row(facts.cluster_id, Text(facts.name), facts.state, *map(Text, load))
        if facts.reason.strip():
            table.add_row("", Text(facts.reason), "", "", "", "")
    open_console().print(table)


@cluster.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
def down(yes: bool) -> None:
    """Terminate the clusters that this project created, and no others."""
    settings, staging = _settings()
    clusters = Clusters(staging)
    found = list(clusters.owned())
    if settings.emr_cluster and settings.emr_cluster not in [facts.cluster_id for facts in found]:
        click.echo(f"{settings.emr_cluster} (FRUIT_ASSETS_EMR_CLUSTER) was not created by this project, so it is kept.")
    if not found:
        click.echo("No cluster of this project runs.")
        return
    for facts in found:
        _end(clusters, facts, yes)


def _end(clusters: Clusters, facts: ClusterFacts, yes: bool) -> None:
    active = EmrOnEc2(facts.cluster_id).active()
    question = f"End {facts.cluster_id} ({facts.state}, {len(active)} active steps)?"
    if yes or click.confirm(question):
        clusters.terminate(facts.cluster_id)
        click.echo(f"{facts.cluster_id} is ending; its logs are still being uploaded.")


def _settings() -> tuple[Settings, StagingStore]:
    settings = load_settings()
    if settings.staging is None:
        raise PermanentError(
            "FRUIT_ASSETS_STAGING is not set: it names s3://bucket/prefix. `fruit-assets deploy` makes one and sets it."
        )
    return settings, StagingStore(settings.staging, encryption=settings.encryption)


def _wait(compute: EmrOnEc2) -> None:
    console = open_console()
    began, state = time.monotonic(), ""
    while state not in ("RUNNING", "WAITING"):
        facts = compute.describe()
        if not facts.is_alive:
            console.print(f"{time.monotonic() - began:4.0f} s  {escape(facts.state)}; looking for its logs")
            failure = compute.failure(_LOG_SECONDS)
            raise PermanentError(failure.message if failure else f"{compute.cluster_id} is {facts.state}.")
        if facts.state != state:
            state = facts.state
            console.print(f"{time.monotonic() - began:4.0f} s  {escape(state)}")
        elif state not in ("RUNNING", "WAITING"):
            time.sleep(_POLL_SECONDS)


def _load(compute: EmrOnEc2, prices: Prices) -> tuple[str, str, str]:
    """Active steps, machines by type, and their price, as far as permissions allow."""
    try:
        steps = str(len(compute.active()))
        running = [machine for machine in compute.instances() if machine.until is None]
    except FruitAssetsError as error:
        return "?", str(error), "?"
    now = datetime.now(UTC)
    kinds = [f"{machine.instance_type} {machine.market.lower()}" for machine in running]
    machines = ", ".join(f"{kinds.count(kind)} {kind}" for kind in sorted(set(kinds)))
    cost = cost_between(now, now + timedelta(hours=1), running, prices)
    unknown = f" + {', '.join(cost.unpriced)}" if cost.unpriced else ""
    return steps, machines or "none yet", f"{cost.usd:.2f}{unknown}"


def _link(compute: EmrOnEc2) -> str:
    region = compute.emr.meta.region_name
    return f"https://{region}.console.aws.amazon.com/emr/home?region={region}#/clusterDetails/{compute.cluster_id}"
