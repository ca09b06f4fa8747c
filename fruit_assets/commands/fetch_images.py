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
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from fruit_assets.pipeline.fetch import ARCHIVE, REF, fetch_images

    if ref and url:
        raise click.UsageError("--ref names a version of the Fruits-360 repository; it does not go with --url.")
    url = url or ARCHIVE.format(ref=ref or REF)
    columns = (
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[amount]}"), TimeRemainingColumn()
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True)) as progress:
        download = progress.add_task("Downloading", total=None, amount="")
        unpack = progress.add_task("Unpacking", total=None, amount="", visible=False)

        def downloaded(done: int, total: int | None) -> None:
            amount = f"{done / 1e6:,.1f}" + (f" of {total / 1e6:,.1f} MB" if total else " MB")
            progress.update(download, completed=done, total=total, amount=amount)

        def unpacked(done: int, total: int | None) -> None:
            progress.update(unpack, completed=done, total=total, amount=f"{done:,} images", visible=True)

        fetched = fetch_images(out, url, on_download=downloaded, on_unpack=unpacked, keep_archive=keep_archive)
    click.echo(f"{fetched.images:,} images of {fetched.classes} classes in {fetched.root}.")
    click.echo(f"Archive: {fetched.bytes:,} bytes, sha256 {fetched.sha256}")
    click.echo(f"Use them with FRUIT_ASSETS_IMAGES={fetched.root}")
