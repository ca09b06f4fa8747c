"""`fruit-assets destroy`: remove all that deploy created; data only when confirmed twice.

Put here the questions and the order. The deletions live in `fruit_assets/infra/removal.py`.
"""

from pathlib import Path

import click
from rich.console import Console

from fruit_assets.cli.console import escape, open_console
from fruit_assets.errors import PermanentError
from fruit_assets.infra.dotenv_file import read_dotenv, remove_from_dotenv, update_dotenv
from fruit_assets.infra.identity import who_am_i
from fruit_assets.infra.removal import (
    BucketContent,
    bucket_content,
    delete_applications,
    delete_bucket,
    living_clusters,
    remove_emr_security_groups,
    retire_key,
)
from fruit_assets.infra.stack import Stack


@click.command()
@click.option("--project", default="fruit-assets", show_default=True, help="Name of the stack.")
@click.option("--data", is_flag=True, help="Delete the bucket too, with every version of every object.")
@click.option("--bucket", help="With --data: the bucket's name, as confirmation. Asked for when left out.")
@click.option("--env-file", type=click.Path(path_type=Path, dir_okay=False), default=Path(".env"), show_default=True)
@click.option("--yes", is_flag=True, help="Do not ask about the stack. It does not answer for --data.")
def destroy(project: str, data: bool, bucket: str | None, env_file: Path, yes: bool) -> None:
    """Remove what deploy created: network, roles, policies, alarm; and applications of EMR Serverless.

    The bucket with images, assets and logs stays, and the KMS key that reads it. With --data they go too, after
    the bucket's name has been given. Clusters must be stopped first. A later deploy takes a kept bucket in again.
    """
    console = open_console()
    read_dotenv(env_file)  # it is written at the end: a file that cannot be read is named before anything is removed
    caller = who_am_i()
    stack = Stack(project, caller.region)
    account = f"Account [bold]{escape(caller.account)}[/], region [bold]{escape(caller.region)}[/]"
    console.print(f"{account}, stack [bold]{escape(project)}[/]")
    clusters = living_clusters(project, caller.region)
    if clusters:
        raise PermanentError(
            "Clusters still run:\n  " + "\n  ".join(clusters) + "\nStop them with `fruit-assets cluster down`, wait, "
            "and run destroy again."
        )
    status = stack.status()
    outputs = stack.outputs() if status and status.endswith("_COMPLETE") and status != "ROLLBACK_COMPLETE" else {}
    name = outputs.get("BucketName") or f"{project}-{caller.account}-{caller.region}"
    content = bucket_content(name, caller.region)
    if status is None and content is None:
        console.print("Nothing to remove.")
        return
    # Both answers are collected before anything is touched.
    sure_of_data = data and _confirmed_twice(console, name, content, bucket)
    if status is not None:
        if not yes and not click.confirm(f"Remove stack {project} (network, roles, policies, alarm)?", default=False):
            raise click.Abort
        for application in delete_applications(project, caller.region):
            console.print(f"Deleted application {escape(application)}")
        _remove_stack(console, stack, outputs, caller.region)
    if env_file.exists():
        update_dotenv(env_file, {"FRUIT_ASSETS_DEPLOYMENT": "local"})
    if content is not None and sure_of_data:
        _delete_data(console, name, outputs.get("KeyArn"), env_file, caller.region)
    elif content is not None:
        console.print(f"Kept: s3://{escape(name)}, {_amount(content)}. `fruit-assets destroy --data` removes it.")


def _delete_data(console: Console, name: str, key_arn: str | None, env_file: Path, region: str) -> None:
    with console.status("Deleting") as shown:
        deleted = delete_bucket(name, region, lambda done: shown.update(f"Deleting: {done}"))
    if key_arn:
        retire_key(key_arn, region)
        console.print(f"{escape(key_arn)} will be deleted in 30 days")
    outdated = [key for key, value in read_dotenv(env_file).items() if value.startswith(f"s3://{name}")]
    remove_from_dotenv(env_file, outdated)
    console.print(f"Deleted: s3://{escape(name)}, {deleted} versions")


def _confirmed_twice(console: Console, name: str, content: BucketContent | None, typed: str | None) -> bool:
    """Whether the bucket's name was given as well as --data.

    Raises:
        PermanentError: another name was given; nothing has been touched.
    """
    if content is None:
        return False
    console.print(f"[red]s3://{escape(name)} will be deleted with {_amount(content)}. There is no way back.[/]")
    typed = typed if typed is not None else click.prompt("Type the name of the bucket to delete it", default="")
    if typed != name:
        raise PermanentError(f"{typed!r} is not {name!r}: nothing was removed.")
    return True


def _amount(content: BucketContent) -> str:
    return f"{content.versions} object versions, {content.bytes / 1e9:.2f} GB"


def _remove_stack(console: Console, stack: Stack, outputs: dict[str, str], region: str) -> None:
    if outputs.get("VpcId"):
        groups = remove_emr_security_groups(outputs["VpcId"], region)
        if groups:
            console.print(f"Removed what EMR left in the network: {escape(', '.join(groups))}")
    with console.status("Removing") as status:
        stack.delete(lambda line: status.update(f"Removing: {line}"))
    console.print(f"Stack {escape(stack.name)}: removed")
