"""`fruit-assets fetch-images`: arguments, progress bars, closing line. The work is `pipeline/fetch`."""

from pathlib import Path

import click


@click.command("fetch-images")
@click.option(
    "--out", default=Path("data/fruits-360"), show_default=True, type=click.Path(file_okay=False, path_type=Path)
)
@click.option("--ref", help="Branch, tag or commit of the Fruits-360 repository; main when left out.")
@click.option("--url", help="Another archive: .tar, .tar.gz, .tar.bz2, .tar.xz or .zip.")
@click.option("--keep-archive", is_flag=True, help="Keep the downloaded archive beside the folder.")
def fetch_images(out: Path, ref: str | None, url: str | None, keep_archive: bool) -> None:
    """Download the Fruits-360 photographs (CC BY-SA 4.0) and unpack them.

    Run it again after an interruption: it continues where the server allows it.
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    from fruit_assets.pipeline.fetch import ARCHIVE, REF, fetch_images

    if ref and url:
        raise click.UsageError("--ref names a version of the Fruits-360 repository; it does not go with --url.")
    url = url or ARCHIVE.format(ref=ref or REF)
    console = Console(stderr=True)
    download = Progress(
        TextColumn("Downloading"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn(),
        console=console,
    )  # fmt: skip
    unpack = Progress(TextColumn("Unpacking"), BarColumn(), MofNCompleteColumn(), console=console)
    with download, unpack:
        received, unpacked = download.add_task("", total=None), unpack.add_task("", total=None, visible=False)
        fetched = fetch_images(
            out,
            url,
            on_download=lambda done, total: download.update(received, completed=done, total=total),
            on_unpack=lambda done, total: unpack.update(unpacked, completed=done, total=total, visible=True),
            keep_archive=keep_archive,
        )
    click.echo(f"{fetched.images:,} images of {fetched.classes} classes in {fetched.root}.")
    click.echo(f"Archive: {fetched.bytes:,} bytes, sha256 {fetched.sha256}")
    click.echo(f"Use them with FRUIT_ASSETS_IMAGES={fetched.root}")
