"""The `fruit-assets` command: the list of sub-commands, loaded when they are called.

Put here names and one-line summaries only. What a command does lives in
`fruit_assets/cli/`, so that `fruit-assets --help` imports nothing heavy.
"""

import io
import sys
from contextlib import suppress
from importlib import import_module

import click

from fruit_assets.errors import FruitAssetsError, NotPublishedError, SettingsError
from fruit_assets.settings import dotenv_path, use_dotenv

# name -> (module under fruit_assets.cli, attribute, summary shown by --help)
COMMANDS: dict[str, tuple[str, str, str]] = {
    "demo-images": ("demo_images", "demo_images", "Render a collection of synthetic fruit photographs."),
    "fetch-images": ("fetch_images", "fetch_images", "Download the Fruits-360 photographs."),
    "summary": ("summary", "summary", "Show what is published: rows, place, speed, quality."),
    "history": ("versions", "history", "List the published versions of the assets."),
    "restore": ("versions", "restore", "Make an earlier version of an asset the newest again."),
    "register": ("register", "register", "Register the tables in AWS Glue, for Athena."),
    "cluster": ("cluster", "cluster", "Start, inspect and stop the EMR cluster."),
    "doctor": ("doctor", "doctor", "Check this machine and the AWS account, line by line."),
    "deploy": ("deploy", "deploy", "Create or update the AWS side: bucket, roles, bootstrap files."),
    "destroy": ("destroy", "destroy", "Remove what deploy created."),
    "similar": ("similar", "similar", "Find the published images nearest to one image."),
}


class _LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, attribute, _ = COMMANDS[cmd_name]
        command: click.Command = getattr(import_module(f"fruit_assets.cli.{module}"), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, _, summary) in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> object:
        # A label in letters that this terminal has not is shown in codes; it fails no command.
        if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
            sys.stdout.reconfigure(errors="backslashreplace")
        try:
            # AWS_* of `.env` are for every command; one that needs settings names what is wrong with the file.
            with suppress(SettingsError):
                use_dotenv()
            return super().invoke(ctx)
        except NotPublishedError as error:
            raise click.ClickException(f"{error} Settings come from the environment and {dotenv_path()}.") from error
        except FruitAssetsError as error:
            raise click.ClickException(str(error)) from error
        # A file or a connection of this machine; a pipe that is closed ends the command quietly, which is click's part.
        except OSError as error:
            if isinstance(error, BrokenPipeError):
                raise
            raise click.ClickException(str(error)) from error
        # What boto3 cannot begin with: no region, no such profile, no credentials.
        except _aws_errors() as error:
            raise click.ClickException(f"AWS cannot be asked: {error}") from error


def _aws_errors() -> tuple[type[Exception], ...]:
    """Evaluated when an error has come so far, so that commands without AWS do not import its library."""
    from botocore.exceptions import BotoCoreError, ClientError

    return BotoCoreError, ClientError


@click.group(cls=_LazyGroup)
@click.version_option(package_name="fruit_assets")
def main() -> None:
    """Image features at scale, with lineage. Settings come from FRUIT_ASSETS_* variables or .env."""
