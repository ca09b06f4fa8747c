"""`fruit-assets deploy`: from an AWS account to a place where clusters can start.

Put here the questions asked and the order of the work. The work itself lives in `fruit_assets/infra/`.
"""

from collections.abc import Mapping
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from fruit_assets.cli.console import escape, open_console
from fruit_assets.cli.deploy_plan import change_stack
from fruit_assets.errors import PermanentError, SettingsError
from fruit_assets.infra.bootstrap_files import (
    bootstrap_uri,
    deployment_facts,
    read_facts,
    upload_bootstrap,
    upload_environment,
    write_facts,
)
from fruit_assets.infra.bootstrap_folder import BOOTSTRAP
from fruit_assets.infra.dotenv_file import read_dotenv, update_dotenv
from fruit_assets.infra.identity import Identity, who_am_i
from fruit_assets.infra.node_requirements import ARCHITECTURES
from fruit_assets.infra.packed_environment import pack_environment
from fruit_assets.infra.stack import TEMPLATE, Stack
from fruit_assets.infra.wheelhouse import build_wheelhouse
from fruit_assets.settings import load_settings

# Command line option -> template parameter. Options left out keep the deployed value.
_PARAMETERS = {
    "network": "Network",
    "encryption": "Encryption",
    "images_bucket": "ImagesBucket",
    "glue_database": "GlueDatabase",
    "orchestrator_role": "OrchestratorRole",
    "budget": "MonthlyBudget",
    "budget_email": "BudgetEmail",
}


@click.command()
@click.option("--project", default="fruit-assets", show_default=True, help="Name of the stack, and start of all names.")
@click.option(
    "--network",
    type=click.Choice(["private", "public", "none"]),
    help="private (default): own VPC with NAT, about 47 USD a month. public: own VPC, no NAT. none: your own subnets.",
)
@click.option(
    "--encryption",
    type=click.Choice(["s3", "kms"]),
    help="s3 (default): keys managed by S3; node disks as the account has them. kms: a key of your own, for disks too.",
)
@click.option("--images-bucket", help="Another bucket of this account that holds the images; it is only read.")
@click.option("--glue-database", help="Database of Glue in which `fruit-assets register` may enter the tables.")
@click.option("--orchestrator-role", help="IAM role that runs Dagster; gets the orchestrator policy.")
@click.option("--budget", type=click.IntRange(min=1), help="USD per month before an e-mail goes out (default 50).")
@click.option("--budget-email", help="Who gets that e-mail. Without it there is no alarm.")
@click.option(
    "--arch",
    "architectures",
    multiple=True,
    type=click.Choice(ARCHITECTURES),
    default=ARCHITECTURES,
    show_default=True,
    help="Node architectures to upload wheels for; aarch64 is Graviton.",
)
@click.option(
    "--tensorflow", is_flag=True, help="Upload TensorFlow too, for `engine: tensorflow`: 300 MB more per node."
)
@click.option(
    "--deployment",
    type=click.Choice(["emr", "emr-serverless"]),
    help="emr (default): runs use clusters. emr-serverless: job runs; packs and uploads their environment.",
)
@click.option("--no-wheels", is_flag=True, help="Upload no wheels; nodes then need `--index` and access to an index.")
@click.option("--env-file", type=click.Path(path_type=Path, dir_okay=False), default=Path(".env"), show_default=True)
@click.option("--yes", is_flag=True, help="Do not ask.")
def deploy(
    project: str,
    architectures: tuple[str, ...],
    tensorflow: bool,
    deployment: str | None,
    no_wheels: bool,
    env_file: Path,
    yes: bool,
    **options: str | int | None,
) -> None:
    """Create or update the AWS side: bucket, roles, network, bootstrap files.

    Shows what would change and asks. Safe to run again: unchanged resources are kept. Account and region are
    those of the usual AWS settings (AWS_PROFILE, AWS_DEFAULT_REGION). At the end the FRUIT_ASSETS_* settings are
    written to .env.
    """
    console = open_console()
    if not TEMPLATE.exists():
        raise PermanentError(f"{TEMPLATE} is missing: run this from a clone of the project, installed with -e.")
    read_dotenv(env_file)  # it is written at the end: a file that cannot be read is named before anything is made
    caller = who_am_i()
    place = f"Account [bold]{escape(caller.account)}[/], region [bold]{escape(caller.region)}[/]"
    console.print(f"{place}, as {escape(caller.arn)}")
    stack = Stack(project, caller.region)
    given = {_PARAMETERS[name]: str(value) for name, value in options.items() if value is not None}
    if not change_stack(console, stack, {"Project": project, **given}, yes):
        raise click.Abort
    outputs = stack.outputs()

    wheels = {} if no_wheels else _wheels(console, architectures, tensorflow)
    _upload_bootstrap(console, outputs["StagingUri"], wheels, caller.region)
    deployment = deployment or _deployment_in_use(env_file)
    environments = _environments(outputs["StagingUri"], caller.region)
    if deployment == "emr-serverless":
        environments |= _upload_environments(console, outputs["StagingUri"], wheels, caller.region)
    facts = deployment_facts(outputs, project=project, region=caller.region, environments=environments)
    write_facts(outputs["StagingUri"], facts, caller.region)
    _write_settings(console, env_file, outputs, deployment)
    _show_next_steps(console, outputs, caller, deployment)


def _upload_bootstrap(console: Console, staging: str, wheels: dict[str, Path], region: str) -> None:
    with _progress(console) as progress:
        task = progress.add_task("Uploading", total=None)
        new, old = upload_bootstrap(
            staging, wheels, lambda done, total: progress.update(task, completed=done, total=total), region
        )
    console.print(f"Bootstrap files: {new} uploaded, {old} already in {escape(bootstrap_uri(staging))}")


def _wheels(console: Console, architectures: tuple[str, ...], tensorflow: bool) -> dict[str, Path]:
    name = "requirements-node-tensorflow.txt" if tensorflow else "requirements-node.txt"
    with console.status("Fetching wheels") as status:
        found = {
            architecture: build_wheelhouse(BOOTSTRAP / name, architecture, _cache(), status.update)
            for architecture in architectures
        }
    for architecture, folder in found.items():
        size = sum(wheel.stat().st_size for wheel in folder.glob("*.whl")) / 1e6
        console.print(f"Wheels for {escape(architecture)}: {size:.0f} MB")
    return found


def _deployment_in_use(env_file: Path) -> str:
    """The deployment that runs use now; `emr` when they do not use AWS."""
    chosen = read_dotenv(env_file).get("FRUIT_ASSETS_DEPLOYMENT", "")
    return chosen if chosen == "emr-serverless" else "emr"


def _environments(staging: str, region: str) -> dict[str, str]:
    """The packed environments of an earlier deployment, by architecture."""
    prefix = "environment_"
    facts = read_facts(staging, region) or {}
    return {name.removeprefix(prefix): uri for name, uri in facts.items() if name.startswith(prefix)}


def _upload_environments(console: Console, staging: str, wheels: Mapping[str, Path], region: str) -> dict[str, str]:
    uploaded = {}
    for architecture, folder in wheels.items():
        with console.status("Packing") as status:
            packed = pack_environment(folder, architecture, status.update)
            status.update(f"{architecture}: uploading {packed.stat().st_size / 1e6:.0f} MB")
            uploaded[architecture] = upload_environment(staging, packed, architecture, region)
        console.print(f"Environment for {escape(architecture)}: {escape(uploaded[architecture])}", soft_wrap=True)
    return uploaded


def _cache() -> Path:
    try:
        return load_settings().cache
    except SettingsError:
        # This command exists to make the settings right, so it must not need them to be right already.
        return Path.home() / ".cache" / "fruit_assets"


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), console=console, transient=True
    )


def _write_settings(console: Console, env_file: Path, outputs: dict[str, str], deployment: str) -> None:
    values = {
        "FRUIT_ASSETS_DEPLOYMENT": deployment,
        "FRUIT_ASSETS_STORAGE": outputs["StorageUri"],
        "FRUIT_ASSETS_STAGING": outputs["StagingUri"],
    }
    # Images on S3 are the user's choice and stay; a local folder cannot be reached from a cluster.
    if not read_dotenv(env_file).get("FRUIT_ASSETS_IMAGES", "").startswith("s3://"):
        values["FRUIT_ASSETS_IMAGES"] = outputs["ImagesUri"]
    changed = update_dotenv(env_file, values)
    console.print(f"{escape(str(env_file))}: {', '.join(changed) + ' written' if changed else 'nothing to change'}")


def _show_next_steps(console: Console, outputs: dict[str, str], caller: Identity, deployment: str) -> None:
    policies = [outputs["OrchestratorPolicyArn"]]
    policies += [outputs["ServerlessPolicyArn"]] if deployment == "emr-serverless" else []
    console.print("\nNext:")
    console.print(f"  1. Images:   aws s3 sync <folder> {escape(outputs['ImagesUri'])}/", soft_wrap=True)
    console.print(f"  2. Policy:   {escape(' and '.join(policies))} to the identity that runs Dagster", soft_wrap=True)
    console.print(f"  3. Check:    AWS_DEFAULT_REGION={escape(caller.region)} fruit-assets doctor", soft_wrap=True)
    console.print("  4. Run:      dagster job execute -m fruit_assets -j fruit_features_job", soft_wrap=True)
